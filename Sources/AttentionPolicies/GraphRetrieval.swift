// The paper's own policy: sink and window, and the keys that a graph leads each query to.

public import VectorIndex
public import RetrievalAttention

/// Settings of `AttentionPolicy.graph(_:)`: RetrievalAttention as published (arXiv 2409.10516).
///
/// The paper does not say how many neighbors a key has nor how wide its beam is; those here are of RoarGraph (arXiv
/// 2408.08933) and of recall above .95. It builds one graph for each query head, from all queries of the prompt, and
/// says nothing about generated tokens; here the graph learns from 128 tokens' queries, and generated tokens are
/// inserted. Keys not found count nothing.
public struct GraphRetrievalSettings: IndexRetrievalSettings {
  /// Which queries a graph serves, as written in text.
  public enum Sharing: String, CaseIterable, Sendable, Hashable {
    /// One graph for each KV head: memory and time to build are divided by the query heads of a group.
    case kvHead = "kv-head"
    /// One for each query head, as in the paper.
    case queryHead = "query-head"
  }

  public var sinkCount = 128
  public var windowCount = 512
  public var insertionCount = 512
  /// Keys that each query retrieves.
  public var k = 100
  /// Keys that a search follows to their neighbors.
  public var beamWidth = 100
  public var maxDegree = 35
  public var construction = GraphIndex.Construction.roarGraph
  public var sharing = Sharing.kvHead

  public init() {}

  public static let name = "graph"
  public static let summary = "Sink and window exactly, and the best keys that a graph finds: the paper."
  public static let paper: String? = "2409.10516"
  public static let tradeOff = """
    Keys that are not found count nothing. The graph learns from 128 tokens' queries and is shared by a group of query \
    heads; the paper's learns from all, one for each query head.
    """
  public static let parameters: [PolicyParameter<GraphRetrievalSettings>] =
    segmentParameters + [
      .integer("k", \.k, 1...1_000_000, symbol: "k", "Keys that each query retrieves."),
      .integer(
        "beam", \.beamWidth, 1...1_000_000, symbol: "L", "Keys that a search follows to their neighbors."),
      .integer("degree", \.maxDegree, 1...4096, symbol: "M", "Neighbors of a key."),
      .choice("construction", \.construction, "How links are chosen."),
      .choice("sharing", \.sharing, "Whether a graph serves a KV head or a query head."),
    ]

  public func makeIndex(dimension: Int, seed: UInt64) throws(AttentionError) -> any AttentionIndex {
    var build = GraphIndex.BuildParameters(construction)
    build.maxDegree = maxDegree
    build.sharing = sharing == .kvHead ? .shared : .perQueryHead
    var search = GraphIndex.SearchParameters()
    search.k = k
    search.beamWidth = beamWidth
    do {
      return try GraphIndex(dimension: dimension, build: build, search: search)
    } catch {
      throw .invalidSetting(name: "degree", value: "\(maxDegree)", requirement: "in 1...4096")
    }
  }
}

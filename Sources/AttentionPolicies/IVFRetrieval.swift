// The paper's IVF: sink and window, and the lists that promise each query most.

public import VectorIndex
public import RetrievalAttention

/// Settings of `AttentionPolicy.ivf(_:)`: sink, window and all keys of the best inverted lists (arXiv 2409.10516,
/// "IVF").
///
/// The paper takes the top k of the keys in the lists; here all of them are attended to, since they have been read.
/// What is in no list read counts nothing.
public struct IVFRetrievalSettings: IndexRetrievalSettings {
  /// How keys are distributed to lists, as written in text.
  public enum Assignment: String, CaseIterable, Sendable, Hashable {
    /// To the nearest mean as queries measure it: a common inverted file.
    case nearest
    /// To lists of limited load where queries find the key (arXiv 2103.09944).
    case balanced
  }

  public var sinkCount = 128
  public var windowCount = 512
  public var insertionCount = 512
  /// Lists that each query reads.
  public var probes = 16
  /// Mean number of keys in a list.
  public var listSize = 64
  public var assignment = Assignment.nearest

  public init() {}

  public static let name = "ivf"
  public static let summary =
    "Sink and window exactly, and the inverted lists that promise most: the paper's IVF."
  public static let paper: String? = "2409.10516"
  public static let tradeOff = "Keys of lists that are not read count nothing."
  public static let parameters: [PolicyParameter<IVFRetrievalSettings>] =
    segmentParameters + [
      .integer("probes", \.probes, 1...1_000_000, symbol: "nprobe", "Lists that each query reads."),
      .integer("list", \.listSize, 1...1_000_000, "Mean number of keys in a list."),
      .choice("assignment", \.assignment, "How keys are distributed to lists."),
    ]

  public var movesRows: Bool { true }

  public func makeIndex(dimension: Int, seed: UInt64) throws(AttentionError) -> any AttentionIndex {
    var build = IVFIndex.BuildParameters()
    build.listSize = listSize
    build.seed = seed
    build.assignment = assignment == .nearest ? .nearest : .balanced
    var search = IVFIndex.SearchParameters()
    search.probes = probes
    return IVFIndex(dimension: dimension, build: build, search: search)
  }
}

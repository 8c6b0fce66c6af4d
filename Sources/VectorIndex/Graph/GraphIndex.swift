// An index of links between keys that is walked towards a query.
//
// Queries of attention are distributed unlike keys, and a graph that joins each key to its nearest keys leads such
// queries astray. What helps is to join keys that the same queries retrieve.

import AttentionKernels

/// A graph over the keys of one KV head. Each query walks it to its keys of largest inner product; the whole group
/// then attends exactly to all keys found.
///
/// Links are row numbers apart from the keys, which stay with the caller and are never copied or reordered.
///
/// Constructions: RoarGraph (Chen et al., *RoarGraph: A Projected Bipartite Graph for Efficient Cross-Modal
/// Approximate Nearest Neighbor Search*, arXiv 2408.08933), which RetrievalAttention (arXiv 2409.10516) builds on;
/// co-retrieval links, which need fewer keys for equal recall; and a graph made from keys alone, to compare with.
///
/// Not a general nearest-neighbor index: it answers with attention over the keys it found, and keys not found count
/// nothing.
public final class GraphIndex: AttentionIndex {
  /// How links are chosen.
  public enum Construction: String, Sendable, Hashable, CaseIterable {
    /// Keys near a training query are projected on the nearest of them, then every key is linked to near keys.
    case roarGraph
    /// Keys that the same training queries retrieve are linked, pruned in the queries' geometry.
    case coRetrieval
    /// Keys are linked to near keys, as HNSW and NSG do. Queries unlike the keys lose their way in it.
    case keysOnly
  }

  /// Which queries a graph serves.
  public enum Sharing: String, Sendable, Hashable, CaseIterable {
    /// One graph for the KV head; the group's queries walk it together, and a key is read once for all of them.
    case shared
    /// One graph for each query head, built from the training queries of that head alone.
    case perQueryHead
  }

  /// What is frozen into the index when rows are inserted.
  public struct BuildParameters: Sendable, Hashable {
    public let construction: Construction
    public var sharing = Sharing.shared
    /// Keys taken for each training query (N_q of RoarGraph).
    public var nearestCount = 100
    /// Links that pruning leaves a key, M; RoarGraph's enhancement may add twice as many. 35 as in the papers, but 24
    /// for co-retrieval, where more links only cost memory.
    public var maxDegree: Int
    /// Candidates kept while a key looks for its neighbors. RoarGraph's authors take 500; the time to build grows in
    /// proportion, and recall hardly does.
    public var buildBeamWidth = 100

    public init(_ construction: Construction = .coRetrieval) {
      self.construction = construction
      maxDegree = construction == .coRetrieval ? 24 : 35
    }
  }

  /// What may differ from query to query.
  public struct SearchParameters: Sendable, Hashable {
    /// A search ends when this many of a query's best keys so far have been followed to their neighbors. Below
    /// ``k`` is possible: the others of the k are then neighbors of these.
    public var beamWidth = 100
    /// Keys that each query retrieves; the group attends to the union.
    public var k = 100

    public init() {}
  }

  public let dimension: Int
  public let build: BuildParameters
  public var search: SearchParameters
  /// Rows that were inserted.
  public internal(set) var rowCount = 0

  /// Rows far beyond all others, rising: in no link, and attended to by every call.
  var outliers = RowBuffer<UInt32>()
  /// One graph, or one for each query head.
  var graphs: [LinkTable] = []
  /// The queries' geometry, `[d, d]`, that the first training queries gave; empty before, and where not used.
  var geometry = RowBuffer<Float>()

  /// - Throws: ``GraphIndexError/parameterOutOfRange(name:value:allowed:)``.
  public init(
    dimension: Int, build: BuildParameters = .init(), search: SearchParameters = .init()
  ) throws(GraphIndexError) {
    precondition(dimension > 0, "the head dimension \(dimension) is not positive")
    for (name, value) in [
      ("nearestCount", build.nearestCount), ("maxDegree", build.maxDegree),
      ("buildBeamWidth", build.buildBeamWidth),
    ] where !Self.allowedParameters.contains(value) {
      throw .parameterOutOfRange(name: name, value: value, allowed: Self.allowedParameters)
    }
    self.dimension = dimension
    self.build = build
    self.search = search
  }

  /// The links that pruning leaves a row, and that it can hold, in a graph of these parameters.
  static func degrees(of build: BuildParameters) -> (maxDegree: Int, capacity: Int) {
    guard build.construction != .roarGraph else { return (3 * build.maxDegree, 3 * build.maxDegree) }
    return (build.maxDegree, build.maxDegree + (build.maxDegree + 1) / 2)
  }

  /// 4096 links are 16 KB, 32 times a key of 256 halves: more is a mistake, and far more would overflow.
  private static let allowedParameters = 1...4096

  /// Bytes of links, entry points, outliers and geometry, without the rows.
  public var byteCount: Int {
    graphs.reduce(geometry.byteCount + outliers.byteCount) { $0 + $1.byteCount }
  }
}

/// Why a graph index cannot be made.
public enum GraphIndexError: Error, Hashable, Sendable {
  case parameterOutOfRange(name: String, value: Int, allowed: ClosedRange<Int>)
}

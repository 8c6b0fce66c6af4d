// Inverted lists: every key is in one list, a query reads the lists that promise most and nothing else.
//
// After IRLI (arXiv 2103.09944): which list a key joins is learned from the queries that reach it, and lists have a
// limited load, so that a probe has a known cost. IRLI trains a network to score lists; here a list is scored by the
// mean of its keys and a learned correction, which costs one dot product and needs a few dozen queries.

import AttentionKernels

/// Inverted lists over the keys and values of one KV head, with balanced, query-aware assignment.
///
///     var build = IVFIndex.BuildParameters()
///     build.listSize = 128
///     let index = IVFIndex(dimension: 64, build: build)
///     index.search.probes = 8
///
/// Rows stay with the caller and are put in list order on insertion, so that a probe is one contiguous read and the
/// index keeps no ids. What is not read takes no part in the result: attention is exact over the lists read. See
/// ``ClusterIndex`` for an index that estimates the rest.
public final class IVFIndex: AttentionIndex {
  /// How keys are distributed to lists.
  public enum Assignment: Sendable, Hashable {
    /// To a list of limited load where training queries will find the key.
    case balanced
    /// To the nearest centroid in the geometry of the queries, as in a common inverted file: the baseline.
    case nearest
  }

  /// What is frozen into the index when rows are inserted.
  public struct BuildParameters: Sendable, Hashable {
    /// Mean number of keys in a list, at least 1.
    public var listSize = 64
    /// Nearest lists among which a key joins the one that captures most of its attention and has room (IRLI's K), at
    /// least 1. 2 finds more than 1 when few lists are probed, and 3 or 4 find no more than 2.
    public var choices = 2
    /// Lloyd iterations from the first centroids on, assignments counted, and as many rounds of balancing; at least
    /// 1.
    public var iterations = 4
    /// Seed of the first centroids.
    public var seed: UInt64 = 0
    public var assignment = Assignment.balanced

    public init() {}
  }

  /// What may differ from query to query.
  public struct SearchParameters: Sendable, Hashable {
    /// Lists that are read for each query head; the heads of a group share what they read. More than there are
    /// means all.
    public var probes = 16

    public init() {}
  }

  /// With balanced assignment no list of a segment but that of its outliers holds more than this many times the mean,
  /// rounded up. The less, the better: 1.5 finds up to .05 less of the top 100 at equal reads.
  public static let balanceLimit = 1.1

  public let dimension: Int
  public let build: BuildParameters
  public var search: SearchParameters
  /// Rows that were inserted, all segments together.
  public internal(set) var rowCount = 0
  /// Lists of all segments, none of them empty.
  public internal(set) var listCount = 0
  /// Segments inserted so far.
  public internal(set) var segmentCount = 0

  var representatives = RowBuffer<UInt16>()  // [lists, d] f16: mean keys
  var logMass = RowBuffer<Float>()  // [lists]: log of the size, and what the mean falls short
  var starts = RowBuffer<UInt32>()  // [lists + 1] row offsets from the first indexed row
  /// Lists of outliers, of infinite mass, which every query reads besides those that it probes.
  var outlierListCount = 0

  public init(dimension: Int, build: BuildParameters = .init(), search: SearchParameters = .init()) {
    precondition(dimension > 0, "the head dimension \(dimension) is not positive")
    self.dimension = dimension
    self.build = build
    self.search = search
    starts.append(0)
  }

  /// Bytes of the index, without the rows.
  public var byteCount: Int { representatives.byteCount + logMass.byteCount + starts.byteCount }

  /// The number of keys in each list, in row order.
  public var listSizes: [Int] { (0..<listCount).map { Int(starts[$0 + 1]) - Int(starts[$0]) } }

  /// Log mass and start of one list.
  static let statisticsByteCount = 8
}

// Attention-aware clusters: the default index.
//
// Keys are grouped in segments by k-means in the geometry of the queries, and their rows are put in cluster order,
// so that a cluster is one contiguous run and the index keeps no list of members. A cluster that promises little
// takes part in the softmax through an estimate (its tail): its mean key, its mean value and a learned correction.
// The keys of the others are scored by short codes, and only those that matter, with a sample of the rest, are read.

import AttentionKernels
import Platform

/// An index over the keys and values of one KV head that attends for a whole group of query heads at once.
///
/// The index owns centroids and statistics. The rows themselves stay with the caller, who passes their memory to
/// each call and lets `insert` reorder them; row *i* of the index is always row *i* of
/// that memory. ``KeyValueIndex`` keeps both together.
///
/// What is kept for a cluster c of n keys, besides centroid and mean value (f16), is learned from training queries:
/// - `logMass`: `log n + b`. By Jensen's inequality the centroid underestimates: `logSumExp_c(q) >= q.mu + log n`.
///   `b` is the mean shortfall, weighted by the square root of the cluster's share of the attention. Right on average,
///   it is far too high for some queries, so that estimates take no more of it than ``maximumBias``.
/// - `spread`: how far the scores of the cluster's keys lie apart, for each unit of the query's length. A cluster
///   is looked into for what it may hide, not only for what its centroid promises.
/// - `gain`: what an estimate of this cluster costs in output error, for each key it would take to read it.
/// - `valueSpread`: how far its values lie from the mean value, in units of an output's length.
///
/// and for each key a code of what its centroid leaves over (``BuildParameters/usesCodes``).
///
/// Rows far beyond all others (``outlierCount``) are in no cluster: every call attends to them exactly. And where
/// reading all rows costs no more than finding out which (``exactTolerance``), all are read.
///
/// Not a general nearest-neighbor index: it answers with attention outputs. Which rows are best, ``KeyValueIndex``
/// tells.
public final class ClusterIndex: AttentionIndex {
  /// What is frozen into the index when rows are inserted.
  public struct BuildParameters: Sendable, Hashable {
    /// Mean number of keys in a cluster. With codes, clusters may be large, since single keys are chosen in them;
    /// without codes half as large ones read less.
    public var clusterSize = 64
    /// Whether keys get codes, 1/16 of the bytes of key and value, by which single keys are chosen. Without, clusters
    /// are read whole.
    public var usesCodes = true
    /// Lloyd iterations, assignments counted.
    public var iterations = 4
    /// Seed of the first centroids.
    public var seed: UInt64 = 0

    public init() {}
  }

  /// What may differ from query to query.
  public struct SearchParameters: Sendable, Hashable {
    /// A key is read when its estimated share of the group's attention, times how far values lie from the mean value of
    /// its cluster, is above this; of the others one is read, and counts for as many, for each tolerance that they are
    /// worth together. Lower reads more, and errs less. Without codes, whole clusters are read by what their estimate
    /// costs, and 2e-4 suits.
    public var tolerance: Float = 3e-3
    /// Standard deviations of a cluster's scores by which its share is raised before it is compared: a centroid
    /// promises too little where scores lie apart, as in a cluster that hides one sharp key.
    public var spreadFactor: Float = 1.5
    /// Keys of clusters above this share of the tolerance are scored by their codes. What is not looked into costs more
    /// than what is not read: so the share is small, and the tolerance the higher for it.
    public var refinement: Float = 0.011
    /// Groups of clusters above this share of what a cluster must be worth are scored cluster by cluster; of the others
    /// the group's own estimate is used. 0 scores all clusters; the longer the context, the more is saved by groups.
    public var expansion: Float = 0.3
    /// With fewer clusters than this, expansion counts as 0: in short contexts groups cost as much in error as they
    /// save in bytes. 512 clusters of 64 keys are a context of 32K.
    public var minimumGroupedClusters = 512
    /// Most keys that one call reads, a bound on its time. The best keys, or clusters, are kept.
    public var maximumRetrieved = 8192

    public init() {}
  }

  public let dimension: Int
  public let build: BuildParameters
  public var search: SearchParameters
  /// Rows that were inserted, all segments together.
  public internal(set) var rowCount = 0
  /// Clusters of all segments.
  public internal(set) var clusterCount = 0
  /// Segments inserted so far.
  public internal(set) var segmentCount = 0
  /// Groups of clusters of all segments.
  public var groupCount: Int { groups.count }

  var centroids = RowBuffer<UInt16>()  // [clusters, d] f16
  var meanValues = RowBuffer<UInt16>()  // [clusters, d] f16
  var logMass = RowBuffer<Float>()  // [clusters]
  var spread = RowBuffer<Float>()  // [clusters]
  var gain = RowBuffer<Float>()  // [clusters]
  var valueSpread = RowBuffer<Float>()  // [clusters]
  /// `[clusters]`: logarithms of how many keys each has, outliers left out. Not in files.
  var logCounts = RowBuffer<Float>()
  /// `[clusters]`: what decoding's estimates add to the score of a centroid. Not in files.
  var logWeights = RowBuffer<Float>()
  /// Of clusters and groups.
  var highestSpread: Float = 0
  var groups = ClusterGroups()
  var outliers = OutlierRuns()
  var codes: ResidualCodes
  var starts = RowBuffer<UInt32>()  // [clusters + 1] row offsets from the first indexed row
  /// For each query head of a group: at this tolerance, and below, all rows are read. Learned when rows are inserted; 0
  /// where it pays to choose.
  public internal(set) var exactTolerance: Float = 0
  /// Nil but for an index of rows that another one will soon take.
  var draft: DraftGeometry?

  public init(dimension: Int, build: BuildParameters = .init(), search: SearchParameters = .init()) {
    precondition(dimension > 0, "the head dimension \(dimension) is not positive")
    self.dimension = dimension
    self.build = build
    self.search = search
    codes = ResidualCodes(dimension: dimension)
    starts.append(0)
  }

  /// Bytes of the index, without the rows.
  public var byteCount: Int {
    centroids.byteCount + meanValues.byteCount + logMass.byteCount + spread.byteCount + gain.byteCount
      + valueSpread.byteCount + logCounts.byteCount + logWeights.byteCount + codes.byteCount
      + starts.byteCount + groups.byteCount + outliers.byteCount
  }

  /// Log mass, spread, gain, spread of values and start of one cluster.
  static let statisticsByteCount = 20

  /// What follows from the arrays of clusters and groups, for those that are new.
  func updateDerived() {
    var run = 0
    for cluster in 0..<spread.count {
      let rows = clusterRows(cluster, run: &run)
      guard cluster >= logCounts.count else { continue }
      logCounts.append(log(Float(max(1, rows.count))))
      logWeights.append(min(logMass[cluster], logCounts[cluster] + Self.maximumBias))
      highestSpread = max(highestSpread, spread[cluster])
    }
    for number in groups.logWeights.count..<groups.count {
      let clusters = Int(groups.starts[number])..<Int(groups.starts[number + 1])
      // A group's clusters are of one segment, and outliers stand behind the last one of that.
      let rows = clusters.reduce(0) { $0 + exp(logCounts[$1]) }
      groups.logWeights.append(min(groups.logMass[number], log(max(1, rows)) + Self.maximumBias))
      highestSpread = max(highestSpread, groups.spread[number])
    }
  }

  /// Accounts for a new segment whose per-cluster arrays were just written.
  func commitSegment(rows: Int, clusters: Int) {
    updateDerived()
    rowCount += rows
    clusterCount += clusters
    segmentCount += 1
  }
}

// RetroInfer's wave index: clusters in three zones, read, estimated and left out.

import AttentionKernels
import Platform
public import RetrievalAttention
package import VectorIndex

/// Settings of `AttentionPolicy.retroInfer(_:)`: clusters of keys, of which the best are read and the next best
/// estimated (Chen et al., *RetroInfer: A Vector-Storage Approach for Scalable Long-Context LLM Inference*, arXiv
/// 2505.02922).
///
/// In segments of 8192 tokens, keys less their mean are clustered by spherical k-means. Clusters are ranked by the
/// softmax of their centroids' scores, summed over the group of query heads. The keys of the best are read (retrieval
/// zone); each of the next best counts as `n * exp(q.centroid)` with its mean value (estimation zone); the others count
/// nothing. The paper's cache on the GPU has no part in this. Budgets are the paper's.
public struct RetroInferSettings: PolicySettings {
  /// First tokens that are always attended to (with the window, the paper's steady zone).
  public var sinkCount = 4
  /// Last tokens that are always attended to. It grows to `windowCount + insertionCount` between insertions.
  public var windowCount = 64
  /// Mean number of keys in a cluster.
  public var clusterSize = 16
  /// Tokens that are clustered together at most.
  public var segmentCount = 8192
  /// Generated tokens that are clustered together.
  public var insertionCount = 1024
  /// Share of the clusters that are read.
  public var retrievalShare: Float = 0.018
  /// Share of the clusters that are estimated.
  public var estimationShare: Float = 0.232
  public var denseLayers: [Int] = []

  public init() {}

  public static let name = "retroinfer"
  public static let summary =
    "Sink and window exactly, the best clusters read, the next best estimated: RetroInfer."
  public static let paper: String? = "2505.02922"
  public static let tradeOff = """
    Clusters beyond both zones count nothing, and an estimate takes all keys of a cluster for alike.
    """
  public static let parameters: [PolicyParameter<RetroInferSettings>] = [
    .integer("sink", \.sinkCount, 0...Int(UInt32.max), "First tokens that are always attended to."),
    .integer("window", \.windowCount, 1...Int(UInt32.max), "Last tokens that are always attended to."),
    .integer("cluster", \.clusterSize, 1...65536, "Mean number of keys in a cluster."),
    .integer("segment", \.segmentCount, 1...1_000_000, "Tokens that are clustered together at most."),
    .integer(
      "insertion", \.insertionCount, 1...Int(UInt32.max), "Generated tokens that are clustered together."),
    .real("retrieval", \.retrievalShare, 0...1, "Share of the clusters that are read."),
    .real("estimation", \.estimationShare, 0...1, "Share of the clusters that are estimated."),
    .denseLayers(\.denseLayers),
  ]

  public func makeHead(rows: HeadRows, place: HeadPlace) throws(AttentionError) -> any HeadPolicy {
    RetroInferHead(rows: rows, settings: self, seed: place.seed)
  }
}

/// Rows between sink and window in clusters.
package final class RetroInferHead: UpdatedHead, MeasuredHead {
  /// Rows that were clustered together.
  struct Segment {
    /// The end of its rows, counted from the sink.
    var rowEnd: Int
    var clusterEnd: Int
    /// Rows of the head when it was made: going back before that undoes it.
    var madeAt: Int
  }

  package let rows: HeadRows
  let settings: RetroInferSettings
  private let seed: UInt64
  var segments: [Segment] = []
  var centroids = RowBuffer<UInt16>()  // [clusters, d] f16: mean keys
  var meanValues = RowBuffer<UInt16>()  // [clusters, d] f16
  var logCounts = RowBuffer<Float>()  // [clusters]
  var starts = RowBuffer<UInt32>()  // [clusters + 1] offsets into members
  var members = RowBuffer<UInt32>()  // [rows] rows of the head, cluster by cluster

  package init(rows: HeadRows, settings: RetroInferSettings, seed: UInt64) {
    self.rows = rows
    self.settings = settings
    self.seed = seed
    starts.append(0)
  }

  var clusterCount: Int { logCounts.count }
  package var indexedRowCount: Int { members.count }
  var indexedEnd: Int { settings.sinkCount + members.count }
  package var indexByteCount: Int {
    centroids.byteCount + meanValues.byteCount + logCounts.byteCount + starts.byteCount + members.byteCount
  }

  /// The rows of each cluster.
  package var clusters: [[Int]] {
    (0..<clusterCount).map { cluster in
      (Int(starts[cluster])..<Int(starts[cluster + 1])).map { Int(members[$0]) }
    }
  }

  /// Rows of the next segment; 0 for none.
  private func nextSegment(_ moment: UpdateMoment) -> Int {
    let waiting = rows.count - settings.windowCount - indexedEnd
    if waiting >= settings.segmentCount { return settings.segmentCount }
    switch moment {
    case .betweenBatches: return 0
    case .endOfPrompt: return max(0, waiting)
    case .decoding: return waiting >= settings.insertionCount ? waiting : 0
    }
  }

  package func needsUpdate(_ moment: UpdateMoment) -> Bool { nextSegment(moment) > 0 }

  package func update(_ moment: UpdateMoment, askPosition: Int, workspace: Workspace) {
    while case let count = nextSegment(moment), count > 0 { insert(count, workspace: workspace) }
  }

  private func insert(_ count: Int, workspace: Workspace) {
    let scratch = workspace.scope()
    let d = rows.dimension
    let first = indexedEnd
    let kernels = workspace.kernels
    let keys = unsafe scratch.list(count * d)
    unsafe kernels.unsafeUnpack(
      rows.keys.from(first), rowCount: count, dimension: d, target: keys.base, targetStride: d)
    let directions = unsafe scratch.floats(count * d)
    unsafe SphericalKMeans.direct(
      keys.base, count: count, dimension: d, into: directions, workspace: workspace)
    let clusters = unsafe SphericalKMeans.cluster(
      directions: directions, count: count, dimension: d,
      clusterCount: (count + settings.clusterSize - 1) / settings.clusterSize,
      seed: seed &+ UInt64(segments.count), in: scratch)
    unsafe store(
      ListView(clusters.assignments, count: count), clusters: clusters.clusterCount, keys: keys, first: first,
      workspace)
    segments.append(Segment(rowEnd: members.count, clusterEnd: clusterCount, madeAt: rows.count))
  }

  /// Appends the means and members of new clusters, all of which have members.
  private func store(
    _ assignments: ListView<UInt32>, clusters: Int, keys: ListView<Float>, first: Int, _ workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let (assignments, count, keys) = unsafe (assignments.base, assignments.count, keys.base)
    let d = rows.dimension
    let kernels = workspace.kernels
    let places = unsafe scratch.indices(clusters + 1)
    unsafe places.update(repeating: 0, count: clusters + 1)
    for i in 0..<count { unsafe places[Int(assignments[i]) + 1] += 1 }
    let begin = UInt32(members.count)
    for cluster in 0..<clusters {
      unsafe logCounts.append(log(Float(places[cluster + 1])))
      unsafe places[cluster + 1] += places[cluster]
      unsafe starts.append(begin + places[cluster + 1])
    }
    let list = unsafe members.grow(by: count)
    let (keySums, valueSums) = unsafe (scratch.floats(clusters * d), scratch.floats(clusters * d))
    unsafe keySums.update(repeating: 0, count: clusters * d)
    unsafe valueSums.update(repeating: 0, count: clusters * d)
    let value = unsafe scratch.floats(d)
    for i in 0..<count {
      let cluster = unsafe Int(assignments[i])
      unsafe list[Int(places[cluster])] = UInt32(first + i)
      unsafe places[cluster] += 1
      unsafe kernels.unsafeUnpack(
        rows.values.from(first + i), rowCount: 1, dimension: d, target: value, targetStride: d)
      unsafe kernels.unsafeAddScaled(keys + i * d, by: 1, to: keySums + cluster * d, count: d)
      unsafe kernels.unsafeAddScaled(value, by: 1, to: valueSums + cluster * d, count: d)
    }
    let firstCluster = clusterCount - clusters
    for cluster in 0..<clusters {
      let size = Float(starts[firstCluster + cluster + 1] - starts[firstCluster + cluster])
      unsafe kernels.unsafeScale(keySums + cluster * d, by: 1 / size, count: d)
      unsafe kernels.unsafeScale(valueSums + cluster * d, by: 1 / size, count: d)
    }
    unsafe kernels.unsafeConvertToFloat16(keySums, centroids.grow(by: clusters * d), count: clusters * d)
    unsafe kernels.unsafeConvertToFloat16(valueSums, meanValues.grow(by: clusters * d), count: clusters * d)
  }

  package func truncate(to count: Int) throws(AttentionError) {
    rows.removeLast(to: count)
    while let last = segments.last, last.madeAt > count { segments.removeLast() }
    let clusters = segments.last?.clusterEnd ?? 0
    members.removeLast(to: segments.last?.rowEnd ?? 0)
    logCounts.removeLast(to: clusters)
    starts.removeLast(to: clusters + 1)
    centroids.removeLast(to: clusters * rows.dimension)
    meanValues.removeLast(to: clusters * rows.dimension)
  }
}

// The upper level of a two-level scan: neighboring clusters, with one estimate for all of their keys.

/// Groups of about eight clusters of one segment, whose clusters stand next to each other.
///
/// In a long context most clusters promise next to nothing to a query, and reading all centroids and mean values would
/// cost more than what is retrieved. A group has what a cluster has, learned in the same way from the same queries: see
/// ``ClusterIndex``.
struct ClusterGroups: ~Copyable {
  /// Mean number of clusters in a group. With 8, reading the groups costs an eighth of reading the clusters.
  static let size = 8

  var centroids = RowBuffer<UInt16>()  // [groups, d] f16
  var meanValues = RowBuffer<UInt16>()  // [groups, d] f16
  var logMass = RowBuffer<Float>()  // [groups]
  var spread = RowBuffer<Float>()  // [groups]
  var gain = RowBuffer<Float>()  // [groups]
  var starts = RowBuffer<UInt32>()  // [groups + 1] offsets of clusters
  /// `[groups]`: what estimates add to the score of a centroid. Not in files.
  var logWeights = RowBuffer<Float>()

  init() {
    starts.append(0)
  }

  var count: Int { logMass.count }

  var byteCount: Int {
    centroids.byteCount + meanValues.byteCount + logMass.byteCount + spread.byteCount + gain.byteCount
      + starts.byteCount + logWeights.byteCount
  }
}

// The upper level of a two-level scan: neighboring clusters, with one estimate for all of their keys.

import AttentionKernels

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

  init() {
    starts.append(0)
  }

  var count: Int { logMass.count }

  var byteCount: Int {
    centroids.byteCount + meanValues.byteCount + logMass.byteCount + spread.byteCount + gain.byteCount
      + starts.byteCount
  }
}

extension ClusterIndex {
  /// Puts the clusters of new rows into groups of near ones, renumbers the rows' assignments (in the workspace) so that
  /// the clusters of a group follow one another, and appends the groups' offsets.
  ///
  /// - Parameters:
  ///   - points: `[count, d]`, in the geometry of the queries.
  ///   - assignments: `[count]`, in `0..<clusters`, each cluster with at least one row.
  func groupClusters(
    _ points: UnsafePointer<Float>, count n: Int, assignments: UnsafePointer<UInt32>, clusters: Int,
    seed: UInt64, workspace: Workspace
  ) {
    let d = dimension
    let means = workspace.floats(.groupMeans, clusters * d)
    means.update(repeating: 0, count: clusters * d)
    // [clusters] rows, then new numbers; [count] a copy of what k-means of the means will overwrite.
    let numbers = workspace.indices(.groupOrder, clusters + n)
    numbers.update(repeating: 0, count: clusters)
    let copy = numbers + clusters
    copy.update(from: assignments, count: n)
    for i in 0..<n {
      let c = Int(copy[i])
      numbers[c] += 1
      workspace.kernels.unsafeAddScaled(points + i * d, by: 1, to: means + c * d, count: d)
    }
    for c in 0..<clusters {
      workspace.kernels.unsafeScale(means + c * d, by: 1 / Float(numbers[c]), count: d)
    }
    let (groupOf, groupCount) = KMeans.cluster(
      points: means, count: clusters, dimension: d, clusterCount: max(1, clusters / ClusterGroups.size),
      iterations: build.iterations, seed: seed, workspace: workspace)
    var next = 0
    for number in 0..<groupCount {
      for c in 0..<clusters where groupOf[c] == number {
        numbers[c] = UInt32(next)
        next += 1
      }
      groups.starts.append(UInt32(clusterCount + next))
    }
    let renumbered = workspace.indices(.assignments, n)
    for i in 0..<n { renumbered[i] = numbers[Int(copy[i])] }
  }
}

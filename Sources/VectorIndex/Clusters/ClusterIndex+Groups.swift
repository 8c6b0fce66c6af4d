// Putting neighboring clusters into groups.

import AttentionKernels

extension ClusterIndex {
  /// Puts the clusters of new rows into groups of near ones, renumbers the rows' assignments so that the clusters of a
  /// group follow one another, and appends the groups' offsets.
  ///
  /// - Parameters:
  ///   - points: `[count, d]`, in the geometry of the queries.
  ///   - assignments: `[count]`, in `0..<clusters`, each cluster with at least one row.
  func groupClusters(
    _ points: FloatRows, assignments: ListView<UInt32>, clusters: Int, seed: UInt64, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let (n, d) = (points.count, dimension)
    let assignments = unsafe assignments.base
    let means = unsafe scratch.floats(clusters * d)
    unsafe means.update(repeating: 0, count: clusters * d)
    let sizes = unsafe scratch.indices(clusters)
    unsafe sizes.update(repeating: 0, count: clusters)
    for i in 0..<n {
      let c = unsafe Int(assignments[i])
      unsafe sizes[c] += 1
      unsafe workspace.kernels.unsafeAddScaled(points[i], by: 1, to: means + c * d, count: d)
    }
    for c in 0..<clusters {
      unsafe workspace.kernels.unsafeScale(means + c * d, by: 1 / Float(sizes[c]), count: d)
    }
    let (groupOf, groupCount) = unsafe KMeans.cluster(
      FloatRows(means, count: clusters, dimension: d), clusterCount: max(1, clusters / ClusterGroups.size),
      iterations: build.iterations, seed: seed, in: scratch)
    let numbers = unsafe scratch.indices(clusters)
    var next = 0
    for number in 0..<groupCount {
      for c in 0..<clusters where unsafe groupOf[c] == number {
        unsafe numbers[c] = UInt32(next)
        next += 1
      }
      groups.starts.append(UInt32(clusterCount + next))
    }
    for i in 0..<n { unsafe assignments[i] = numbers[Int(assignments[i])] }
  }
}

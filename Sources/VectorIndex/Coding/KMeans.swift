// Lloyd's algorithm on rows in f32. A few iterations from a random sample: centroids are only used to find
// candidates, and what later iterations still move hardly changes which ones these are.

package import AttentionKernels

package struct KMeans {
  /// Assigns each of the points, without gaps, to one of `clusterCount` clusters and returns the assignments,
  /// numbered without gaps, with the number of clusters that are not empty.
  ///
  /// Cost: `2 * count * clusterCount * d * iterations` operations. Deterministic for a seed and SIMD level.
  /// The assignments are in `result`.
  package static func cluster(
    _ points: FloatRows, clusterCount: Int, iterations: Int, seed: UInt64, in result: borrowing Scratch
  ) -> (assignments: UnsafeMutablePointer<UInt32>, clusterCount: Int) {
    let workspace = result.workspace
    let kernels = workspace.kernels
    let (count, d) = (points.count, points.dimension)
    let k = max(1, min(clusterCount, count))
    let assignments = unsafe result.indices(count)
    let scratch = workspace.scope()
    let centroids = unsafe scratch.floats(k * d)
    let sums = unsafe scratch.floats(k * d)
    let halfNorms = unsafe scratch.floats(k)
    let best = unsafe scratch.floats(count)
    let counts = unsafe scratch.indices(k)
    let kernelScratch = unsafe scratch.floats(Kernels.assignScratchCount(dimension: d))
    unsafe sample(points, k, into: centroids, seed: seed, workspace: workspace)

    for iteration in 0..<max(1, iterations) {
      unsafe Self.halfNorms(of: centroids, count: k, dimension: d, into: halfNorms)
      unsafe kernels.unsafeAssign(
        points, to: FloatRows(centroids, count: k, dimension: d), halfNorms: halfNorms,
        assignments: assignments, best: best, scratch: kernelScratch)
      if iteration == max(1, iterations) - 1 { break }
      unsafe sums.update(repeating: 0, count: k * d)
      unsafe counts.update(repeating: 0, count: k)
      for i in 0..<count {
        let j = unsafe Int(assignments[i])
        unsafe counts[j] += 1
        unsafe kernels.unsafeAddScaled(points[i], by: 1, to: sums + j * d, count: d)
      }
      // A cluster that lost all its points keeps its centroid: it may win some back.
      for j in 0..<k where unsafe counts[j] > 0 {
        let scale = unsafe 1 / Float(counts[j])
        for i in 0..<d { unsafe centroids[j * d + i] = sums[j * d + i] * scale }
      }
    }
    return unsafe (assignments, renumber(assignments, count: count, clusterCount: k, workspace: workspace))
  }

  /// Chooses k different rows as first centroids (the head of a Fisher-Yates shuffle).
  package static func sample(
    _ points: FloatRows, _ k: Int, into centroids: UnsafeMutablePointer<Float>, seed: UInt64,
    workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let (count, d) = (points.count, points.dimension)
    var generator = SeededGenerator(seed: seed)
    let order = unsafe scratch.indices(count)
    for i in 0..<count { unsafe order[i] = UInt32(i) }
    for j in 0..<k {
      let chosen = Int.random(in: j..<count, using: &generator)
      let row = unsafe Int(order[chosen])
      unsafe order[chosen] = order[j]
      unsafe (centroids + j * d).update(from: points[row], count: d)
    }
  }

  /// Half the squared lengths of centroids `[count, d]`.
  package static func halfNorms(
    of centroids: UnsafePointer<Float>, count: Int, dimension d: Int, into result: UnsafeMutablePointer<Float>
  ) {
    for j in 0..<count {
      var norm: Float = 0
      for i in 0..<d { unsafe norm += centroids[j * d + i] * centroids[j * d + i] }
      unsafe result[j] = 0.5 * norm
    }
  }

  /// Numbers the clusters below `clusterCount` that have points without gaps, and returns how many they are.
  package static func renumber(
    _ assignments: UnsafeMutablePointer<UInt32>, count: Int, clusterCount: Int, workspace: Workspace
  ) -> Int {
    let scratch = workspace.scope()
    let numbers = unsafe scratch.indices(clusterCount)
    unsafe numbers.update(repeating: 0, count: clusterCount)
    for i in 0..<count { unsafe numbers[Int(assignments[i])] = 1 }
    var next: UInt32 = 0
    for j in 0..<clusterCount where unsafe numbers[j] > 0 {
      unsafe numbers[j] = next
      next += 1
    }
    for i in 0..<count { unsafe assignments[i] = numbers[Int(assignments[i])] }
    return Int(next)
  }
}

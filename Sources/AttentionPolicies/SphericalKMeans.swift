// k-means by angle, as RetroInfer clusters keys.

import AttentionKernels
import RetrievalAttention
import VectorIndex

/// Lloyd's algorithm on directions: assignment by cosine, centroids made unit vectors.
enum SphericalKMeans {
  /// The paper's number of iterations.
  static let iterations = 10

  /// Writes keys `[count, d]` less their mean, as unit vectors.
  static func direct(
    _ keys: UnsafePointer<Float>, count: Int, dimension d: Int, into directions: UnsafeMutablePointer<Float>,
    workspace: Workspace
  ) {
    let mean = workspace.floats(.best, d)
    mean.update(repeating: 0, count: d)
    for i in 0..<count {
      workspace.kernels.unsafeAddScaled(keys + i * d, by: 1 / Float(count), to: mean, count: d)
    }
    directions.update(from: keys, count: count * d)
    for i in 0..<count {
      workspace.kernels.unsafeAddScaled(mean, by: -1, to: directions + i * d, count: d)
      normalize(directions + i * d, dimension: d, kernels: workspace.kernels)
    }
  }

  /// Assigns unit vectors `[count, d]` to clusters that are numbered without gaps and have members. The assignments
  /// live in the workspace until its next use.
  static func cluster(
    directions: UnsafePointer<Float>, count: Int, dimension d: Int, clusterCount: Int, seed: UInt64,
    workspace: Workspace
  ) -> (assignments: UnsafeMutablePointer<UInt32>, clusterCount: Int) {
    let k = max(1, min(clusterCount, count))
    let centroids = workspace.floats(.centroids, k * d)
    let sums = workspace.floats(.clusterSums, k * d)
    let halfNorms = workspace.floats(.halfNorms, k)
    // Centroids are unit vectors: what is subtracted is the same for all, and nothing.
    halfNorms.update(repeating: 0, count: k)
    let assignments = workspace.indices(.assignments, count)
    var generator = SeededGenerator(seed: seed)
    let order = workspace.indices(.order, count)
    for i in 0..<count { order[i] = UInt32(i) }
    for j in 0..<k {
      let chosen = Int.random(in: j..<count, using: &generator)
      (centroids + j * d).update(from: directions + Int(order[chosen]) * d, count: d)
      order[chosen] = order[j]
    }
    let scratch = workspace.floats(.kernel, Kernels.assignScratchCount(dimension: d))
    for iteration in 0..<iterations {
      workspace.kernels.unsafeAssign(
        points: directions, pointStride: d, pointCount: count, centroids: centroids, centroidStride: d,
        centroidCount: k, dimension: d, halfNorms: halfNorms, assignments: assignments,
        best: workspace.floats(.best, count), scratch: scratch)
      if iteration == iterations - 1 { break }
      sums.update(repeating: 0, count: k * d)
      for i in 0..<count {
        workspace.kernels.unsafeAddScaled(
          directions + i * d, by: 1, to: sums + Int(assignments[i]) * d, count: d)
      }
      for j in 0..<k where normalize(sums + j * d, dimension: d, kernels: workspace.kernels) {
        (centroids + j * d).update(from: sums + j * d, count: d)
      }
    }
    let numbers = workspace.indices(.counts, k)
    numbers.update(repeating: 0, count: k)
    for i in 0..<count { numbers[Int(assignments[i])] = 1 }
    var used: UInt32 = 0
    for j in 0..<k where numbers[j] > 0 {
      numbers[j] = used
      used += 1
    }
    for i in 0..<count { assignments[i] = numbers[Int(assignments[i])] }
    return (assignments, Int(used))
  }

  /// Makes a unit vector; false, and unchanged, for a vector without direction.
  @discardableResult
  private static func normalize(
    _ vector: UnsafeMutablePointer<Float>, dimension d: Int, kernels: Kernels
  ) -> Bool {
    var square: Float = 0
    for i in 0..<d { square += vector[i] * vector[i] }
    guard square > 0, square.isFinite else { return false }
    kernels.unsafeScale(vector, by: 1 / square.squareRoot(), count: d)
    return true
  }
}

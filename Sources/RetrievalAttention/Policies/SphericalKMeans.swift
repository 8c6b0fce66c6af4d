// k-means by angle, as RetroInfer clusters keys.

import AttentionKernels
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
    let scratch = workspace.scope()
    let mean = scratch.floats(d)
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
  /// are in `result`.
  static func cluster(
    directions: UnsafePointer<Float>, count: Int, dimension d: Int, clusterCount: Int, seed: UInt64,
    in result: borrowing Scratch
  ) -> (assignments: UnsafeMutablePointer<UInt32>, clusterCount: Int) {
    let assignments = result.indices(count)
    let scratch = result.workspace.scope()
    let kernels = scratch.kernels
    let k = max(1, min(clusterCount, count))
    let centroids = scratch.floats(k * d)
    let sums = scratch.floats(k * d)
    let halfNorms = scratch.floats(k)
    // Centroids are unit vectors: what is subtracted is the same for all, and nothing.
    halfNorms.update(repeating: 0, count: k)
    var generator = SeededGenerator(seed: seed)
    let order = scratch.indices(count)
    for i in 0..<count { order[i] = UInt32(i) }
    for j in 0..<k {
      let chosen = Int.random(in: j..<count, using: &generator)
      (centroids + j * d).update(from: directions + Int(order[chosen]) * d, count: d)
      order[chosen] = order[j]
    }
    let cosines = scratch.floats(count)
    let kernelScratch = scratch.floats(Kernels.assignScratchCount(dimension: d))
    for iteration in 0..<iterations {
      kernels.unsafeAssign(
        points: directions, pointStride: d, pointCount: count, centroids: centroids, centroidStride: d,
        centroidCount: k, dimension: d, halfNorms: halfNorms, assignments: assignments,
        best: cosines, scratch: kernelScratch)
      if iteration == iterations - 1 { break }
      sums.update(repeating: 0, count: k * d)
      for i in 0..<count {
        kernels.unsafeAddScaled(
          directions + i * d, by: 1, to: sums + Int(assignments[i]) * d, count: d)
      }
      for j in 0..<k where normalize(sums + j * d, dimension: d, kernels: kernels) {
        (centroids + j * d).update(from: sums + j * d, count: d)
      }
    }
    let numbers = scratch.indices(k)
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

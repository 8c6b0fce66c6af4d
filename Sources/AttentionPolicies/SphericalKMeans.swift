// k-means by angle, as RetroInfer clusters keys.

import AttentionKernels
import RetrievalAttention
import VectorIndex

/// Lloyd's algorithm on directions: assignment by cosine, centroids made unit vectors. What ``VectorIndex/KMeans`` does
/// with lengths that count.
enum SphericalKMeans {
  /// The paper's number of iterations.
  static let iterations = 10

  /// Writes keys `[count, d]` less their mean, as unit vectors.
  static func direct(
    _ keys: UnsafePointer<Float>, count: Int, dimension d: Int, into directions: UnsafeMutablePointer<Float>,
    workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let mean = unsafe scratch.floats(d)
    unsafe mean.update(repeating: 0, count: d)
    for i in 0..<count {
      unsafe workspace.kernels.unsafeAddScaled(keys + i * d, by: 1 / Float(count), to: mean, count: d)
    }
    unsafe directions.update(from: keys, count: count * d)
    for i in 0..<count {
      unsafe workspace.kernels.unsafeAddScaled(mean, by: -1, to: directions + i * d, count: d)
      unsafe normalize(directions + i * d, dimension: d, kernels: workspace.kernels)
    }
  }

  /// Assigns unit vectors `[count, d]` to clusters that are numbered without gaps and have members. The assignments
  /// are in `result`.
  static func cluster(
    directions: UnsafePointer<Float>, count: Int, dimension d: Int, clusterCount: Int, seed: UInt64,
    in result: borrowing Scratch
  ) -> (assignments: UnsafeMutablePointer<UInt32>, clusterCount: Int) {
    let assignments = unsafe result.indices(count)
    let scratch = result.workspace.scope()
    let kernels = scratch.kernels
    let k = max(1, min(clusterCount, count))
    let centroids = unsafe scratch.floats(k * d)
    let sums = unsafe scratch.floats(k * d)
    let halfNorms = unsafe scratch.floats(k)
    // Centroids are unit vectors: what is subtracted is the same for all, and nothing.
    unsafe halfNorms.update(repeating: 0, count: k)
    unsafe KMeans.sample(
      FloatRows(directions, count: count, dimension: d), k, into: centroids, seed: seed,
      workspace: scratch.workspace)
    let cosines = unsafe scratch.floats(count)
    let kernelScratch = unsafe scratch.floats(Kernels.assignScratchCount(dimension: d))
    for iteration in 0..<iterations {
      unsafe kernels.unsafeAssign(
        FloatRows(directions, count: count, dimension: d), to: FloatRows(centroids, count: k, dimension: d),
        halfNorms: halfNorms, assignments: assignments, best: cosines, scratch: kernelScratch)
      if iteration == iterations - 1 { break }
      unsafe sums.update(repeating: 0, count: k * d)
      for i in 0..<count {
        unsafe kernels.unsafeAddScaled(
          directions + i * d, by: 1, to: sums + Int(assignments[i]) * d, count: d)
      }
      for j in 0..<k where unsafe normalize(sums + j * d, dimension: d, kernels: kernels) {
        unsafe (centroids + j * d).update(from: sums + j * d, count: d)
      }
    }
    let used = unsafe KMeans.renumber(
      assignments, count: count, clusterCount: k, workspace: scratch.workspace)
    return unsafe (assignments, used)
  }

  /// Makes a unit vector; false, and unchanged, for a vector without direction.
  @discardableResult
  private static func normalize(
    _ vector: UnsafeMutablePointer<Float>, dimension d: Int, kernels: Kernels
  ) -> Bool {
    var square: Float = 0
    for i in 0..<d { unsafe square += vector[i] * vector[i] }
    guard square > 0, square.isFinite else { return false }
    unsafe kernels.unsafeScale(vector, by: 1 / square.squareRoot(), count: d)
    return true
  }
}

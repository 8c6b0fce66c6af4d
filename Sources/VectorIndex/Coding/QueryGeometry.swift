// Distances as the queries see them.
//
// Two keys are alike when queries score them alike: E[(q.(a-b))^2] = (a-b)' S (a-b), with S the second moment of
// the queries. Used is the square root of that metric, (a-b)' S^(1/2) (a-b): S itself trusts a small sample too much,
// and the plain Euclidean distance knows no queries.

import AttentionKernels

/// A linear map after which squared Euclidean distance is `(a-b)' S^(1/2) (a-b)`, S the queries' second moment.
struct QueryGeometry {
  /// Share of the mean eigenvalue that is added to S: directions that no training query used still count a little.
  static let ridge: Float = 1e-3

  /// Writes the symmetric maps `S^(1/4)` and `S^(-1/4)` `[d, d]` of queries `[count, d]`, each times a constant:
  /// keys go through the one and queries through the other without a change of their dot product.
  ///
  /// The scale of S does not matter to nearest-centroid assignment: it is normalized to a mean eigenvalue of 1.
  /// Cost: about 120 products of d x d matrices. With no queries both are the identity.
  static func maps(
    queries: UnsafePointer<Float>, count: Int, dimension d: Int, workspace: Workspace,
    keyMap: UnsafeMutablePointer<Float>, queryMap: UnsafeMutablePointer<Float>
  ) {
    let scratch = workspace.scope()
    let kernels = workspace.kernels
    let kernelScratch = unsafe scratch.floats(Kernels.gemmScratchCount)
    unsafe keyMap.update(repeating: 0, count: d * d)
    unsafe kernels.unsafeAddSecondMoment(
      of: FloatRows(queries, count: count, dimension: d), to: keyMap, scratch: kernelScratch)
    var trace: Float = 0
    for i in 0..<d { unsafe trace += keyMap[i * d + i] }
    guard trace > 0, trace.isFinite else {
      unsafe setIdentity(keyMap, d)
      unsafe setIdentity(queryMap, d)
      return
    }
    let mean = trace / Float(d)
    for i in 0..<d * d { unsafe keyMap[i] /= mean }
    for i in 0..<d { unsafe keyMap[i * d + i] += ridge }
    unsafe squareRoot(
      keyMap, inverse: queryMap, dimension: d, workspace: workspace, kernelScratch: kernelScratch)
    unsafe squareRoot(
      keyMap, inverse: queryMap, dimension: d, workspace: workspace, kernelScratch: kernelScratch)
  }

  /// The map of keys alone.
  static func map(
    queries: UnsafePointer<Float>, count: Int, dimension d: Int, workspace: Workspace,
    result: UnsafeMutablePointer<Float>
  ) {
    let scratch = workspace.scope()
    unsafe maps(
      queries: queries, count: count, dimension: d, workspace: workspace, keyMap: result,
      queryMap: scratch.floats(d * d))
  }

  private static func setIdentity(_ matrix: UnsafeMutablePointer<Float>, _ d: Int) {
    unsafe matrix.update(repeating: 0, count: d * d)
    for i in 0..<d { unsafe matrix[i * d + i] = 1 }
  }

  /// Replaces the symmetric positive definite matrix A by A^(1/2) and writes A^(-1/2), with the coupled
  /// Newton-Schulz iteration (Higham, Functions of Matrices, 6.7), which needs products only.
  ///
  /// Each step grows the smallest eigenvalues of the iterate 1.5 times, so 24 steps serve a condition number of
  /// over 1e6: more than the ridge leaves.
  private static func squareRoot(
    _ matrix: UnsafeMutablePointer<Float>, inverse: UnsafeMutablePointer<Float>, dimension d: Int,
    workspace: Workspace, kernelScratch: UnsafeMutablePointer<Float>
  ) {
    let scratch = workspace.scope()
    let kernels = workspace.kernels
    let size = d * d
    var norm: Float = 0
    for i in 0..<size { unsafe norm += matrix[i] * matrix[i] }
    norm = norm.squareRoot()
    var y = unsafe scratch.floats(5 * size)
    var yNext = unsafe y + size
    let correction = unsafe y + 2 * size
    var z = unsafe y + 3 * size
    var zNext = unsafe y + 4 * size
    for i in 0..<size { unsafe y[i] = matrix[i] / norm }
    unsafe setIdentity(z, d)
    func multiply(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafeMutablePointer<Float>) {
      unsafe kernels.unsafeGEMM(
        FloatMatrix(a, rows: d, columns: d), FloatMatrix(b, rows: d, columns: d), into: c,
        scratch: kernelScratch)
    }
    for _ in 0..<24 {
      unsafe multiply(z, y, correction)
      var distance: Float = 0
      for i in 0..<size { unsafe correction[i] *= -0.5 }
      for i in 0..<d {
        distance = unsafe max(distance, abs(correction[i * d + i] + 0.5))
        unsafe correction[i * d + i] += 1.5
      }
      unsafe multiply(y, correction, yNext)
      unsafe multiply(correction, z, zNext)
      unsafe swap(&y, &yNext)
      unsafe swap(&z, &zNext)
      if distance < 1e-4 { break }
    }
    let root = norm.squareRoot()
    for i in 0..<d {
      for j in 0..<d {
        // Symmetric up to rounding, which the second root would amplify.
        unsafe matrix[i * d + j] = 0.5 * root * (y[i * d + j] + y[j * d + i])
        unsafe inverse[i * d + j] = 0.5 / root * (z[i * d + j] + z[j * d + i])
      }
    }
  }
}

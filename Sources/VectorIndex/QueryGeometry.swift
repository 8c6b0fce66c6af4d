// Distances as the queries see them.
//
// Two keys are alike when queries score them alike: E[(q.(a-b))^2] = (a-b)' S (a-b), with S the second moment of
// the queries. Measured on heads of two models, the square root of that metric, (a-b)' S^(1/2) (a-b), clusters
// better than S itself (which trusts a small sample too much) and than the plain Euclidean distance.

import AttentionKernels

/// A linear map after which squared Euclidean distance is `(a-b)' S^(1/2) (a-b)`, S the queries' second moment.
struct QueryGeometry {
  /// Share of the mean eigenvalue that is added to S: directions that no training query used still count a little.
  static let ridge: Float = 1e-3

  /// Writes the map L `[d, d]` (row-major, lower triangular, `L L' = S^(1/2)`) for queries `[count, d]`.
  ///
  /// The scale of S does not matter to nearest-centroid assignment and is normalized away.
  /// Cost: about 60 products of d x d matrices. With no queries L is the identity.
  static func map(
    queries: UnsafePointer<Float>, count: Int, dimension d: Int, workspace: Workspace,
    result: UnsafeMutablePointer<Float>
  ) {
    let kernels = workspace.kernels
    let moment = workspace.floats(.geometry, 3 * d * d)
    let scratch = workspace.floats(.kernel, Kernels.gemmScratchCount)
    moment.update(repeating: 0, count: d * d)
    kernels.unsafeSecondMoment(
      rows: queries, rowStride: d, rowCount: count, dimension: d, moment: moment, momentStride: d,
      scratch: scratch)
    var trace: Float = 0
    for i in 0..<d { trace += moment[i * d + i] }
    guard trace > 0, trace.isFinite else {
      setIdentity(result, d)
      return
    }
    let mean = trace / Float(d)
    for i in 0..<d { moment[i * d + i] += ridge * mean }
    squareRoot(moment, dimension: d, workspace: workspace, scratch: scratch)
    if !cholesky(moment, dimension: d, result: result) { setIdentity(result, d) }
  }

  private static func setIdentity(_ matrix: UnsafeMutablePointer<Float>, _ d: Int) {
    matrix.update(repeating: 0, count: d * d)
    for i in 0..<d { matrix[i * d + i] = 1 }
  }

  /// Replaces the symmetric positive definite matrix A by a multiple of A^(1/2) with the coupled Newton-Schulz
  /// iteration (Higham, Functions of Matrices, 6.7), which needs products only.
  ///
  /// Each step grows the smallest eigenvalues of the iterate 1.5 times, so 24 steps serve a condition number of
  /// over 1e6: more than the ridge leaves.
  private static func squareRoot(
    _ matrix: UnsafeMutablePointer<Float>, dimension d: Int, workspace: Workspace,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let kernels = workspace.kernels
    let size = d * d
    var norm: Float = 0
    for i in 0..<size { norm += matrix[i] * matrix[i] }
    norm = norm.squareRoot()
    for i in 0..<size { matrix[i] /= norm }
    var y = matrix
    var yNext = matrix + size
    let correction = matrix + 2 * size
    var z = workspace.floats(.geometry2, 2 * size)
    var zNext = z + size
    setIdentity(z, d)
    func multiply(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafeMutablePointer<Float>) {
      kernels.unsafeGEMM(
        a: a, aRowStride: d, aColumnStride: 1, b: b, bRowStride: d, bColumnStride: 1, c: c, cRowStride: d,
        rows: d, columns: d, inner: d, accumulate: false, scratch: scratch)
    }
    for _ in 0..<24 {
      multiply(z, y, correction)
      var distance: Float = 0
      for i in 0..<size { correction[i] *= -0.5 }
      for i in 0..<d {
        distance = max(distance, abs(correction[i * d + i] + 0.5))
        correction[i * d + i] += 1.5
      }
      multiply(y, correction, yNext)
      multiply(correction, z, zNext)
      swap(&y, &yNext)
      swap(&z, &zNext)
      if distance < 1e-4 { break }
    }
    if y != matrix { matrix.update(from: y, count: size) }
  }

  /// Lower triangular L with `L L' = A`; false when A is not positive definite to working precision.
  private static func cholesky(
    _ a: UnsafePointer<Float>, dimension d: Int, result l: UnsafeMutablePointer<Float>
  ) -> Bool {
    l.update(repeating: 0, count: d * d)
    for i in 0..<d {
      for j in 0...i {
        // The iterate is symmetric up to rounding; its mean with the transpose is exactly so.
        var sum = Double(0.5 * (a[i * d + j] + a[j * d + i]))
        for k in 0..<j { sum -= Double(l[i * d + k]) * Double(l[j * d + k]) }
        if i == j {
          guard sum > 1e-12 else { return false }
          l[i * d + i] = Float(sum.squareRoot())
        } else {
          l[i * d + j] = Float(sum / Double(l[j * d + j]))
        }
      }
    }
    return true
  }
}

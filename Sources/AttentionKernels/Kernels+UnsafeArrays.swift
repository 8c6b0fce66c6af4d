// Matrix products, the k-means step, conversions and array operations over raw memory: nothing is checked here.
// Strides are in elements.

internal import CAttentionKernels

extension Kernels {
  /// `C = A B`, or `C += A B`, of f32 matrices; C `[a.rows, b.columns]`. Sums are f32, in blocks of 256 terms.
  ///
  /// - Parameters:
  ///   - stride: elements from row to row of C; those of rows without gaps for nil.
  ///   - scratch: ``gemmScratchCount`` floats.
  @unsafe package func unsafeGEMM(
    _ a: FloatMatrix, _ b: FloatMatrix, into c: UnsafeMutablePointer<Float>, stride: Int? = nil,
    accumulate: Bool = false, scratch: UnsafeMutablePointer<Float>
  ) {
    unsafe table.pointee.gemm_f32(
      a.base, a.rowStride, a.columnStride, b.base, b.rowStride, b.columnStride, c, stride ?? b.columns,
      a.rows, b.columns, a.columns, accumulate ? 1 : 0, scratch)
  }

  /// `moment += X^T X` for X `[rows, dimension]`; moment `[dimension, dimension]` without gaps.
  ///
  /// - Parameter scratch: ``gemmScratchCount`` floats.
  @unsafe package func unsafeAddSecondMoment(
    of rows: FloatRows, to moment: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    let matrix = unsafe FloatMatrix(rows.base, rows: rows.count, columns: rows.dimension, stride: rows.stride)
    unsafe unsafeGEMM(matrix.transposed, matrix, into: moment, accumulate: true, scratch: scratch)
  }

  /// The nearest centroid of each point: the j with the highest `points[i] . centroids[j] - halfNorms[j]`, the lowest
  /// of equals, where `halfNorms[j]` is half the squared norm of centroid j. 1 to 2^24 centroids.
  ///
  /// - Parameters:
  ///   - halfNorms: `[centroids]`
  ///   - assignments: `[points]`
  ///   - best: `[points]`: the highest value of each; the squared distance is `|point|^2 - 2 * best`.
  ///   - scratch: ``assignScratchCount(dimension:)`` floats.
  @unsafe package func unsafeAssign(
    _ points: FloatRows, to centroids: FloatRows, halfNorms: UnsafePointer<Float>,
    assignments: UnsafeMutablePointer<UInt32>, best: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    unsafe table.pointee.assign_f32(
      points.rows, points.count, centroids.rows, centroids.count, points.dimension, halfNorms, assignments,
      best, scratch)
  }

  /// To nearest even; overflow gives infinity.
  @unsafe package func unsafeConvertToFloat16(
    _ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<UInt16>, count: Int
  ) {
    unsafe table.pointee.convert_f32_to_f16(source, target, count)
  }

  /// Exact.
  @unsafe package func unsafeConvertFromFloat16(
    _ source: UnsafePointer<UInt16>, _ target: UnsafeMutablePointer<Float>, count: Int
  ) {
    unsafe table.pointee.convert_f16_to_f32(source, target, count)
  }

  /// To nearest even.
  @unsafe package func unsafeConvertToBFloat16(
    _ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<UInt16>, count: Int
  ) {
    unsafe table.pointee.convert_f32_to_bf16(source, target, count)
  }

  /// Exact.
  @unsafe package func unsafeConvertFromBFloat16(
    _ source: UnsafePointer<UInt16>, _ target: UnsafeMutablePointer<Float>, count: Int
  ) {
    unsafe table.pointee.convert_bf16_to_f32(source, target, count)
  }

  /// e^x; in place is fine.
  @unsafe package func unsafeExp(
    _ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, count: Int
  ) {
    unsafe table.pointee.exp_f32(source, target, count)
  }

  /// Natural logarithms, -infinity below 2^-126; in place is fine.
  @unsafe package func unsafeLog(
    _ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, count: Int
  ) {
    unsafe table.pointee.log_f32(source, target, count)
  }

  /// Adds scores to the running maximum and sum of one query's softmax.
  @unsafe package func unsafeAddMass(
    _ scores: UnsafePointer<Float>, count: Int, maximum: UnsafeMutablePointer<Float>,
    sum: UnsafeMutablePointer<Float>
  ) {
    unsafe table.pointee.add_mass_f32(scores, count, maximum, sum)
  }

  /// `shares[i] += exp(scores[i] - logTotal + min(raise.perSpread * spreads[i], raise.most))`
  @unsafe package func unsafeAddShares(
    _ scores: UnsafePointer<Float>, spreads: UnsafePointer<Float>, count: Int, logTotal: Float,
    raise: SpreadRaise, to shares: UnsafeMutablePointer<Float>
  ) {
    unsafe table.pointee.add_shares_f32(scores, spreads, count, logTotal, raise.perSpread, raise.most, shares)
  }

  /// `y[i] += a * x[i]`
  @unsafe package func unsafeAddScaled(
    _ x: UnsafePointer<Float>, by a: Float, to y: UnsafeMutablePointer<Float>, count: Int
  ) {
    unsafe table.pointee.add_scaled_f32(x, a, y, count)
  }

  /// `x[i] *= a`
  @unsafe package func unsafeScale(_ x: UnsafeMutablePointer<Float>, by a: Float, count: Int) {
    unsafe table.pointee.scale_f32(x, a, count)
  }
}

/// By how much the logarithm of a share is raised for the spread of what is behind it.
package struct SpreadRaise {
  package var perSpread: Float
  package var most: Float

  package init(perSpread: Float, most: Float) {
    self.perSpread = perSpread
    self.most = most
  }
}

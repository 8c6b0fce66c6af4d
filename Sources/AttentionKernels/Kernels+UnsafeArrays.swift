// Matrix products, the k-means step, conversions and array operations over raw memory: nothing is checked here.
// Strides are in elements.

internal import CAttentionKernels

extension Kernels {
  /// `c[i, j] (+)= sum over p of A[i, p] * B[p, j]` with `A[i, p]` at `a[i * aRowStride + p * aColumnStride]` and
  /// B alike, so that either may be a transpose. Scratch: ``gemmScratchCount``.
  package func unsafeGEMM(
    a: UnsafePointer<Float>, aRowStride: Int, aColumnStride: Int,
    b: UnsafePointer<Float>, bRowStride: Int, bColumnStride: Int,
    c: UnsafeMutablePointer<Float>, cRowStride: Int,
    rows: Int, columns: Int, inner: Int, accumulate: Bool, scratch: UnsafeMutablePointer<Float>
  ) {
    table.pointee.gemm_f32(
      a, aRowStride, aColumnStride, b, bRowStride, bColumnStride, c, cRowStride, rows, columns, inner,
      accumulate ? 1 : 0, scratch)
  }

  /// `moment += X^T X` for X `[rowCount, dimension]`, moment `[dimension, dimension]`.
  /// Scratch: ``gemmScratchCount``.
  package func unsafeSecondMoment(
    rows: UnsafePointer<Float>, rowStride: Int, rowCount: Int, dimension: Int,
    moment: UnsafeMutablePointer<Float>, momentStride: Int, scratch: UnsafeMutablePointer<Float>
  ) {
    unsafeGEMM(
      a: rows, aRowStride: 1, aColumnStride: rowStride, b: rows, bRowStride: rowStride, bColumnStride: 1,
      c: moment, cRowStride: momentStride, rows: dimension, columns: dimension, inner: rowCount,
      accumulate: true, scratch: scratch)
  }

  /// `best[i]` = max over j of `points[i] . centroids[j] - halfNorms[j]`, `assignments[i]` the lowest such j.
  /// 1 to 2^24 centroids. Scratch: ``assignScratchCount(dimension:)``.
  package func unsafeAssign(
    points: UnsafePointer<Float>, pointStride: Int, pointCount: Int,
    centroids: UnsafePointer<Float>, centroidStride: Int, centroidCount: Int, dimension: Int,
    halfNorms: UnsafePointer<Float>, assignments: UnsafeMutablePointer<UInt32>,
    best: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    table.pointee.assign_f32(
      ak_rows_f32(data: points, stride: pointStride), pointCount,
      ak_rows_f32(data: centroids, stride: centroidStride), centroidCount, dimension, halfNorms, assignments,
      best, scratch)
  }

  /// To nearest even; overflow gives infinity.
  package func unsafeConvertToFloat16(
    _ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<UInt16>, count: Int
  ) {
    table.pointee.convert_f32_to_f16(source, target, count)
  }

  /// Exact.
  package func unsafeConvertFromFloat16(
    _ source: UnsafePointer<UInt16>, _ target: UnsafeMutablePointer<Float>, count: Int
  ) {
    table.pointee.convert_f16_to_f32(source, target, count)
  }

  /// To nearest even.
  package func unsafeConvertToBFloat16(
    _ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<UInt16>, count: Int
  ) {
    table.pointee.convert_f32_to_bf16(source, target, count)
  }

  /// Exact.
  package func unsafeConvertFromBFloat16(
    _ source: UnsafePointer<UInt16>, _ target: UnsafeMutablePointer<Float>, count: Int
  ) {
    table.pointee.convert_bf16_to_f32(source, target, count)
  }

  /// e^x; in place is fine.
  package func unsafeExp(_ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, count: Int) {
    table.pointee.exp_f32(source, target, count)
  }

  /// Natural logarithms, -infinity below 2^-126; in place is fine.
  package func unsafeLog(_ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, count: Int) {
    table.pointee.log_f32(source, target, count)
  }

  /// Adds scores to the running maximum and sum of one query's softmax.
  package func unsafeAddMass(
    _ scores: UnsafePointer<Float>, count: Int, maximum: UnsafeMutablePointer<Float>,
    sum: UnsafeMutablePointer<Float>
  ) {
    table.pointee.add_mass_f32(scores, count, maximum, sum)
  }

  /// `shares[i] += exp(scores[i] - logTotal + min(perSpread * spreads[i], most))`
  package func unsafeAddShares(
    _ scores: UnsafePointer<Float>, spreads: UnsafePointer<Float>, count: Int, logTotal: Float,
    perSpread: Float, most: Float, to shares: UnsafeMutablePointer<Float>
  ) {
    table.pointee.add_shares_f32(scores, spreads, count, logTotal, perSpread, most, shares)
  }

  /// `y[i] += a * x[i]`
  package func unsafeAddScaled(
    _ x: UnsafePointer<Float>, by a: Float, to y: UnsafeMutablePointer<Float>, count: Int
  ) {
    table.pointee.add_scaled_f32(x, a, y, count)
  }

  /// `x[i] *= a`
  package func unsafeScale(_ x: UnsafeMutablePointer<Float>, by a: Float, count: Int) {
    table.pointee.scale_f32(x, a, count)
  }
}

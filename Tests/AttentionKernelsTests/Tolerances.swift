/// How far results may be from a Double computation, by operation. Loosening one is a change to review.
///
/// Errors are relative to a magnitude named here, because sums of mixed signs cancel.
enum Tolerance {
  /// Of the sum of the products' magnitudes. Sums are f32 in 1 to 16 partial sums of at most d = 256 terms in
  /// the tests; random rounding gives about sqrt(256) * 2^-24 = 9.5e-7 for the scalar level's single sum.
  static let dot = 2e-6
  /// Of the sum of the magnitudes of a coded score's three terms: f32 roundings of exact integer sums.
  static let codes = 3e-7
  /// Relative. The polynomial's 1.2e-7, squared above x = 80.
  static let exp = 2.5e-7
  /// Of a block's largest magnitude, for an 8-bit element: half a step, and 127 times what a step loses as f16.
  static let q8 = 0.5 / 127 + 0x1p-11
  /// Relative, or 1e-7 when that is more.
  static let log = 2.5e-7
  /// Relative, of the exponential of a score of terms of a magnitude: the polynomial's error, and the roundings of the
  /// terms and of their products with log2 e.
  static func weight(magnitude: Double) -> Double { 4e-7 + 2.5e-7 * magnitude }
  /// Of the largest value, for normalized attention. A score s has an error of about |s| * 1e-6, which goes into
  /// the weight as it is; the tests' scores stay below 20 in magnitude.
  static let attention = 2e-5
  /// Absolute, of a log-sum-exp: the same errors of the scores, and |lse| * 2^-24.
  static let logSumExp = 2e-5
}

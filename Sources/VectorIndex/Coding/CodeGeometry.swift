// Where keys are quantized: coordinates in which an error of any direction costs alike.

import AttentionKernels
import Platform

/// A linear change of coordinates that keeps every score: `q.k = (q B).((k - mean) F) + q.mean`, with `F B' = 1`.
///
/// With C the covariance of the keys, S the second moment of the queries and `C^(1/2) S C^(1/2) = W diag(v) W'`,
/// `F = C^(-1/2) W diag(v^e)`. Keys then have the variances `v^(2e)` and no correlations, and neither have queries,
/// with `v^(1-2e)`.
/// Unlike ``QueryGeometry``, which clusters use, it knows how keys spread: codes spend bits by that, distances do not.
/// - `e = 1/2`: queries are white, so the squared error of a key is that of its scores. What product quantization
///   wants, which spends its bits by variance.
/// - `e = 1/4`: keys and queries share the spread evenly, which makes `E|q|^2 E|k|^2` smallest. What a quantizer of
///   equal steps in all coordinates wants.
final class CodeGeometry {
  let dimension: Int
  /// `[d]`
  let mean: RowBuffer<Float>
  /// F, `[d, d]`: keys are rows and multiply it from the left.
  let forward: RowBuffer<Float>
  /// B transposed, `[d, d]`: a query's coordinate j is its product with row j.
  let backward: RowBuffer<Float>
  /// v, highest first, `[d]`.
  let spectrum: RowBuffer<Float>

  /// Share of the mean eigenvalue that is added to S: questions to come also look where no training query did. Ten
  /// times less trusts the training queries too much, ten times more too little.
  static let queryRidge = 0.1
  /// The same for C, against coordinates in which no key varies.
  static let keyRidge = 1e-4

  /// - Parameters:
  ///   - keys: without gaps, of which the covariance is taken
  ///   - training: without any, all directions of queries count alike
  ///   - exponent: e above
  ///   - spreads: whether a rotation follows that gives all coordinates like variances
  init(
    keys: FloatRows, training: TrainingQueries, exponent: Double, spreads: Bool, seed: UInt64,
    workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let (count, d) = (keys.count, keys.dimension)
    dimension = d
    let mean = Self.mean(of: keys)
    self.mean = RowBuffer(mean)
    // Centered exactly, not by taking mean mean' from the moment: keys can be far from the origin.
    let centered = unsafe scratch.floats(count * d)
    for i in 0..<count {
      for j in 0..<d { unsafe centered[i * d + j] = keys.base[i * d + j] - mean[j] }
    }
    let covariance = unsafe Self.moment(
      FloatRows(centered, count: count, dimension: d), ridge: Self.keyRidge, workspace: workspace)
    let moment = unsafe Self.moment(
      FloatRows(training.queries, count: training.count, dimension: d), ridge: Self.queryRidge,
      workspace: workspace)
    let (root, inverseRoot) = Self.roots(of: covariance, dimension: d)
    let both = SymmetricEigen(
      squareProduct(squareProduct(root, moment, dimension: d), root, dimension: d), dimension: d)
    let highest = max(both.values.first ?? 1, 1e-300)
    let values = both.values.map { max($0, highest * 1e-12) }
    spectrum = RowBuffer(values.map { Float($0) })
    // Rows of the eigenvectors are the columns of W, so both come out transposed: W' C^(-1/2) and W' C^(1/2).
    var forward = squareProduct(both.vectors, inverseRoot, dimension: d)
    var backward = squareProduct(both.vectors, root, dimension: d)
    for i in 0..<d {
      let scale = pow(values[i], exponent)
      for j in 0..<d {
        forward[i * d + j] *= scale
        backward[i * d + j] /= scale
      }
    }
    if spreads {
      let rotation = Self.spreadingRotation(dimension: d, seed: seed)
      forward = squareProduct(rotation, forward, dimension: d)
      backward = squareProduct(rotation, backward, dimension: d)
    }
    var transposed = [Float](repeating: 0, count: d * d)
    for i in 0..<d {
      for j in 0..<d { transposed[j * d + i] = Float(forward[i * d + j]) }
    }
    self.forward = RowBuffer(transposed)
    self.backward = RowBuffer(backward.map { Float($0) })
  }

  init(
    dimension: Int, mean: consuming RowBuffer<Float>, forward: consuming RowBuffer<Float>,
    backward: consuming RowBuffer<Float>, spectrum: consuming RowBuffer<Float>
  ) {
    self.dimension = dimension
    self.mean = mean
    self.forward = forward
    self.backward = backward
    self.spectrum = spectrum
  }

  private static func mean(of keys: FloatRows) -> [Float] {
    let (rows, count, d) = unsafe (keys.base, keys.count, keys.dimension)
    var sums = [Double](repeating: 0, count: d)
    for i in 0..<count {
      for j in 0..<d { unsafe sums[j] += Double(rows[i * d + j]) }
    }
    return sums.map { count > 0 ? Float($0 / Double(count)) : 0 }
  }

  /// The mean of `r r'` over rows r, with a ridge; the identity when that says nothing.
  private static func moment(
    _ rows: FloatRows, ridge: Double, workspace: Workspace
  ) -> [Double] {
    let scratch = workspace.scope()
    let d = rows.dimension
    var result = [Float](repeating: 0, count: d * d)
    if rows.count > 0 {
      unsafe workspace.kernels.unsafeAddSecondMoment(
        of: rows, to: &result,
        scratch: scratch.floats(Kernels.gemmScratchCount))
    }
    var trace = 0.0
    for i in 0..<d { trace += Double(result[i * d + i]) }
    guard trace > 0, trace.isFinite else {
      return (0..<d * d).map { $0 / d == $0 % d ? 1 : 0 }
    }
    // Only ratios matter to the directions; the mean variance becomes 1.
    let unit = Double(d) / trace
    var matrix = [Double](repeating: 0, count: d * d)
    for i in 0..<d {
      for j in 0..<d { matrix[i * d + j] = 0.5 * unit * Double(result[i * d + j] + result[j * d + i]) }
      matrix[i * d + i] += ridge
    }
    return matrix
  }

  /// `C^(1/2)` and `C^(-1/2)`.
  private static func roots(of matrix: [Double], dimension d: Int) -> (root: [Double], inverse: [Double]) {
    let eigen = SymmetricEigen(matrix, dimension: d)
    var transposed = [Double](repeating: 0, count: d * d)
    var scaled = eigen.vectors
    var inverted = eigen.vectors
    for i in 0..<d {
      let root = max(eigen.values[i], 1e-12).squareRoot()
      for j in 0..<d {
        transposed[j * d + i] = eigen.vectors[i * d + j]
        scaled[i * d + j] *= root
        inverted[i * d + j] /= root
      }
    }
    return (
      squareProduct(transposed, scaled, dimension: d), squareProduct(transposed, inverted, dimension: d)
    )
  }

  /// An orthogonal matrix without large elements, for any d: the cosine transform (DCT-IV) of coordinates with
  /// random signs.
  private static func spreadingRotation(dimension d: Int, seed: UInt64) -> [Double] {
    var generator = SeededGenerator(seed: seed)
    let signs = (0..<d).map { _ in Bool.random(using: &generator) ? 1.0 : -1.0 }
    let scale = (2 / Double(d)).squareRoot()
    return (0..<d * d).map { index in
      let (i, j) = (index / d, index % d)
      return scale * signs[j] * cos(Double.pi / Double(d) * (Double(i) + 0.5) * (Double(j) + 0.5))
    }
  }
}

extension CodeGeometry {
  var byteCount: Int { mean.byteCount + forward.byteCount + backward.byteCount + spectrum.byteCount }

  /// Rows mapped at a time: 1024 rows of 128 floats are half a megabyte and stay in the L2.
  static let mappedRows = 1024
  /// Rows that codes are learned from, evenly over what is inserted first.
  static let learnedRows = 4096

  /// Writes `(k - mean) F` for keys `[count, d]`.
  func map(
    keys: PackedRows, count: Int, workspace: Workspace, result: ListView<Float>
  ) {
    let scratch = workspace.scope()
    let d = dimension
    let kernels = workspace.kernels
    let points = unsafe scratch.floats(count * d)
    let mean = unsafe mean.base
    unsafe kernels.unsafeUnpack(keys, rowCount: count, dimension: d, target: points, targetStride: d)
    for i in 0..<count {
      for j in 0..<d { unsafe points[i * d + j] -= mean[j] }
    }
    unsafe kernels.unsafeGEMM(
      FloatMatrix(points, rows: count, columns: d), FloatMatrix(forward.base, rows: d, columns: d),
      into: result.base, scratch: scratch.floats(Kernels.gemmScratchCount))
  }

  /// Writes `q B` `[group.count, d]` and `q.mean` `[group.count]`.
  func map(
    _ group: QueryGroup, kernels: Kernels, result: ListView<Float>, bases: ListView<Float>
  ) {
    let d = dimension
    unsafe kernels.unsafeDot(
      group.rows(dimension: d), with: FloatRows(backward.base, count: d, dimension: d), scores: result.base)
    unsafe kernels.unsafeDot(
      group.rows(dimension: d), with: FloatRows(mean.base, count: 1, dimension: d), scores: bases.base)
  }

  /// Up to ``learnedRows`` of the rows, evenly, but for outliers, in f32 in `scratch`.
  static func sample(
    _ keys: PackedRows, count: Int, outliers: [UInt32], dimension d: Int, in scratch: borrowing Scratch
  ) -> FloatRows {
    let chosen = min(count, learnedRows)
    let result = unsafe scratch.floats(chosen * d)
    var (kept, next) = (0, 0)
    for i in 0..<chosen {
      let row = i * count / chosen
      while next < outliers.count, outliers[next] < row { next += 1 }
      if next < outliers.count, outliers[next] == row { continue }
      unsafe scratch.kernels.unsafeUnpack(
        keys.from(row), rowCount: 1, dimension: d, target: result + kept * d, targetStride: d)
      kept += 1
    }
    return unsafe FloatRows(result, count: kept, dimension: d)
  }
}

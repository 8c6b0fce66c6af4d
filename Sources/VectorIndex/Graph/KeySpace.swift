// Where keys lie for the purpose of a build: as they are, or mapped to the geometry of the queries.

import AttentionKernels

/// Keys as points with squared Euclidean distances, in the scope that they were made in.
struct KeySpace {
  /// Half squared lengths included, so searches find what is nearest.
  let scoring: ScoredRows
  let count: Int
  /// Points that are in no link, rising: they may be anywhere.
  let outliers: UnsafeBufferPointer<UInt32>
  private let halfNorms: UnsafePointer<Float>
  private let workspace: Workspace

  /// Points `[count, d]`. Reads each point once.
  init(
    points: PackedRows, count: Int, outliers: UnsafeBufferPointer<UInt32>, dimension d: Int,
    in result: borrowing Scratch
  ) {
    let norms = result.floats(count)
    let workspace = result.workspace
    let scratch = workspace.scope()
    let point = scratch.floats(d)
    // By the same kernel as distances, so that the distance of equal points is exactly zero.
    for i in 0..<count {
      let row = points.from(i)
      workspace.kernels.unsafeUnpack(row, rowCount: 1, dimension: d, target: point, targetStride: d)
      workspace.kernels.unsafeDot(
        queries: point, queryStride: d, queryCount: 1, rows: row, rowCount: 1,
        dimension: d, scores: norms + i, scoreStride: 1)
      norms[i] *= 0.5
    }
    scoring = ScoredRows(rows: points, dimension: d, halfNorms: norms)
    halfNorms = UnsafePointer(norms)
    self.count = count
    self.outliers = outliers
    self.workspace = workspace
  }

  /// Keys `[count, d]` centered and multiplied by `map` `[d, d]`, rounded to f16.
  ///
  /// Distances in it are those that matter to queries (``QueryGeometry``). Cost: `2 count d^2` operations.
  init(
    keys: PackedRows, count: Int, outliers: UnsafeBufferPointer<UInt32>, dimension d: Int,
    map: UnsafePointer<Float>, in result: borrowing Scratch
  ) {
    let points = result.halves(count * d)
    Self.map(
      keys, count: count, outliers: outliers, dimension: d, by: map, workspace: result.workspace, to: points)
    self.init(
      points: PackedRows(points, stride: d), count: count, outliers: outliers, dimension: d, in: result)
  }

  private static func map(
    _ keys: PackedRows, count: Int, outliers: UnsafeBufferPointer<UInt32>, dimension d: Int,
    by map: UnsafePointer<Float>, workspace: Workspace, to points: UnsafeMutablePointer<UInt16>
  ) {
    let scratch = workspace.scope()
    let kernels = workspace.kernels
    let block = 256
    let (buffer, mapped, mean) = (scratch.floats(block * d), scratch.floats(block * d), scratch.floats(d))
    let kernelScratch = scratch.floats(Kernels.gemmScratchCount)
    Self.mean(
      keys, count: count, outliers: outliers, dimension: d, row: buffer, result: mean, kernels: kernels)
    for begin in stride(from: 0, to: count, by: block) {
      let n = min(block, count - begin)
      kernels.unsafeUnpack(
        keys.from(begin), rowCount: n, dimension: d, target: buffer, targetStride: d)
      for i in 0..<n { kernels.unsafeAddScaled(mean, by: -1, to: buffer + i * d, count: d) }
      kernels.unsafeGEMM(
        a: buffer, aRowStride: d, aColumnStride: 1, b: map, bRowStride: d, bColumnStride: 1, c: mapped,
        cRowStride: d, rows: n, columns: d, inner: d, accumulate: false,
        scratch: kernelScratch)
      kernels.unsafeConvertToFloat16(mapped, points + begin * d, count: n * d)
    }
  }

  /// The point of a row in f32.
  func point(_ row: Int, in scratch: borrowing Scratch) -> UnsafeMutablePointer<Float> {
    let d = scoring.dimension
    let point = scratch.floats(d)
    workspace.kernels.unsafeUnpack(
      scoring.rows.from(row), rowCount: 1, dimension: d, target: point, targetStride: d)
    return point
  }

  /// Squared distances of `rows` from a row.
  func squaredDistances(
    from row: Int, to rows: UnsafePointer<UInt32>, count: Int, result: UnsafeMutablePointer<Float>
  ) {
    let d = scoring.dimension
    let scratch = workspace.scope()
    workspace.kernels.unsafeDot(
      queries: point(row, in: scratch), queryStride: d, queryCount: 1, rows: scoring.rows, indices: rows,
      rowCount: count,
      dimension: d, scores: result, scoreStride: count)
    let own = halfNorms[row]
    for i in 0..<count { result[i] = 2 * (own + halfNorms[Int(rows[i])] - result[i]) }
  }

  /// The squared distance that belongs to a score of a search from `row`.
  func squaredDistance(score: Float, from row: Int) -> Float {
    2 * (halfNorms[row] - score)
  }

  /// The point nearest to the mean of all points.
  func centralRow() -> UInt32 {
    let scratch = workspace.scope()
    let d = scoring.dimension
    let mean = scratch.floats(d)
    Self.mean(
      scoring.rows, count: count, outliers: outliers, dimension: d, row: scratch.floats(d),
      result: mean, kernels: workspace.kernels)
    let scores = scratch.floats(count)
    workspace.kernels.unsafeDot(
      queries: mean, queryStride: d, queryCount: 1, rows: scoring.rows, rowCount: count,
      dimension: d, scores: scores, scoreStride: count)
    for row in outliers { scores[Int(row)] = -.infinity }
    var best = isOutlier(0) ? firstLinked : 0
    for i in 0..<count where scores[i] - halfNorms[i] > scores[best] - halfNorms[best] { best = i }
    return UInt32(best)
  }

  private static func mean(
    _ rows: PackedRows, count: Int, outliers: UnsafeBufferPointer<UInt32>, dimension d: Int,
    row: UnsafeMutablePointer<Float>, result: UnsafeMutablePointer<Float>, kernels: Kernels
  ) {
    result.update(repeating: 0, count: d)
    var next = 0
    for i in 0..<count {
      if next < outliers.count, outliers[next] == UInt32(i) {
        next += 1
        continue
      }
      kernels.unsafeUnpack(rows.from(i), rowCount: 1, dimension: d, target: row, targetStride: d)
      kernels.unsafeAddScaled(row, by: 1 / Float(count - outliers.count), to: result, count: d)
    }
  }

  /// Whether a row is in no link.
  func isOutlier(_ row: Int) -> Bool {
    var (low, high) = (0, outliers.count)
    while low < high {
      let middle = (low + high) / 2
      if outliers[middle] < row { low = middle + 1 } else { high = middle }
    }
    return low < outliers.count && outliers[low] == row
  }

  /// The first row that is no outlier; there is one.
  private var firstLinked: Int { (0..<count).first { !isOutlier($0) } ?? 0 }
}

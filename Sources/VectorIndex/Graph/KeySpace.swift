// Where keys lie for the purpose of a build: as they are, or mapped to the geometry of the queries.

import AttentionKernels

/// Keys of a build.
struct KeySet {
  /// `[count, dimension]`.
  var keys: PackedRows
  var count: Int
  var dimension: Int
  /// Keys that are in no link, rising: they may be anywhere.
  var outliers: ListView<UInt32>

  /// Writes the mean of all but outliers. `row` has room for one.
  func mean(
    into result: ListView<Float>, row: ListView<Float>, kernels: Kernels
  ) {
    let d = dimension
    result.fill(0)
    var next = 0
    for i in 0..<count {
      if next < outliers.count, outliers[next] == UInt32(i) {
        next += 1
        continue
      }
      unsafe kernels.unsafeUnpack(keys.from(i), rowCount: 1, dimension: d, target: row.base, targetStride: d)
      unsafe kernels.unsafeAddScaled(
        row.base, by: 1 / Float(count - outliers.count), to: result.base, count: d)
    }
  }
}

/// Keys as points with squared Euclidean distances, in the scope that they were made in.
struct KeySpace {
  /// Half squared lengths included, so searches find what is nearest.
  let scoring: ScoredRows
  private let keySet: KeySet
  var count: Int { keySet.count }
  private let halfNorms: ListView<Float>
  private let workspace: Workspace

  /// Points `[count, d]`. Reads each point once.
  init(_ points: KeySet, in result: borrowing Scratch) {
    let (count, d) = (points.count, points.dimension)
    let norms = unsafe result.list(count)
    let workspace = result.workspace
    let scratch = workspace.scope()
    let point = unsafe scratch.floats(d)
    // By the same kernel as distances, so that the distance of equal points is exactly zero.
    for i in 0..<count {
      let row = points.keys.from(i)
      unsafe workspace.kernels.unsafeUnpack(row, rowCount: 1, dimension: d, target: point, targetStride: d)
      unsafe workspace.kernels.unsafeDot(
        FloatRows(point, count: 1, dimension: d), with: row, .first(1), scores: norms.base + i)
      norms[i] *= 0.5
    }
    scoring = ScoredRows(rows: points.keys, dimension: d, halfNorms: norms)
    halfNorms = norms
    keySet = points
    self.workspace = workspace
  }

  /// Keys `[count, d]` centered and multiplied by `map` `[d, d]`, rounded to f16.
  ///
  /// Distances in it are those that matter to queries (``QueryGeometry``). Cost: `2 count d^2` operations.
  init(_ keys: KeySet, map: FloatMatrix, in result: borrowing Scratch) {
    let elements = keys.count * keys.dimension
    let points = unsafe ListView(result.halves(elements), count: elements)
    Self.map(keys, by: map, workspace: result.workspace, to: points)
    var mapped = keys
    mapped.keys = unsafe PackedRows(points.base, stride: keys.dimension)
    self.init(mapped, in: result)
  }

  private static func map(
    _ set: KeySet, by map: FloatMatrix, workspace: Workspace, to points: ListView<UInt16>
  ) {
    let (count, d) = (set.count, set.dimension)
    let scratch = workspace.scope()
    let kernels = workspace.kernels
    let block = 256
    let (buffer, mapped, mean) = unsafe (scratch.list(block * d), scratch.floats(block * d), scratch.list(d))
    let kernelScratch = unsafe scratch.floats(Kernels.gemmScratchCount)
    set.mean(into: mean, row: buffer, kernels: kernels)
    for begin in stride(from: 0, to: count, by: block) {
      let n = min(block, count - begin)
      unsafe kernels.unsafeUnpack(
        set.keys.from(begin), rowCount: n, dimension: d, target: buffer.base, targetStride: d)
      for i in 0..<n { unsafe kernels.unsafeAddScaled(mean.base, by: -1, to: buffer.base + i * d, count: d) }
      unsafe kernels.unsafeGEMM(
        buffer.matrix(rows: n, columns: d), map, into: mapped,
        scratch: kernelScratch)
      unsafe kernels.unsafeConvertToFloat16(mapped, points.base + begin * d, count: n * d)
    }
  }

  /// The point of a row in f32.
  func point(_ row: Int, in scratch: borrowing Scratch) -> FloatRows {
    let d = scoring.dimension
    let point = unsafe scratch.floats(d)
    unsafe workspace.kernels.unsafeUnpack(
      scoring.rows.from(row), rowCount: 1, dimension: d, target: point, targetStride: d)
    return unsafe FloatRows(point, count: 1, dimension: d)
  }

  /// Squared distances of `rows` from a row.
  func squaredDistances(
    from row: Int, to rows: ListView<UInt32>, result: ListView<Float>
  ) {
    let scratch = workspace.scope()
    unsafe workspace.kernels.unsafeDot(
      point(row, in: scratch), with: scoring.rows, .listed(rows), scores: result.base)
    let own = halfNorms[row]
    let (halfNorms, rows, count, result) = unsafe (halfNorms.base, rows.base, rows.count, result.base)
    for i in 0..<count { unsafe result[i] = 2 * (own + halfNorms[Int(rows[i])] - result[i]) }
  }

  /// The squared distance that belongs to a score of a search from `row`.
  func squaredDistance(score: Float, from row: Int) -> Float {
    2 * (halfNorms[row] - score)
  }

  /// The point nearest to the mean of all points.
  func centralRow() -> UInt32 {
    let scratch = workspace.scope()
    let d = scoring.dimension
    let mean = unsafe scratch.list(d)
    unsafe keySet.mean(into: mean, row: scratch.list(d), kernels: workspace.kernels)
    let scores = unsafe scratch.list(count)
    unsafe workspace.kernels.unsafeDot(
      mean.rows(dimension: d), with: scoring.rows, .first(count), scores: scores.base)
    for row in keySet.outliers { scores[Int(row)] = -.infinity }
    var best = isOutlier(0) ? firstLinked : 0
    for i in 0..<count where scores[i] - halfNorms[i] > scores[best] - halfNorms[best] { best = i }
    return UInt32(best)
  }

  /// Whether a row is in no link.
  func isOutlier(_ row: Int) -> Bool {
    var (low, high) = (0, keySet.outliers.count)
    while low < high {
      let middle = (low + high) / 2
      if keySet.outliers[middle] < row { low = middle + 1 } else { high = middle }
    }
    return low < keySet.outliers.count && keySet.outliers[low] == row
  }

  /// The first row that is no outlier; there is one.
  private var firstLinked: Int { (0..<count).first { !isOutlier($0) } ?? 0 }
}

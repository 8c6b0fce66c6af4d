// Short codes of what a centroid leaves over of each key, so that keys can be told apart without reading them.

import AttentionKernels

/// 4-bit product quantization of key residuals, in the geometry of the queries.
///
/// A key k of a cluster with centroid m is coded by `z = S^(1/4) (k - m)`, S the second moment of the training
/// queries, two elements of z to a code of 16 words: a quarter of a byte an element, 1/16 of the bytes of key and
/// value. A query is scored with tables of `S^(-1/4) q`: product quantization as in Jegou, Douze and Schmid (2011),
/// scanned with tables in registers as in Andre, Kermarrec and Le Scouarnec (arXiv 1812.09162).
///
/// Which two elements share a code: the one of largest variance with the one of smallest, and so on inwards, so that
/// all codes have about the same to tell. On real heads that leaves as little error as a rotation to principal
/// axes, which takes an eigendecomposition.
///
/// Codebooks and geometry are learned from the first rows and stay.
struct ResidualCodes: ~Copyable {
  let dimension: Int
  /// Codes of a row: half the dimensions, rounded up to a multiple of 4.
  let subquantizers: Int
  private(set) var isTrained = false
  /// `[blocks, subquantizers, 16]`: byte b of a part is the code of row b of the block in its low half and of row
  /// b + 16 in its high half.
  var blocks = RowBuffer<UInt8>()
  private(set) var rowCount = 0
  /// `[d, d]` f16: row i maps keys to element i of z, in coding order.
  var keyMap = RowBuffer<UInt16>()
  /// `[d, d]` f16: the same for queries.
  var queryMap = RowBuffer<UInt16>()
  /// `[subquantizers, 2, 16]`: first and second elements of the words.
  var words = RowBuffer<Float>()

  static let blockRows = 32
  static let wordCount = 16
  /// Rows that codebooks are learned from: over a hundred for each word.
  private static let sampleCount = 2048
  private static let iterations = 6

  init(dimension: Int) {
    self.dimension = dimension
    subquantizers = (dimension + 7) / 8 * 4
  }

  var byteCount: Int { blocks.byteCount + keyMap.byteCount + queryMap.byteCount + words.byteCount }
  /// Bytes of the codes of `rows` rows: whole blocks.
  static func blockByteCount(rows: Int, _ subquantizers: Int) -> Int {
    (rows + blockRows - 1) / blockRows * 16 * subquantizers
  }

  /// Takes what was saved.
  mutating func restore(
    rowCount: Int, blocks: consuming RowBuffer<UInt8>, keyMap: consuming RowBuffer<UInt16>,
    queryMap: consuming RowBuffer<UInt16>, words: consuming RowBuffer<Float>
  ) {
    self.rowCount = rowCount
    self.blocks = blocks
    self.keyMap = keyMap
    self.queryMap = queryMap
    self.words = words
    isTrained = true
  }

  /// Bytes that scoring one row reads.
  var bytesPerRow: Int { subquantizers / 2 }

  /// Learns the order of elements and the words from residuals `[count, d]` that went through `keyMap`, both maps
  /// symmetric `[d, d]`.
  mutating func train(
    residuals: UnsafePointer<Float>, count: Int, keyMap symmetricKeyMap: UnsafePointer<Float>,
    queryMap symmetricQueryMap: UnsafePointer<Float>, kernels: Kernels
  ) {
    let d = dimension
    var variances = [Float](repeating: 0, count: d)
    for i in 0..<count {
      for j in 0..<d { variances[j] += residuals[i * d + j] * residuals[i * d + j] }
    }
    let descending = (0..<d).sorted { (variances[$0], $1) > (variances[$1], $0) }
    var order: [Int] = []
    for i in 0..<(d + 1) / 2 {
      order.append(descending[i])
      if d - 1 - i > i { order.append(descending[d - 1 - i]) }
    }
    let keys = keyMap.grow(by: d * d)
    let queries = queryMap.grow(by: d * d)
    for (row, source) in order.enumerated() {
      kernels.unsafeConvertToFloat16(symmetricKeyMap + source * d, keys + row * d, count: d)
      kernels.unsafeConvertToFloat16(symmetricQueryMap + source * d, queries + row * d, count: d)
    }
    let target = words.grow(by: subquantizers * 2 * Self.wordCount)
    target.update(repeating: 0, count: subquantizers * 2 * Self.wordCount)
    let step = max(1, count / Self.sampleCount)
    for part in 0..<(d + 1) / 2 {
      var points: [SIMD2<Float>] = []
      for i in stride(from: 0, to: count, by: step) {
        let row = residuals + i * d
        points.append(SIMD2(row[order[2 * part]], 2 * part + 1 < d ? row[order[2 * part + 1]] : 0))
      }
      let codebook = Self.cluster(points)
      for j in 0..<Self.wordCount {
        target[part * 2 * Self.wordCount + j] = codebook[0][j]
        target[part * 2 * Self.wordCount + Self.wordCount + j] = codebook[1][j]
      }
    }
    isTrained = true
  }

  /// Sixteen words for points of two elements, by Lloyd's algorithm from evenly spaced points.
  private static func cluster(_ points: [SIMD2<Float>]) -> [SIMD16<Float>] {
    var x = SIMD16<Float>(repeating: 0)
    var y = SIMD16<Float>(repeating: 0)
    for j in 0..<wordCount where !points.isEmpty {
      let point = points[j * points.count / wordCount]
      (x[j], y[j]) = (point.x, point.y)
    }
    for _ in 0..<iterations {
      var sums = [SIMD2<Float>](repeating: .zero, count: wordCount)
      var counts = [Float](repeating: 0, count: wordCount)
      for point in points {
        let j = nearest(point.x, point.y, x, y)
        sums[j] += point
        counts[j] += 1
      }
      for j in 0..<wordCount where counts[j] > 0 {
        (x[j], y[j]) = (sums[j].x / counts[j], sums[j].y / counts[j])
      }
    }
    return [x, y]
  }

  @inline(__always)
  private static func nearest(_ px: Float, _ py: Float, _ x: SIMD16<Float>, _ y: SIMD16<Float>) -> Int {
    let dx = x - px
    let dy = y - py
    let distances = dx * dx + dy * dy
    let numbers = SIMD16<Int32>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    return Int(numbers.replacing(with: 16, where: distances .> distances.min()).min()) & 15
  }

  /// Appends the codes of rows whose residuals `[count, d]` went through ``keyMap``, in coding order.
  mutating func append(residuals: UnsafePointer<Float>, count: Int) {
    let d = dimension
    let blockBytes = 16 * subquantizers
    let needed = Self.blockByteCount(rows: rowCount + count, subquantizers)
    if needed > blocks.count {
      let added = needed - blocks.count
      blocks.grow(by: added).update(repeating: 0, count: added)
    }
    for part in 0..<(d + 1) / 2 {
      let table = words.base + part * 2 * Self.wordCount
      let x = UnsafeRawPointer(table).loadUnaligned(as: SIMD16<Float>.self)
      let y = UnsafeRawPointer(table + Self.wordCount).loadUnaligned(as: SIMD16<Float>.self)
      for i in 0..<count {
        let row = residuals + i * d + 2 * part
        let code = UInt8(Self.nearest(row[0], 2 * part + 1 < d ? row[1] : 0, x, y))
        let number = rowCount + i
        let byte = number / Self.blockRows * blockBytes + part * 16 + number % 16
        blocks.base[byte] |= number % Self.blockRows < 16 ? code : code << 4
      }
    }
    rowCount += count
  }

  /// Tables of a group's queries: `[queries, subquantizers, 16]` bytes, with what makes scores of their sums.
  struct Tables {
    var entries: UnsafeMutablePointer<UInt8>
    /// `[queries]`: score of an entry's unit.
    var steps: UnsafeMutablePointer<Float>
    /// `[queries]`: score when all entries are zero.
    var bases: UnsafeMutablePointer<Float>
  }

  /// Tables for queries `[count, d]`, in workspace memory.
  func tables(queries: UnsafePointer<Float>, count g: Int, workspace: Workspace) -> Tables {
    let d = dimension
    let words = Self.wordCount
    let mapped = workspace.floats(.mapped, g * d + 2 * g + subquantizers * words)
    workspace.kernels.unsafeDot(
      queries: queries, queryStride: d, queryCount: g, rows: queryMap.base, rowStride: d, rowCount: d,
      dimension: d, scores: mapped, scoreStride: d)
    let tables = Tables(
      entries: workspace.bytes(.tables, g * subquantizers * words), steps: mapped + g * d,
      bases: mapped + g * d + g)
    let scores = mapped + g * d + 2 * g
    for h in 0..<g {
      let query = mapped + h * d
      var base: Float = 0
      var widest: Float = 0
      for part in 0..<subquantizers {
        let word = UnsafeRawPointer(self.words.base + part * 2 * words)
        let x = word.loadUnaligned(as: SIMD16<Float>.self)
        let y = word.loadUnaligned(fromByteOffset: words * 4, as: SIMD16<Float>.self)
        let (a, b) = (2 * part < d ? query[2 * part] : 0, 2 * part + 1 < d ? query[2 * part + 1] : 0)
        let score = a * x + b * y
        let lowest = score.min()
        base += lowest
        widest = max(widest, score.max() - lowest)
        UnsafeMutableRawPointer(scores + part * words).storeBytes(of: score - lowest, as: SIMD16<Float>.self)
      }
      let step = widest > 0 ? widest / 255 : 1
      tables.steps[h] = step
      tables.bases[h] = base
      let entries = UnsafeMutableRawPointer(tables.entries + h * subquantizers * words)
      for part in 0..<subquantizers {
        let score = UnsafeRawPointer(scores + part * words).loadUnaligned(as: SIMD16<Float>.self)
        var units = (score * (1 / step)).rounded(.toNearestOrEven)
        // Queries so long that scores overflow give nonsense, not a trap; whoever reads it reads exactly.
        units = units.replacing(with: 0, where: units .!= units)
        units.clamp(lowerBound: SIMD16(repeating: 0), upperBound: SIMD16(repeating: 255))
        entries.storeBytes(
          of: SIMD16<UInt8>(truncatingIfNeeded: SIMD16<Int32>(units)), toByteOffset: part * words,
          as: SIMD16<UInt8>.self)
      }
    }
    return tables
  }
}

extension ResidualCodes {
  /// TEMP scalar
  func score(
    _ tables: Tables, queryCount g: Int, first: Int, count: Int, result: UnsafeMutablePointer<Float>,
    stride: Int
  ) {
    let blockBytes = 16 * subquantizers
    for i in 0..<count {
      let row = first + i
      let block = blocks.base + row / 32 * blockBytes + row % 16
      let shift: UInt8 = row % 32 < 16 ? 0 : 4
      for h in 0..<g {
        let entries = tables.entries + h * subquantizers * 16
        var sum: Int32 = 0
        for part in 0..<subquantizers {
          sum &+= Int32(entries[part &* 16 &+ Int((block[part &* 16] >> shift) & 15)])
        }
        result[h * stride + i] = tables.bases[h] + tables.steps[h] * Float(sum)
      }
    }
  }
}

// Scans of codes against their definition, computed here from the layout that attention_kernels.h describes.

import AttentionKernels
import Testing

/// Rows of scalar codes in blocks, and what they stand for.
private struct CodedKeys {
  let bits: Int
  let dimension: Int
  var blocks: [UInt8]
  var codes: [[Int]] = []
  var scales: [Double] = []
  var offsets: [Double] = []

  /// Scales and offsets are small powers of two and integers, so that scores of integer queries are exact.
  init(bits: Int, dimension d: Int, rows: Int, seed: Int) {
    self.bits = bits
    dimension = d
    var generator = SeededGenerator(seed: seed)
    let blockBytes =
      bits == 8 ? Kernels.lvq8BlockByteCount(dimension: d) : Kernels.lvq4BlockByteCount(dimension: d)
    let blockCount = (rows + 15) / 16
    // What lies between rows and behind the last column must not matter.
    blocks = (0..<blockCount * blockBytes).map { _ in UInt8.random(in: 0...255, using: &generator) }
    for block in 0..<blockCount {
      // Headers of rows that do not exist must be finite numbers for the comparison of stores only.
      for i in 0..<32 { setHalf(0, at: block * blockBytes + 2 * i) }
    }
    for row in 0..<rows {
      let start = row / 16 * blockBytes
      let scale = Float([0.25, 0.5, 1, 2].randomElement(using: &generator)!)
      let offset = Float(Int.random(in: -9...9, using: &generator))
      setHalf(halfBits(scale), at: start + 2 * (row % 16))
      setHalf(halfBits(offset), at: start + 2 * (16 + row % 16))
      scales.append(Double(scale))
      offsets.append(Double(offset))
      let codes = (0..<d).map { _ in Int.random(in: 0..<(1 << bits), using: &generator) }
      for (k, code) in codes.enumerated() {
        let columns = bits == 8 ? 4 : 8
        let byte = start + 64 * (1 + k / columns) + 4 * (row % 16) + k % 4
        if bits == 8 {
          blocks[byte] = UInt8(code)
        } else if k % 8 < 4 {
          blocks[byte] = blocks[byte] & 0xf0 | UInt8(code)
        } else {
          blocks[byte] = blocks[byte] & 0x0f | UInt8(code << 4)
        }
      }
      self.codes.append(codes)
    }
  }

  private mutating func setHalf(_ bits: UInt16, at byte: Int) {
    blocks[byte] = UInt8(bits & 0xff)
    blocks[byte + 1] = UInt8(bits >> 8)
  }
}

/// Integer queries with powers of two as scales.
private struct IntegerQueries {
  var integers: [[Int]]
  var scales: [Float] = []
  var sums: [Float] = []
  var bases: [Float] = []

  init(count: Int, dimension: Int, limit: Int, seed: Int) {
    var generator = SeededGenerator(seed: seed)
    integers = (0..<count).map { _ in
      // The extremes too, all of one sign: sums must not overflow on the way.
      (0..<dimension).map { _ in Int.random(in: 0..<4, using: &generator) == 0 ? -limit : limit }
    }
    for _ in 0..<count {
      scales.append(Float([0.125, 0.5, 1].randomElement(using: &generator)!))
      sums.append(Float(Int.random(in: -50...50, using: &generator)))
      bases.append(Float(Int.random(in: -50...50, using: &generator)))
    }
  }

  func score(_ h: Int, _ keys: CodedKeys, _ row: Int) -> (value: Double, magnitude: Double) {
    let sum = zip(integers[h], keys.codes[row]).reduce(0) { $0 + $1.0 * $1.1 }
    let product = Double(scales[h]) * keys.scales[row] * Double(sum)
    let offset = Double(sums[h]) * keys.offsets[row]
    return (Double(bases[h]) + product + offset, abs(product) + abs(offset) + abs(Double(bases[h])))
  }
}

@Suite struct CodeTests {
  private static let dimensions = [1, 3, 4, 5, 8, 12, 31, 33, 40, 64, 100, 128, 256]
  /// Whole blocks, parts of one, and parts at both ends of several.
  private static let ranges = [0..<0, 0..<1, 3..<7, 0..<16, 5..<33, 16..<80, 1..<100]

  @Test(arguments: SIMDLevel.supported, dimensions)
  func scalarCodesAreExact(_ level: SIMDLevel, _ d: Int) throws {
    let kernels = try Kernels(level: level)
    for bits in [8, 4] {
      let keys = CodedKeys(bits: bits, dimension: d, rows: 100, seed: d)
      let limit = bits == 8 ? Kernels.lvq8QueryLimit(dimension: d) : 127
      for (m, range) in zip([1, 2, 3, 4, 5, 6, 8], Self.ranges) {
        let queries = IntegerQueries(count: m, dimension: d, limit: limit, seed: m)
        let untouched: Float = 7
        let weights = (queries.scales, queries.sums, queries.bases)
        let scores: [Float]
        if bits == 8 {
          scores = kernels.score(
            .lvq8, Self.interleaved(queries.integers), weights, blocks: keys.blocks, width: d, range)
        } else {
          let padded = (d + 7) / 8 * 8
          let integers = queries.integers.flatMap { row in
            row.map { Int8($0) } + Array(repeating: 0, count: padded - d)
          }
          scores = kernels.score(.lvq4, integers, weights, blocks: keys.blocks, width: d, range)
        }
        #expect(scores[m * range.count] == untouched)
        for h in 0..<m {
          for (i, row) in range.enumerated() {
            let expected = queries.score(h, keys, row)
            // Integer sums above 2^24 are rounded once when they become f32, and so are the two additions.
            let error = abs(Double(scores[h * range.count + i]) - expected.value)
            let bound = Tolerance.codes * expected.magnitude
            #expect(error <= bound, "\(bits) bits, m \(m), \(range), query \(h) row \(row)")
          }
        }
      }
    }
  }

  /// Groups of four in the order 0, 2, 1, 3, zeros up to a whole group.
  private static func interleaved(_ integers: [[Int]]) -> [Int16] {
    integers.flatMap { row in
      let padded = row.map { Int16($0) } + Array(repeating: 0, count: (4 - row.count % 4) % 4)
      return padded.indices.map { padded[$0 / 4 * 4 + [0, 2, 1, 3][$0 % 4]] }
    }
  }

  @Test(arguments: SIMDLevel.supported, [4, 8, 16, 20, 32, 64, 128, 256])
  func productCodesAreExact(_ level: SIMDLevel, _ subquantizers: Int) throws {
    let kernels = try Kernels(level: level)
    var generator = SeededGenerator(seed: subquantizers)
    let rowCount = 1200
    let blockBytes = Kernels.pq4BlockByteCount(subquantizers: subquantizers)
    let blocks = (0..<(rowCount + 31) / 32 * blockBytes).map { _ in
      UInt8.random(in: 0...255, using: &generator)
    }
    for (m, range) in [(1, 0..<1200), (2, 5..<6), (3, 31..<33), (4, 32..<64), (5, 7..<1111), (8, 0..<0)] {
      // As large as four that are added in 8 bits may be.
      let tables = (0..<m * subquantizers * 16).map { _ in
        Bool.random(using: &generator) ? 63 : UInt8.random(in: 0...63, using: &generator)
      }
      let scales = (0..<m).map { Float(1 + $0) / 4 }
      let bases = (0..<m).map { Float(3 * $0 - 5) }
      let scores = kernels.score(
        .pq4, tables, (scales, bases, bases), blocks: blocks, width: subquantizers, range)
      for h in 0..<m {
        for (i, row) in range.enumerated() {
          var sum = 0
          for s in 0..<subquantizers {
            let byte = blocks[row / 32 * blockBytes + 16 * s + row % 16]
            let code = row % 32 < 16 ? byte & 15 : byte >> 4
            sum += Int(tables[(h * subquantizers + s) * 16 + Int(code)])
          }
          #expect(scores[h * range.count + i] == bases[h] + scales[h] * Float(sum), "query \(h) row \(row)")
        }
      }
    }
  }

  @Test(arguments: SIMDLevel.supported, [1, 4, 17, 64])
  func tablesAreWithinHalfAStep(_ level: SIMDLevel, _ codebooks: Int) throws {
    let kernels = try Kernels(level: level)
    var generator = SeededGenerator(seed: codebooks)
    let query = generator.floats(40)
    var starts: [UInt32] = [0]
    for s in 0..<codebooks { starts.append(starts[s] + UInt32(1 + s % 3)) }
    let elements = Int(starts[codebooks])
    let coordinates = (0..<elements).map { _ in UInt32.random(in: 0..<40, using: &generator) }
    let entries = generator.floats(16 * elements, in: -3...3)
    var tables = [UInt8](repeating: 9, count: 16 * codebooks)
    var scratch = [Float](repeating: .nan, count: 17 * codebooks)
    var scale: Float = .nan
    var base: Float = 2
    coordinates.withUnsafeBufferPointer { coordinates in
      starts.withUnsafeBufferPointer { starts in
        entries.withUnsafeBufferPointer { entries in
          kernels.unsafePQ4Tables(
            query,
            Codebooks(
              coordinates: coordinates.baseAddress!, starts: starts.baseAddress!,
              entries: entries.baseAddress!, count: codebooks),
            tables: &tables, scale: &scale, base: &base, scratch: &scratch)
        }
      }
    }
    var expectedBase = 2.0
    for s in 0..<codebooks {
      let products = (0..<16).map { e in
        (Int(starts[s])..<Int(starts[s + 1])).reduce(0.0) {
          $0 + Double(query[Int(coordinates[$1])]) * Double(entries[16 * $1 + e])
        }
      }
      let lowest = products.min()!
      expectedBase += lowest
      for e in 0..<16 {
        let error = abs(Double(scale) * Double(tables[16 * s + e]) - (products[e] - lowest))
        #expect(error <= 0.5001 * Double(scale))
      }
    }
    #expect(abs(Double(base) - expectedBase) < 1e-4)
    // As fine as can be without an overflow of four.
    let highest = (0..<codebooks).map { s in (0..<16).reduce(0) { max($0, Int(tables[16 * s + $1])) } }
    let sums = (0..<codebooks).filter { $0 % 16 < 4 }.map { s in
      stride(from: s, to: min(s + 16, codebooks), by: 4).reduce(0) { $0 + highest[$1] }
    }
    #expect((251...255).contains(sums.max() ?? 0))
  }

  @Test(arguments: SIMDLevel.supported) func tablesOfNothingAreZero(_ level: SIMDLevel) throws {
    for value: Float in [0, .infinity, .nan] {
      var tables = [UInt8](repeating: 9, count: 16)
      var scratch = [Float](repeating: 0, count: 17)
      var (scale, base): (Float, Float) = (5, 0)
      let entries = (0..<16).map { Float($0) }
      let kernels = try Kernels(level: level)
      [UInt32(0), 1].withUnsafeBufferPointer { starts in
        entries.withUnsafeBufferPointer { entries in
          kernels.unsafePQ4Tables(
            [value],
            Codebooks(
              coordinates: starts.baseAddress!, starts: starts.baseAddress!, entries: entries.baseAddress!,
              count: 1),
            tables: &tables, scale: &scale, base: &base, scratch: &scratch)
        }
      }
      #expect(scale == 0)
      #expect(tables == Array(repeating: 0, count: 16))
    }
  }

  @Test(arguments: SIMDLevel.supported, [0, 1, 7, 16, 33, 1000])
  func collectsWhatIsAbove(_ level: SIMDLevel, _ count: Int) throws {
    let kernels = try Kernels(level: level)
    var generator = SeededGenerator(seed: count)
    let scores = generator.integers(count, limit: 5)
    for threshold in [-Float.infinity, -6, 0, 3, 5] {
      var ranks = [UInt64](repeating: 0, count: count + 1)
      let found = kernels.unsafeCollect(
        scores: scores, count: count, above: threshold, firstIndex: 100, ranks: &ranks)
      let expected = scores.indices.filter { scores[$0] > threshold }
      #expect(found == expected.count)
      #expect(ranks.prefix(found).map { Int(Kernels.index(ofRank: $0)) } == expected.map { $0 + 100 })
      #expect(ranks.prefix(found).map { Kernels.score(ofRank: $0) } == expected.map { scores[$0] })
    }
  }

  @Test func ranksOrderByScoreThenLowerIndex() {
    let ordered: [(Float, UInt32)] = [
      (.infinity, 3), (2, 0), (2, 9), (0.5, 1), (0x1p-140, 7), (0, 4), (0, 5), (-0x1p-140, 2), (-3, 0),
      (-3, .max),
      (-.infinity, 0),
    ]
    let ranks = ordered.map { Kernels.rank(score: $0.0, index: $0.1) }
    #expect(ranks == ranks.sorted(by: >))
    #expect(Set(ranks).count == ranks.count)
    for (rank, (score, index)) in zip(ranks, ordered) {
      #expect(Kernels.score(ofRank: rank) == score)
      #expect(Kernels.index(ofRank: rank) == index)
    }
  }
}

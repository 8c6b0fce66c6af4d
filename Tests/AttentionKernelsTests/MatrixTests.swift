import AttentionKernels
import Testing

@Suite struct MatrixTests {
  static let shapes = [
    (1, 1, 1), (3, 5, 7), (4, 24, 16), (5, 25, 17), (8, 48, 64), (9, 49, 300), (33, 16, 257), (70, 70, 70),
    (260, 30, 5), (6, 100, 2), (2, 3, 0), (0, 4, 3),
  ].map { DotShape(queries: $0.0, rows: $0.1, dimension: $0.2) }

  /// Integers: the sums are exact in any order, so that every level gives the same.
  @Test(arguments: SIMDLevel.supported, shapes)
  func productsOfIntegersAreExact(_ level: SIMDLevel, _ shape: DotShape) throws {
    let kernels = try Kernels(level: level)
    let (m, n, k) = (shape.queries, shape.rows, shape.dimension)
    var generator = SeededGenerator(seed: m + n)
    let gap = 2
    let a = generator.integers((m + gap) * (k + gap))
    let b = generator.integers((k + gap) * (n + gap))
    let initial = generator.integers(m * (n + gap))
    var scratch = [Float](repeating: .nan, count: Kernels.gemmScratchCount)
    for (aTransposed, bTransposed, accumulate) in [
      (false, false, false), (true, false, true), (false, true, true), (true, true, false),
    ] {
      let (aRow, aColumn) = aTransposed ? (1, m + gap) : (k + gap, 1)
      let (bRow, bColumn) = bTransposed ? (1, k + gap) : (n + gap, 1)
      var c = initial
      a.withUnsafeBufferPointer { a in
        b.withUnsafeBufferPointer { b in
          let (a, b) = (a.baseAddress!, b.baseAddress!)
          kernels.unsafeGEMM(
            aTransposed
              ? FloatMatrix(a, rows: k, columns: m, stride: m + gap).transposed
              : FloatMatrix(a, rows: m, columns: k, stride: k + gap),
            bTransposed
              ? FloatMatrix(b, rows: n, columns: k, stride: k + gap).transposed
              : FloatMatrix(b, rows: k, columns: n, stride: n + gap),
            into: &c, stride: n + gap, accumulate: accumulate, scratch: &scratch)
        }
      }
      var expected = initial
      for i in 0..<m {
        for j in 0..<n {
          var sum = accumulate ? initial[i * (n + gap) + j] : 0
          for p in 0..<k { sum += a[i * aRow + p * aColumn] * b[p * bRow + j * bColumn] }
          expected[i * (n + gap) + j] = sum
        }
      }
      #expect(c == expected, "transposed \(aTransposed) \(bTransposed), accumulate \(accumulate)")
    }
  }

  @Test(arguments: SIMDLevel.supported) func productMatchesDouble(_ level: SIMDLevel) throws {
    let kernels = try Kernels(level: level)
    let a = try Matrix<Float>.random(37, 290, seed: 24)
    let b = try Matrix<Float>.random(51, 290, gap: 1, seed: 25)
    var c = [Float](repeating: .nan, count: 37 * 51)
    var scratch = [Float](repeating: .nan, count: Kernels.gemmScratchCount)
    a.rows { a in
      b.rows { b in
        kernels.unsafeGEMM(
          FloatMatrix(a.base, rows: 37, columns: 290),
          FloatMatrix(b.base, rows: 51, columns: 290, stride: b.stride).transposed, into: &c,
          scratch: &scratch)
      }
    }
    for i in 0..<37 {
      for j in 0..<51 {
        let error = abs(Double(c[i * 51 + j]) - dotProduct(a.values(i), b.values(j)))
        #expect(error <= Tolerance.dot * magnitude(a.values(i), b.values(j)))
      }
    }
  }

  @Test(arguments: SIMDLevel.supported, [(1, 3), (300, 64), (70, 33)])
  func secondMomentIsExact(_ level: SIMDLevel, _ shape: (Int, Int)) throws {
    let (n, d) = shape
    var generator = SeededGenerator(seed: n)
    let rows = generator.integers(n * (d + 1))
    var moment = generator.integers(d * d)
    var expected = moment
    var scratch = [Float](repeating: .nan, count: Kernels.gemmScratchCount)
    let kernels = try Kernels(level: level)
    rows.withUnsafeBufferPointer {
      kernels.unsafeAddSecondMoment(
        of: FloatRows($0.baseAddress!, count: n, dimension: d, stride: d + 1), to: &moment, scratch: &scratch)
    }
    for i in 0..<n {
      for a in 0..<d {
        for b in 0..<d { expected[a * d + b] += rows[i * (d + 1) + a] * rows[i * (d + 1) + b] }
      }
    }
    #expect(moment == expected)
  }

  /// Small integers make many ties: the lowest word must win at every level.
  @Test(arguments: SIMDLevel.supported, [0, 16, 48, 160])
  func nearestWordsAreExact(_ level: SIMDLevel, _ count: Int) throws {
    var generator = SeededGenerator(seed: count)
    let (x, y) = (generator.integers(count, limit: 3), generator.integers(count, limit: 3))
    let words = generator.integers(32, limit: 3)
    var codes = [UInt8](repeating: .max, count: count)
    try Kernels(level: level).unsafeNearestWords(x: x, y: y, count: count, words: words, codes: &codes)
    for i in 0..<count {
      let distances = (0..<16).map { j in
        (x[i] - words[j]) * (x[i] - words[j]) + (y[i] - words[16 + j]) * (y[i] - words[16 + j])
      }
      #expect(Int(codes[i]) == distances.firstIndex(of: distances.min() ?? 0))
    }
  }

  /// Small integers make many ties: the lowest index must win at every level.
  @Test(
    arguments: SIMDLevel.supported,
    [(1, 1, 1), (23, 7, 3), (24, 64, 64), (50, 130, 17), (97, 33, 128), (0, 3, 8)])
  func assignmentsAreExact(_ level: SIMDLevel, _ shape: (Int, Int, Int)) throws {
    let (n, k, d) = shape
    var generator = SeededGenerator(seed: k)
    let points = generator.integers(n * d, limit: 1)
    let centroids = generator.integers(k * (d + 2), limit: 1)
    let halfNorms = generator.integers(k, limit: 2)
    func run(_ level: SIMDLevel) throws -> ([UInt32], [Float]) {
      try Kernels(level: level).assign(
        Matrix(shape: RowShape(count: n, dimension: d), elements: points),
        to: Matrix(shape: RowShape(count: k, dimension: d, stride: d + 2), elements: centroids),
        halfNorms: halfNorms)
    }
    #expect(try run(level) == run(.scalar))
    let (assignments, best) = try run(level)
    for i in 0..<n {
      let values = (0..<k).map { j in
        (0..<d).reduce(-halfNorms[j]) { $0 + points[i * d + $1] * centroids[j * (d + 2) + $1] }
      }
      let highest = values.max() ?? 0
      #expect(best[i] == highest)
      #expect(Int(assignments[i]) == values.firstIndex(of: highest))
    }
  }
}

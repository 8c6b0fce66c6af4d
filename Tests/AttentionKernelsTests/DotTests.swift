import AttentionKernels
import Testing

/// Dimensions and counts around every vector and tile width, and those of real models.
struct DotShape: CustomTestStringConvertible, Sendable {
  let queries: Int
  let rows: Int
  let dimension: Int
  var testDescription: String { "m \(queries), n \(rows), d \(dimension)" }

  static let all: [DotShape] =
    [1, 3, 7, 8, 15, 16, 17, 33, 64, 80, 96, 112, 128, 256].enumerated().flatMap { i, dimension in
      (1...8).map { DotShape(queries: $0, rows: [0, 1, 2, 3, 5, 9, 66][($0 + i) % 7], dimension: dimension) }
    } + [DotShape(queries: 13, rows: 131, dimension: 64), DotShape(queries: 16, rows: 65, dimension: 40)]
}

@Suite struct DotTests {
  @Test(arguments: SIMDLevel.supported, DotShape.all)
  func matchesDouble(_ level: SIMDLevel, _ shape: DotShape) throws {
    let kernels = try Kernels(level: level)
    let (m, n, d) = (shape.queries, shape.rows, shape.dimension)
    let queries = try Matrix<Float>.random(m, d, gap: d % 3, seed: 1)
    let halves = try Matrix<UInt16>.random(n, d, gap: d % 5, seed: 2)
    let floats = try Matrix<Float>.random(n, d, gap: m % 2, seed: 3)
    let stride = n + m % 3
    let untouched: Float = 7
    let indices = (0..<n).map { UInt32($0 * 5 % n) }

    var ofHalves = [Float](repeating: untouched, count: m * stride)
    var ofFloats = ofHalves
    var gathered = ofHalves
    kernels.dot(queries, halves, into: &ofHalves, stride: stride)
    kernels.dot(queries, floats, into: &ofFloats, stride: stride)
    kernels.dot(queries, halves, indices: indices, into: &gathered, stride: stride)

    for h in 0..<m {
      let query = queries.values(h)
      for i in 0..<n {
        let row = halves.values(i)
        let error = abs(Double(ofHalves[h * stride + i]) - dotProduct(query, row))
        #expect(error <= Tolerance.dot * magnitude(query, row), "f16 query \(h) row \(i)")
        let floatRow = floats.values(i)
        let floatError = abs(Double(ofFloats[h * stride + i]) - dotProduct(query, floatRow))
        #expect(floatError <= Tolerance.dot * magnitude(query, floatRow), "f32 query \(h) row \(i)")
        #expect(gathered[h * stride + i] == ofHalves[h * stride + Int(indices[i])], "gather \(h), \(i)")
      }
      for padding in n..<stride { #expect(ofHalves[h * stride + padding] == untouched) }
    }
  }

  @Test(arguments: SIMDLevel.supported, DotShape.all)
  func integersAreExact(_ level: SIMDLevel, _ shape: DotShape) throws {
    let (m, n, d) = (shape.queries, shape.rows, shape.dimension)
    var generator = SeededGenerator(seed: d)
    let queries = generator.integers(m * d)
    let rows = generator.integers(n * d).map(halfBits)
    let queryShape = try RowShape(count: m, dimension: d)
    let rowShape = try RowShape(count: n, dimension: d)
    func scores(_ level: SIMDLevel) throws -> [Float] {
      var scores = [Float](repeating: 0, count: m * n)
      var span = scores.mutableSpan
      try Kernels(level: level).dot(
        queries: queries.span, queryShape, rows: rows.span, rowShape, scores: &span)
      return scores
    }
    #expect(try scores(level) == scores(.scalar))
  }

  /// The promise that lets callers split work as they like without changing results.
  @Test(arguments: SIMDLevel.supported, [33, 64, 128])
  func aScoreDoesNotDependOnTheCall(_ level: SIMDLevel, _ d: Int) throws {
    let kernels = try Kernels(level: level)
    let queries = try Matrix<Float>.random(8, d, seed: 4)
    let rows = try Matrix<UInt16>.random(70, d, seed: 5)
    func scores(_ m: Int, _ first: Int, _ n: Int) throws -> [Float] {
      var scores = [Float](repeating: 0, count: m * n)
      var span = scores.mutableSpan
      let part = Array(rows.elements[(first * d)...])
      try kernels.dot(
        queries: queries.elements.span, RowShape(count: m, dimension: d), rows: part.span,
        RowShape(count: n, dimension: d), scores: &span)
      return scores
    }
    let all = try scores(8, 0, 70)
    for m in 1...8 {
      for (first, n) in [(0, 1), (3, 2), (5, 3), (1, 66)] {
        let part = try scores(m, first, n)
        for h in 0..<m {
          #expect(Array(part[(h * n)..<(h * n + n)]) == Array(all[(h * 70 + first)..<(h * 70 + first + n)]))
        }
      }
    }
  }
}

import AttentionKernels
import Testing

@Suite struct AttentionTests {
  @Test(arguments: SIMDLevel.supported, SoftmaxTests.shapes)
  func decodeMatchesDouble(_ level: SIMDLevel, _ shape: DotShape) throws {
    let kernels = try Kernels(level: level)
    let (m, n, d) = (shape.queries, shape.rows, shape.dimension)
    let queries = try Matrix<Float>.random(m, d, gap: 1, seed: 11)
    let keys = try Matrix<UInt16>.random(n, d, gap: m % 2, seed: 12)
    let values = try Matrix<UInt16>.random(n, d, gap: d % 2, seed: 13)
    var states = try SoftmaxStates(count: m, dimension: d)
    kernels.attend(queries, keys, values, states: &states)
    let references = (0..<m).map { h in
      attention(
        (0..<n).map { (dotProduct(queries.values(h), keys.values($0)), values.values($0)) }, dimension: d)
    }
    let error = difference(states, references)
    #expect(error.output < Tolerance.attention)
    #expect(error.lse < Tolerance.logSumExp)

    let indices = (0..<n).reversed().map { UInt32($0) }
    var gathered = try SoftmaxStates(count: m, dimension: d)
    kernels.attend(queries, keys, values, indices: indices, states: &gathered)
    let gatheredError = difference(gathered, references)
    #expect(gatheredError.output < Tolerance.attention)
    #expect(gatheredError.lse < Tolerance.logSumExp)
  }

  /// Which keys row r of m sees of n.
  enum Visibility: CaseIterable, Sendable {
    case all, causal, window, none, mixed

    func range(_ r: Int, _ m: Int, _ n: Int) -> (UInt32, UInt32) {
      switch self {
      case .all: (0, .max)
      case .causal: (0, UInt32(max(0, n - m / 3) + r / 3 + 1))
      case .window: (UInt32(r * 2), UInt32(r * 2 + 50))
      case .none: (3, 3)
      case .mixed: (UInt32(r * 37 % (n + 5)), UInt32(r * 53 % (n + 9)))
      }
    }
  }

  static let prefillShapes = [
    (1, 1, 1), (5, 130, 64), (24, 128, 64), (25, 129, 80), (48, 300, 128), (50, 64, 33), (96, 140, 16),
    (13, 7, 112), (290, 260, 8), (16, 0, 64), (30, 127, 256),
  ].map { DotShape(queries: $0.0, rows: $0.1, dimension: $0.2) }

  @Test(arguments: SIMDLevel.supported, prefillShapes)
  func prefillMatchesDouble(_ level: SIMDLevel, _ shape: DotShape) throws {
    let kernels = try Kernels(level: level)
    let (m, n, d) = (shape.queries, shape.rows, shape.dimension)
    let queries = try Matrix<Float>.random(m, d, gap: 3, seed: 14, scale: 2)
    let keys = try Matrix<UInt16>.random(n, d, gap: d % 2, seed: 15)
    let values = try Matrix<UInt16>.random(n, d, gap: m % 2, seed: 16)
    let scale: Float = 0.5
    let scaled = (0..<m).map { queries.values($0).map { $0 * Double(scale) } }
    let (keyValues, valueValues) = ((0..<n).map(keys.values), (0..<n).map(values.values))
    for visibility in Visibility.allCases {
      let ranges = (0..<m).map { visibility.range($0, m, n) }
      let (begins, ends) = (ranges.map(\.0), ranges.map(\.1))
      var states = try SoftmaxStates(count: m, dimension: d)
      kernels.prefill(
        queries, scale: scale, keys, values, visible: (begins, ends), states: &states)
      let references = (0..<m).map { r in
        let end = min(Int(ends[r]), n)
        let seen = Int(begins[r]) < end ? Int(begins[r])..<end : 0..<0
        return attention(
          seen.map { (dotProduct(scaled[r], keyValues[$0]), valueValues[$0]) }, dimension: d)
      }
      let error = difference(states, references)
      #expect(error.output < Tolerance.attention, "\(visibility)")
      #expect(error.lse < Tolerance.logSumExp, "\(visibility)")
    }
  }

  /// Runs of neighbors and single rows, more than a block has; biases as large as scores.
  @Test(arguments: SIMDLevel.supported, [(5, 64), (50, 33), (300, 16)])
  func prefillReadsListedRowsWithBiases(_ level: SIMDLevel, _ shape: (queries: Int, dimension: Int)) throws {
    let kernels = try Kernels(level: level)
    let (m, d, n) = (shape.queries, shape.dimension, 400)
    let queries = try Matrix<Float>.random(m, d, seed: 51, scale: 2)
    let keys = try Matrix<UInt16>.random(n, d, gap: d % 2, seed: 52)
    let values = try Matrix<UInt16>.random(n, d, seed: 53)
    let listed: [Int] = (0..<n).filter { $0 % 50 < 30 || $0 % 7 == 0 }
    let indices: [UInt32] = listed.map { UInt32($0) }
    let biases: [Float] = listed.map { Float($0 * 31 % 17) / 8 - 1 }
    let keyValues = indices.map { keys.values(Int($0)) }
    let valueValues = indices.map { values.values(Int($0)) }
    for visibility in Visibility.allCases {
      let ranges = (0..<m).map { visibility.range($0, m, indices.count) }
      let (begins, ends) = (ranges.map(\.0), ranges.map(\.1))
      for isBiased in [false, true] {
        var states = try SoftmaxStates(count: m, dimension: d)
        keys.rows { keyRows in
          values.rows { valueRows in
            kernels.prefill(
              queries, scale: 0.5, KeyValueRows(keys: keyRows, values: valueRows), count: n,
              visible: (begins, ends), indices: indices, biases: isBiased ? biases : nil, states: &states)
          }
        }
        let references = (0..<m).map { r in
          let end = min(Int(ends[r]), indices.count)
          let seen = Int(begins[r]) < end ? Int(begins[r])..<end : 0..<0
          let query = queries.values(r).map { $0 * 0.5 }
          return attention(
            seen.map {
              (dotProduct(query, keyValues[$0]) + (isBiased ? Double(biases[$0]) : 0), valueValues[$0])
            }, dimension: d)
        }
        let error = difference(states, references)
        #expect(error.output < Tolerance.attention, "\(visibility) \(isBiased)")
        #expect(error.lse < Tolerance.logSumExp, "\(visibility) \(isBiased)")
      }
    }
  }

  @Test(arguments: SIMDLevel.supported) func prefillContinuesAndAgreesWithDecode(_ level: SIMDLevel) throws {
    let kernels = try Kernels(level: level)
    let (m, n, d) = (40, 500, 64)
    let queries = try Matrix<Float>.random(m, d, seed: 17)
    let keys = try Matrix<UInt16>.random(n, d, seed: 18)
    let values = try Matrix<UInt16>.random(n, d, seed: 19)
    let begins = [UInt32](repeating: 0, count: m)
    let ends = [UInt32](repeating: .max, count: m)
    var inParts = try SoftmaxStates(count: m, dimension: d)
    for part in [0..<200, 200..<201, 201..<500] {
      let shape = try RowShape(count: part.count, dimension: d)
      let elements = (part.lowerBound * d)..<(part.upperBound * d)
      kernels.prefill(
        queries, scale: 1, Matrix(shape: shape, elements: Array(keys.elements[elements])),
        Matrix(shape: shape, elements: Array(values.elements[elements])), visible: (begins, ends),
        states: &inParts)
    }
    var decoded = try SoftmaxStates(count: m, dimension: d)
    kernels.attend(queries, keys, values, states: &decoded)
    let (outputs, logSumExps) = decoded.finished()
    let references = (0..<m).map { h in
      (output: outputs[(h * d)..<(h * d + d)].map(Double.init), lse: Double(logSumExps[h]))
    }
    let error = difference(inParts, references)
    #expect(error.output < Tolerance.attention)
    #expect(error.lse < Tolerance.logSumExp)
  }

  /// Equal results, bit for bit, of equal calls.
  @Test(arguments: SIMDLevel.supported) func attentionIsDeterministic(_ level: SIMDLevel) throws {
    let kernels = try Kernels(level: level)
    let queries = try Matrix<Float>.random(6, 128, seed: 20)
    let keys = try Matrix<UInt16>.random(333, 128, seed: 21)
    func run() throws -> [Float] {
      var states = try SoftmaxStates(count: 6, dimension: 128)
      kernels.attend(queries, keys, keys, states: &states)
      return states.accumulators + states.sums + states.maxima
    }
    #expect(try run() == run())
  }
}

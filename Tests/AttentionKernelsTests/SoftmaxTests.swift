import AttentionKernels
import Testing

/// What the scores of a case look like.
enum Scores: CaseIterable, Sendable {
  case near, farApart, halfHidden, allHidden, rowsHiddenFromAll, rowsUnderCutoff, rising

  func make(_ m: Int, _ n: Int, stride: Int, seed: Int) -> [Float] {
    var generator = SeededGenerator(seed: seed)
    var scores = generator.floats(m * stride, in: -5...5)
    for h in 0..<m {
      for i in 0..<n {
        let at = h * stride + i
        switch self {
        case .near: break
        case .farApart: scores[at] *= 20
        case .halfHidden: if (h + i) % 2 == 0 { scores[at] = -.infinity }
        case .allHidden: scores[at] = -.infinity
        case .rowsHiddenFromAll: if i % 3 > 0 { scores[at] = -.infinity }
        case .rowsUnderCutoff: if i % 3 > 0 { scores[at] = -100 }
        case .rising: scores[at] = Float(i) / 3  // a new maximum in every block
        }
      }
    }
    return scores
  }
}

@Suite struct SoftmaxTests {
  static let shapes = [
    (1, 1, 1), (1, 64, 64), (2, 65, 16), (3, 130, 64), (3, 7, 33), (4, 63, 96), (5, 66, 80), (6, 129, 128),
    (7, 200, 112), (8, 64, 24), (13, 70, 64), (3, 0, 64), (6, 31, 256), (2, 90, 13),
  ].map { DotShape(queries: $0.0, rows: $0.1, dimension: $0.2) }

  @Test(arguments: SIMDLevel.supported, shapes)
  func matchesDouble(_ level: SIMDLevel, _ shape: DotShape) throws {
    let kernels = try Kernels(level: level)
    let (m, n, d) = (shape.queries, shape.rows, shape.dimension)
    let values = try Matrix<UInt16>.random(n, d, gap: m % 3, seed: 6)
    let stride = n + d % 2
    for kind in Scores.allCases {
      let scores = kind.make(m, n, stride: stride, seed: 7)
      var states = try SoftmaxStates(count: m, dimension: d)
      try kernels.softmaxAccumulate(
        scores: scores.span, scoreStride: stride, values: values.elements.span, values.shape, states: &states)
      let references = (0..<m).map { h in
        attention((0..<n).map { (Double(scores[h * stride + $0]), values.values($0)) }, dimension: d)
      }
      let error = difference(states, references)
      #expect(error.output < Tolerance.attention, "\(kind)")
      #expect(error.lse < Tolerance.logSumExp, "\(kind)")
    }
  }

  @Test(arguments: SIMDLevel.supported, shapes)
  func gatherMatchesCopiedRows(_ level: SIMDLevel, _ shape: DotShape) throws {
    let kernels = try Kernels(level: level)
    let (m, n, d) = (shape.queries, shape.rows, shape.dimension)
    let values = try Matrix<UInt16>.random(n + 3, d, seed: 8)
    let indices = (0..<n).map { UInt32(($0 * 7 + 2) % (n + 3)) }
    let copied = indices.flatMap { values.row(Int($0)) }
    for kind in Scores.allCases {
      let scores = kind.make(m, n, stride: n, seed: 9)
      let gathered = try SoftmaxStates(count: m, dimension: d)
      var direct = gathered
      try kernels.softmaxAccumulate(
        scores: scores.span, values: copied.span, RowShape(count: n, dimension: d), states: &direct)
      var maxima = gathered.maxima
      var sums = gathered.sums
      var accumulators = gathered.accumulators
      kernels.unsafeSoftmaxAccumulateGather(
        scores: scores, scoreStride: n, queryCount: m, values: values.elements, valueStride: d,
        indices: indices, indexCount: n, dimension: d, maxima: &maxima, sums: &sums,
        accumulators: &accumulators, accumulatorStride: d)
      #expect(maxima == direct.maxima, "\(kind)")
      #expect(sums == direct.sums, "\(kind)")
      #expect(accumulators == direct.accumulators, "\(kind)")
    }
  }

  /// Hidden scores after visible ones and the other way round, across calls.
  @Test(arguments: SIMDLevel.supported) func callsContinueStates(_ level: SIMDLevel) throws {
    let kernels = try Kernels(level: level)
    let (m, n, d) = (3, 150, 64)
    let values = try Matrix<UInt16>.random(n, d, seed: 10)
    var states = try SoftmaxStates(count: m, dimension: d)
    var references = Array(repeating: [(score: Double, value: [Double])](), count: m)
    for (call, kind) in [Scores.allHidden, .near, .allHidden, .farApart, .near].enumerated() {
      let scores = kind.make(m, n, stride: n, seed: call)
      for h in 0..<m {
        references[h] += (0..<n).map { (Double(scores[h * n + $0]), values.values($0)) }
      }
      try kernels.softmaxAccumulate(
        scores: scores.span, values: values.elements.span, values.shape, states: &states)
    }
    let error = difference(states, references.map { attention($0, dimension: d) })
    #expect(error.output < Tolerance.attention)
    #expect(error.lse < Tolerance.logSumExp)
  }
}

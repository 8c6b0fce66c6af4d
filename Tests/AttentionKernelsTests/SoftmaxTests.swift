import AttentionKernels
import Foundation
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
      kernels.softmaxAccumulate(scores, stride: stride, values, states: &states)
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
      var gathered = try SoftmaxStates(count: m, dimension: d)
      var direct = gathered
      kernels.softmaxAccumulate(
        scores, Matrix(shape: try RowShape(count: n, dimension: d), elements: copied), states: &direct)
      kernels.softmaxAccumulate(scores, values, indices: indices, states: &gathered)
      #expect(gathered.maxima == direct.maxima, "\(kind)")
      #expect(gathered.sums == direct.sums, "\(kind)")
      #expect(gathered.accumulators == direct.accumulators, "\(kind)")
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
      kernels.softmaxAccumulate(scores, values, states: &states)
    }
    let error = difference(states, references.map { attention($0, dimension: d) })
    #expect(error.output < Tolerance.attention)
    #expect(error.lse < Tolerance.logSumExp)
  }

  /// A bias for each row, in calls that continue a state, over rows in turn and gathered.
  @Test(arguments: SIMDLevel.supported, [(1, 70, 64), (3, 200, 64), (6, 129, 128), (8, 33, 40)])
  func biasesAreAddedToScores(_ level: SIMDLevel, _ shape: (m: Int, n: Int, d: Int)) throws {
    let kernels = try Kernels(level: level)
    let (m, n, d) = shape
    let keys = try Matrix<UInt16>.random(n, d, seed: 11)
    let values = try Matrix<UInt16>.random(n, d, seed: 12)
    let queries = try Matrix<Float>.random(m, d, seed: 13)
    var generator = SeededGenerator(seed: 14)
    var biases = generator.floats(n, in: -3...3)
    biases[n / 2] = -.infinity
    for isGathered in [false, true] {
      let indices = (0..<n).map { UInt32(isGathered ? ($0 * 7 + 2) % n : $0) }
      let references = (0..<m).map { h in
        attention(
          indices.enumerated().map { i, row in
            let key = keys.values(Int(row))
            let score = zip(queries.row(h), key).reduce(0) { $0 + Double($1.0) * $1.1 }
            return (score + Double(biases[i]), values.values(Int(row)))
          }, dimension: d)
      }
      var states = try SoftmaxStates(count: m, dimension: d)
      var scratch = [Float](repeating: .nan, count: Kernels.attendScratchCount(queryCount: m))
      let split = n / 3
      for range in [0..<split, split..<n] {
        indices[range].withUnsafeBufferPointer { indices in
          biases[range].withUnsafeBufferPointer { biases in
            queries.rows { queries in
              keys.rows { keys in
                values.rows { values in
                  states.withPointers { states in
                    kernels.unsafeAttend(
                      queries,
                      to: KeyValueRows(keys: keys, values: values).from(isGathered ? 0 : range.lowerBound),
                      isGathered
                        ? .listed(indices.baseAddress!, count: range.count) : .first(range.count),
                      biases: biases.baseAddress!, states: states, scratch: &scratch)
                  }
                }
              }
            }
          }
        }
      }
      let (outputs, logSumExps) = states.finished()
      for h in 0..<m {
        #expect(abs(Double(logSumExps[h]) - references[h].lse) < Tolerance.logSumExp)
        for k in 0..<d {
          #expect(
            abs(Double(outputs[h * d + k]) - references[h].output[k]) < Tolerance.attention)
        }
      }
    }
  }

  @Test(arguments: SIMDLevel.supported, [0, 1, 15, 16, 17, 300])
  func massesAddUp(_ level: SIMDLevel, _ count: Int) throws {
    let kernels = try Kernels(level: level)
    for kind in Scores.allCases {
      let scores = kind.make(1, count, stride: count, seed: 15)
      for start in [-Float.infinity, -40, 2, 90] {
        var (maximum, sum) = (start, start > -.infinity ? Float(3) : 0)
        kernels.unsafeAddMass(scores, count: count, maximum: &maximum, sum: &sum)
        let all = scores.prefix(count).map { (Double($0), [Double]()) } + [(Double(start) + log(3), [])]
        let expected = attention(all, dimension: 0).lse
        if expected > -.infinity {
          #expect(maximum == max(start, scores.prefix(count).max() ?? start), "\(kind)")
          #expect(abs(Double(maximum + log(sum)) - expected) < Tolerance.logSumExp, "\(kind)")
        } else {
          #expect(maximum == -.infinity && sum == 0, "\(kind)")
        }
      }
    }
  }

  @Test(arguments: SIMDLevel.supported, [0, 1, 16, 41])
  func sharesAreRaisedBySpreads(_ level: SIMDLevel, _ count: Int) throws {
    let kernels = try Kernels(level: level)
    var generator = SeededGenerator(seed: 16)
    var scores = generator.floats(count, in: -20...2)
    if count > 3 { scores[3] = -.infinity }
    let spreads = generator.floats(count, in: 0...3)
    var shares = generator.floats(count, in: 0...1) + [7]
    let before = shares
    kernels.unsafeAddShares(
      scores, spreads: spreads, count: count, logTotal: 1.5, raise: SpreadRaise(perSpread: 2, most: 4),
      to: &shares)
    for i in 0..<count {
      let expected = Double(before[i]) + exp(Double(scores[i]) - 1.5 + min(2 * Double(spreads[i]), 4))
      #expect(abs(Double(shares[i]) - expected) <= 1e-5 * expected)
    }
    #expect(shares[count] == 7)
  }
}

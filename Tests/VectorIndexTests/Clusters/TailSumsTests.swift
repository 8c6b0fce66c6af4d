// Estimates of what is not read, of either sign, and what they make of softmax states.

import AttentionKernels
import Foundation
import Testing

@testable import VectorIndex

@Suite struct TailSumsTests {
  /// States of two dimensions with sums of one query, and what the tail makes of them.
  private func added(
    weight: Float, value: (Float, Float), logScale: Float, to maximum: Float, sum: Float,
    accumulator: (Float, Float)
  ) -> (output: [Float], logSumExp: Float) {
    var memory = [Float](repeating: .nan, count: TailSums.floatCount(queries: 1, dimension: 2))
    var state = [maximum, sum, accumulator.0, accumulator.1]
    memory.withUnsafeMutableBufferPointer { memory in
      state.withUnsafeMutableBufferPointer { state in
        let tail = TailSums(memory.baseAddress!, queries: 1, dimension: 2)
        tail.clear()
        tail.logScales[0] = logScale
        tail.sums[0] = weight
        tail.accumulators[0] = weight * value.0
        tail.accumulators[1] = weight * value.1
        let base = state.baseAddress!
        tail.add(
          to: StatePointers(
            maxima: base, sums: base + 1, accumulators: base + 2, count: 1, dimension: 2),
          kernels: .active)
      }
    }
    return ([state[2] / state[1], state[3] / state[1]], state[0] + log(state[1]))
  }

  /// e^2 with value (1, 0) is there, and 3 e^2 with value (5, 8) comes, whatever the scale.
  @Test(arguments: [Float(-30), 0, 2, 40]) func weightsAreAddedInTheirScale(logScale: Float) {
    let found = added(
      weight: 3 * exp(2 - logScale), value: (5, 8), logScale: logScale, to: 1, sum: exp(1),
      accumulator: (exp(1), 0))
    #expect(abs(found.output[0] - 4) < 1e-4)
    #expect(abs(found.output[1] - 6) < 1e-4)
    #expect(abs(found.logSumExp - 2 - log(4)) < 1e-4)
  }

  /// 4 with the mean of three values (1, 0) and one (5, 8), of which that one goes again.
  @Test func whatIsTooMuchIsTakenAway() {
    let found = added(weight: -0.5, value: (5, 8), logScale: log(2), to: 0, sum: 4, accumulator: (8, 8))
    #expect(abs(found.output[0] - 1) < 1e-5)
    #expect(abs(found.output[1]) < 1e-5)
    #expect(abs(found.logSumExp - log(3)) < 1e-5)
  }

  @Test func nearlyAllIsNotTakenAway() {
    let found = added(weight: -3.7, value: (5, 8), logScale: 0, to: 0, sum: 4, accumulator: (8, 8))
    #expect(found.output == [2, 2])
    #expect(found.logSumExp == log(4))
  }

  /// Without any keys the estimate is all there is, and a debt is nothing.
  @Test func emptyStatesTakeEstimates() {
    let found = added(weight: 2, value: (5, 8), logScale: 3, to: -.infinity, sum: 0, accumulator: (0, 0))
    #expect(abs(found.output[0] - 5) < 1e-5 && abs(found.output[1] - 8) < 1e-5)
    #expect(abs(found.logSumExp - 3 - log(2)) < 1e-5)
    let debt = added(weight: -2, value: (5, 8), logScale: 3, to: -.infinity, sum: 0, accumulator: (0, 0))
    #expect(debt.logSumExp == -.infinity)
  }

  @Test func sharesAddUp() {
    var memory = [Float](repeating: 0, count: 2 * TailSums.floatCount(queries: 2, dimension: 3))
    memory.withUnsafeMutableBufferPointer { memory in
      let base = memory.baseAddress!
      let whole = TailSums(base, queries: 2, dimension: 3)
      let share = TailSums(base + TailSums.floatCount(queries: 2, dimension: 3), queries: 2, dimension: 3)
      for tail in [whole, share] {
        tail.clear()
        tail.logScales.update(from: [4, 5], count: 2)
      }
      for i in 0..<2 {
        whole.sums[i] = 1
        share.sums[i] = -3
      }
      for i in 0..<6 {
        whole.accumulators[i] = Float(i)
        share.accumulators[i] = 10
      }
      whole.add(share, kernels: .active)
      #expect((0..<2).map { whole.logScales[$0] } == [4, 5])
      #expect((0..<2).map { whole.sums[$0] } == [-2, -2])
      #expect((0..<6).map { whole.accumulators[$0] } == (0..<6).map { Float($0) + 10 })
    }
  }
}

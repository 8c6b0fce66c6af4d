// How a decode step is divided: every task once, none before what it waits for, and the merge of what they give.

import AttentionKernels
import Foundation
import Testing
import VectorIndex

@testable import RetrievalAttention

@Suite struct DecodeStepTests {
  private static let steps = [
    (heads: 1, parts: 1, shares: 0), (3, 1, 0), (3, 1, 4), (2, 4, 8), (5, 2, 1), (1, 3, 1),
  ]

  private func step(_ shape: (heads: Int, parts: Int, shares: Int)) -> DecodeStep {
    DecodeStep(
      headCount: shape.heads, parts: shape.parts, shares: shape.shares, groupSize: 2, dimension: 4)
  }

  @Test(arguments: steps) func everyTaskIsDoneOnceAndInAnOrderThatNeverWaitsForLaterOnes(
    shape: (heads: Int, parts: Int, shares: Int)
  ) {
    let step = step(shape)
    var done = [Int](repeating: 0, count: shape.heads)
    var slots: Set<Int> = []
    for index in 0..<step.taskCount {
      let task = step.task(index)
      // Whoever runs tasks one after another must never have to wait.
      #expect(done[task.head] >= step.prerequisites(of: task), "task \(index) of \(shape)")
      done[task.head] += 1
      let slot = step.slot(of: task)
      #expect(slots.insert(slot).inserted, "slot \(slot) has two tasks")
      #expect(
        (step.slot(head: task.head)..<step.slot(head: task.head) + step.sumSlots).contains(slot))
    }
    let plans = shape.shares > 0 ? 1 : 0
    #expect(done.allSatisfy { $0 == shape.parts + plans + shape.shares })
    #expect(step.slots == step.sumSlots + shape.shares)
  }

  @Test func excessIsTakenAwayUnlessItIsNearlyAll() {
    let step = DecodeStep(headCount: 1, parts: 1, shares: 1, groupSize: 2, dimension: 2)
    var memory = DecodeMemory()
    memory.prepare(step)
    let states = memory.states(step)
    // Two keys of weights 3 and 1 with values (1, 0) and (5, 8); the second is in excess. For the other query it is
    // 19 of 20, and stays.
    let whole: [Float] = [2, 2, 4.8, 7.6]
    for i in 0..<4 { states.outputs(0)[i] = whole[i] }
    states.logSumExps(0)[0] = log(4)
    states.logSumExps(0)[1] = log(20)
    for (i, value) in ([5, 8, 5, 8] as [Float]).enumerated() { states.outputs(1)[i] = value }
    states.logSumExps(1)[0] = log(1)
    states.logSumExps(1)[1] = log(19)
    states.subtract(1, from: 0, kernels: .active)
    #expect(abs(states.outputs(0)[0] - 1) < 1e-5)
    #expect(abs(states.outputs(0)[1]) < 1e-5)
    #expect(abs(states.logSumExps(0)[0] - log(3)) < 1e-5)
    #expect(states.outputs(0)[2] == whole[2])
    #expect(states.logSumExps(0)[1] == log(20))
  }
}

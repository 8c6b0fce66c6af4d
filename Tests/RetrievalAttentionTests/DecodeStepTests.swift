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

  @Test(arguments: [(1, 1), (16, 1), (17, 1), (20, 2), (40, 4), (71, 1), (128, 8)])
  func largeGroupsGoInEqualBlocks(group: Int, count: Int) {
    let blocks = QueryBlocks(groupSize: group, isDivided: true)
    #expect(blocks.count == count)
    #expect(blocks.count * blocks.size == group)
    #expect(QueryBlocks(groupSize: group, isDivided: false).count == 1)
    let units = 0..<3 * blocks.count
    #expect(units.flatMap { Array(blocks.heads(of: $0)) } == Array(0..<3 * group))
    #expect(units.map { blocks.kvHead(of: $0) * blocks.count + blocks.block(of: $0) } == Array(units))
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
        (step.slot(head: task.head)..<step.slot(head: task.head) + step.slots).contains(slot))
    }
    let plans = shape.shares > 0 ? 1 : 0
    #expect(done.allSatisfy { $0 == shape.parts + plans + shape.shares })
    #expect(step.slots == shape.parts + plans + shape.shares)
  }

  @Test func estimatesOfAllSharesAreAddedToTheirHead() {
    let step = DecodeStep(headCount: 2, parts: 1, shares: 3, groupSize: 2, dimension: 2)
    var memory = DecodeMemory()
    memory.prepare(step)
    let states = memory.states(step)
    let slot = step.slot(head: 1)
    // Weight 4 with value (2, 2) is there; shares bring 2, 1 and -4 times (5, 8): one is taken away again. For the
    // other query there is nothing yet.
    for (i, value) in ([2, 2, 0, 0] as [Float]).enumerated() { states.slot(slot).outputs[i] = value }
    states.slot(slot).logSumExps[0] = log(4)
    states.slot(slot).logSumExps[1] = -.infinity
    for (share, weight) in ([2, 1, -4] as [Float]).enumerated() {
      // Those of the other head are of no concern.
      for head in 0..<2 {
        let tail = states.tail(head: head, share: share)
        tail.clear()
        tail.logScales.update(from: [0, 7], count: 2)
        for (h, weight) in [weight, abs(weight)].enumerated() {
          tail.sums[h] = head == 0 ? 99 : weight
          tail.accumulators[2 * h] = 5 * tail.sums[h]
          tail.accumulators[2 * h + 1] = 8 * tail.sums[h]
        }
      }
    }
    states.addTail(head: 1, into: slot, workspace: Workspace())
    for (found, expected) in zip(0..<4, [1, 0, 5, 8] as [Float]) {
      #expect(abs(states.slot(slot).outputs[found] - expected) < 1e-5)
    }
    #expect(abs(states.slot(slot).logSumExps[0] - log(3)) < 1e-5)
    #expect(abs(states.slot(slot).logSumExps[1] - 7 - log(7)) < 1e-5)
  }
}

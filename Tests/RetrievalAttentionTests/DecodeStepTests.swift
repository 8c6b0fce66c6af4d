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
      kvHeadCount: shape.heads, blocks: QueryBlocks(groupSize: 2, isDivided: true), parts: shape.parts,
      shares: shape.shares, dimension: 4)
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

  @Test(arguments: [(1, 1), (3, 5), (3, 16), (6, 4), (7, 16), (16, 3), (20, 2), (128, 2)])
  func everyQueryOfSeveralTokensIsInOneBlock(group: Int, tokens: Int) {
    for isDivided in [true, false] {
      let blocks = QueryBlocks(groupSize: group, tokenCount: tokens, isDivided: isDivided)
      var order: [Int] = []
      for unit in 0..<2 * blocks.count {
        #expect(blocks.queryCount(of: unit) <= blocks.size)
        for token in blocks.tokens(of: unit) {
          for head in blocks.heads(of: unit) {
            order.append((blocks.kvHead(of: unit) * tokens + token) * group + head % group)
          }
        }
      }
      // Put together block by block they are `[KV heads, tokens, group]`.
      #expect(order == Array(0..<2 * tokens * group))
      #expect(!isDivided || blocks.size <= max(16, group))
    }
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
    let step = DecodeStep(
      kvHeadCount: 2, blocks: QueryBlocks(groupSize: 2, isDivided: true), parts: 1, shares: 3, dimension: 2)
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

// Several contexts in one batch: each has the distributions that it has alone.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import Testing

extension GenerationTests {
  @Suite struct BatchRunnerTests {
    let model: LlamaModel
    let pool: ThreadPool

    init() throws {
      model = try TestModel.load()
      pool = try ThreadPool(threadCount: 1, poll: 0)
    }

    private func alone(_ tokens: [Int32], prompt: Int, batchCapacity: Int = 512) throws -> [[Float]] {
      try GuestRunner(
        model: model, pool: pool, policy: .exact, plannedTokens: 1024, batchCapacity: batchCapacity
      ).logits(context: Array(tokens[..<prompt]), following: tokens[prompt...])
    }

    private func runner(_ sequences: Int = 4) throws -> BatchRunner {
      try BatchRunner(model: model, pool: pool, sequenceCapacity: sequences)
    }

    @Test func sequencesOfDifferentLengthDoNotMix() throws {
      let text = try TestText.tokens("alice.txt", 400, model: model)
      // Different texts, so that a row in the wrong place would show.
      let sequences = [Array(text[0..<190]), Array(text[200..<270]), Array(text[300..<331])]
      let prompts = [180, 60, 21]
      let runner = try runner()
      let contexts = try sequences.map { _ in try runner.makeContext(policy: .exact, capacity: 1024) }
      var found: [[[Float]]] = sequences.map { _ in [] }
      func evaluate(_ parts: [(index: Int, range: Range<Int>)]) throws {
        let logits = try runner.evaluate(
          parts.map {
            .init(context: contexts[$0.index], tokens: Array(sequences[$0.index][$0.range]), outputs: .last)
          })
        #expect(logits.rowCount == parts.count)
        for (row, part) in parts.enumerated() { found[part.index].append(Array(logits[row])) }
      }
      // Two prompts at once; then one decodes while the third prompt is read; then all decode, in another order.
      try evaluate([(0, 0..<180), (1, 0..<60)])
      try evaluate([(1, 60..<61), (2, 0..<21), (0, 180..<181)])
      for step in 0..<9 {
        try evaluate([(2, 21 + step..<22 + step), (0, 181 + step..<182 + step), (1, 61 + step..<62 + step)])
      }
      for index in sequences.indices {
        let count = found[index].count
        let tokens = Array(sequences[index].prefix(prompts[index] + count - 1))
        let expected = try alone(tokens, prompt: prompts[index])
        // What another size of batches does to the same sequence alone.
        let floor = meanDivergence(expected, try alone(tokens, prompt: prompts[index], batchCapacity: 64))
        let divergence = meanDivergence(expected, found[index])
        #expect(divergence < max(Tolerance.sameAttention, 3 * floor), "sequence \(index), floor \(floor)")
      }
      // The first prompt alone would not pass for the second one.
      #expect(meanDivergence(found[0], found[1]) > 0.5)
    }

    @Test func aBatchOfOneIsTheSameToTheBit() throws {
      let text = try TestText.tokens("alice.txt", 68, model: model)
      let expected = try alone(text, prompt: 60)
      let runner = try runner()
      let context = try runner.makeContext(policy: .exact, capacity: 1024)
      var found: [[Float]] = []
      for range in [0..<60] + (60..<68).map({ $0..<$0 + 1 }) {
        let logits = try runner.evaluate([.init(context: context, tokens: Array(text[range]), outputs: .last)]
        )
        found.append(Array(logits.last))
      }
      #expect(found == expected)
    }

    @Test func aFailureOfOneLeavesAllAsTheyWere() throws {
      let text = try TestText.tokens("alice.txt", 100, model: model)
      let runner = try runner()
      let good = try runner.makeContext(policy: .exact, capacity: 1024)
      let small = try runner.makeContext(policy: .exact, capacity: 20)
      try runner.evaluate([
        .init(context: good, tokens: Array(text[..<40]), outputs: .none),
        .init(context: small, tokens: Array(text[..<20]), outputs: .none),
      ])
      do {
        try runner.evaluate([
          .init(context: good, tokens: [text[40]], outputs: .last),
          .init(context: small, tokens: [text[20]], outputs: .last),
        ])
        Issue.record("21 tokens fit into 20")
      } catch let failure as BatchRunner.ItemFailure {
        #expect(failure.index == 1)
        #expect("\(failure.underlying)".contains("20"))
      }
      #expect(good.tokenCount == 40)
      #expect(small.tokenCount == 20)
      let after = Array(try runner.evaluate([.init(context: good, tokens: [text[40]], outputs: .last)]).last)
      let untouched = try runner.makeContext(policy: .exact, capacity: 1024)
      // The same batches, so the same rounding.
      let other = try runner.makeContext(policy: .exact, capacity: 20)
      try runner.evaluate([
        .init(context: untouched, tokens: Array(text[..<40]), outputs: .none),
        .init(context: other, tokens: Array(text[..<20]), outputs: .none),
      ])
      let expected = Array(
        try runner.evaluate([.init(context: untouched, tokens: [text[40]], outputs: .last)]).last)
      #expect(after == expected)
    }

    @Test func refusesWhatDoesNotFit() throws {
      let runner = try runner(2)
      let contexts = try (0..<3).map { _ in try runner.makeContext(policy: .exact, capacity: 1024) }
      #expect(throws: LlamaError.self) { try runner.evaluate([]) }
      #expect(throws: LlamaError.self) {
        try runner.evaluate(contexts.map { .init(context: $0, tokens: [1], outputs: .last) })
      }
      #expect(throws: LlamaError.self) {
        try runner.evaluate([
          .init(context: contexts[0], tokens: Array(repeating: 1, count: 513), outputs: .last)
        ])
      }
      #expect(throws: LlamaError.self) {
        try runner.evaluate([.init(context: contexts[0], tokens: [], outputs: .last)])
      }
      #expect(throws: LlamaError.self) {
        try runner.evaluate([.init(context: contexts[0], tokens: [-1], outputs: .last)])
      }
      #expect(contexts.allSatisfy { $0.tokenCount == 0 })
    }
  }
}

// Both runners with a real model: the same distributions, and a usable state after whatever went wrong.

import AttentionPolicies
import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import Testing

extension GenerationTests {
  @Suite struct RunnerTests {
    let model: LlamaModel
    let pool: ThreadPool

    init() throws {
      model = try TestModel.load()
      pool = try ThreadPool(threadCount: 2, poll: 0)
    }

    private func guest(_ policy: AttentionPolicy, batchCapacity: Int = 512) throws -> GuestRunner {
      try GuestRunner(
        model: model, pool: pool, policy: policy, plannedTokens: 4096, batchCapacity: batchCapacity)
    }

    private func generate(_ runner: any SequenceRunner, _ prompt: Prompt, tokens: Int) throws
      -> TextGenerator.Result
    {
      var told = ""
      var read: [Int] = []
      let result = try TextGenerator(runner: runner).generate(
        prompt: prompt.tokens, maximumTokens: tokens, sampler: Sampler(settings: .greedy, model: model)
      ) { event in
        switch event {
        case .prefill(let done, let total):
          #expect(total == prompt.tokens.count)
          read.append(done)
        case .text(let text): told += text
        case .reasoning: Issue.record("thoughts")
        }
      }
      #expect(told == result.text)
      #expect(read.last == prompt.tokens.count)
      #expect(result.tokens.count <= tokens)
      #expect(result.statistics.promptTokens == prompt.tokens.count)
      #expect(result.statistics.generatedTokens == result.tokens.count)
      return result
    }

    @Test func shortAnswersAgree() throws {
      let prompt = try Prompt(
        documents: [], question: "What is the capital of France? Answer with its name.", model: model,
        raw: false)
      let host = try generate(HostRunner(model: model, pool: pool, contextLength: 128), prompt, tokens: 8)
      let exact = try generate(guest(.exact), prompt, tokens: 8)
      let retrieval = try generate(guest(.retrieval(.init())), prompt, tokens: 8)
      #expect(exact.text == host.text)
      #expect(retrieval.tokens == exact.tokens)
      #expect(host.text.contains("Paris"))
      #expect(host.statistics.attention == "host")
      #expect(host.statistics.reads == nil)
      #expect(exact.statistics.reads?.keysRead == 1)
      #expect(retrieval.statistics.attention == "retrieval")
    }

    @Test func shortContextsHaveTheSameDistributions() throws {
      let tokens = try TestText.tokens("alice.txt", 200, model: model)
      func logits(_ runner: any SequenceRunner) throws -> [[Float]] {
        try runner.logits(context: Array(tokens[..<180]), following: tokens[180...])
      }
      let exact = try logits(guest(.exact))
      #expect(try logits(guest(.retrieval(.init()))) == exact, "without an index both do the same")
      let host = try logits(HostRunner(model: model, pool: pool, contextLength: 256))
      let flash = try logits(HostRunner(model: model, pool: pool, contextLength: 256, flashAttention: true))
      let divergence = meanDivergence(host, exact)
      #expect(divergence < max(Tolerance.sameAttention, 3 * meanDivergence(host, flash)))
    }

    /// One pass of the model for several policies gives each the logits that it would come to alone: to the bit, unless
    /// its index moves rows, and with them the order in which a question alone would sum over them.
    @Test func contextsThatReadTogetherAreLikeThoseThatReadAlone() throws {
      let tokens = try TestText.tokens("alice.txt", 290, model: model)
      // Cut where the last piece would be a single token, which is not for the policy to read.
      let (context, question) = (Array(tokens[..<257]), Array(tokens[257..<280]))
      let names = ["exact", "snapkv:budget=60,window=16", "retrieval:sink=8,window=32,minimum=32"]
      let host = try GuestHost(model: model, pool: ThreadPool(threadCount: 1), batchCapacity: 128)
      func answer(_ runner: GuestRunner) throws -> [[Float]] {
        try tokens[280..<284].map { Array(try runner.decode($0).last) }
      }
      let together = try names.map { try runner($0, host: host) }
      let others = Array(together.dropFirst())
      _ = try together[0].prefill(context, with: others)
      let first = Array(try together[0].prefill(question, with: others).last)
      for (name, reader) in zip(names, together) {
        #expect(reader.tokens == context + question)
        let alone = try runner(name, host: host)
        _ = try alone.prefill(context, progress: nil)
        let expected = [Array(try alone.prefill(question, progress: nil).last)] + (try answer(alone))
        let found = [first] + (try answer(reader))
        if reader.engine.policy.movesRows {
          #expect(reader.engine.indexedTokenCount > 0)
          #expect(meanDivergence(expected, found) < Tolerance.sameAttention, "\(name)")
        } else {
          #expect(expected == found, "\(name)")
        }
      }
    }

    private func runner(_ name: String, host: GuestHost) throws -> GuestRunner {
      let runner = try GuestRunner(
        host: host, policy: PolicyRegistry.published.parse(name), plannedTokens: 2048)
      runner.indexesDecodedTokens = false
      return runner
    }

    /// What stops one reader leaves all as they were.
    @Test func contextsThatCannotReadTogetherAreUnchanged() throws {
      let tokens = try TestText.tokens("alice.txt", 200, model: model)
      let host = try GuestHost(model: model, pool: pool, batchCapacity: 128)
      let small = GuestRunner(
        host: host, context: try Context(shape: host.shape, policy: .exact, capacity: 150))
      let reader = try runner("exact", host: host)
      #expect(throws: AttentionError.capacityExceeded(tokens: 200, capacity: 150)) {
        try reader.prefill(tokens, with: [small])
      }
      #expect(reader.tokenCount == small.tokenCount)
      #expect(reader.tokens == small.tokens)
      // Alone it goes on.
      _ = try reader.prefill(Array(tokens[reader.tokenCount...]), progress: nil)
      #expect(reader.tokens == tokens)
    }

    @Test func retrievalIsNearExactOnAMediumContext() throws {
      let tokens = try TestText.tokens("alice.txt", 3032, model: model)
      let runner = try guest(.retrieval(.init()))
      _ = try runner.prefill(Array(tokens[..<3000]), progress: nil)
      #expect(runner.indexSeconds > 0)
      #expect(runner.memory.index > 0)
      #expect(runner.memory.index < runner.memory.store / 8)
      func decode() throws -> [[Float]] { try tokens[3000...].map { Array(try runner.decode($0).last) } }
      let found = try decode()
      let reads = runner.engine.statistics
      #expect(reads.steps == 32)
      #expect(reads.keysReadWithStatic < 1)
      try runner.truncate(to: 3000)
      runner.options.isExact = true
      let divergence = meanDivergence(try decode(), found)
      #expect(divergence < Tolerance.retrieval, "reading \(reads.keysReadWithStatic)")
      try runner.truncate(to: 3000)
      runner.options.isExact = false
      #expect(try decode() == found, "the same again")
    }

    @Test func cancelledPrefillCanGoOn() async throws {
      let tokens = try TestText.tokens("alice.txt", 160, model: model)
      let reference = try guest(.exact, batchCapacity: 32)
      let expected = Array(try reference.prefill(tokens, progress: nil).last)
      let runner = try guest(.exact, batchCapacity: 32)
      // The runner is used by one task at a time.
      nonisolated(unsafe) let shared = runner
      let task = Task {
        _ = try shared.prefill(tokens) { done in
          if done == 64 { withUnsafeCurrentTask { $0?.cancel() } }
        }
        return shared.tokenCount
      }
      await #expect(throws: CancellationError.self) { _ = try await task.value }
      #expect(runner.tokenCount == 64)
      let found = Array(try runner.prefill(Array(tokens[64...]), progress: nil).last)
      #expect(runner.tokenCount == 160)
      #expect(found == expected)
    }

    /// A batch that stops between two layers, as a cancelled one can, leaves some of them ahead of others.
    @Test func aBatchThatStoppedBetweenLayersIsTakenBack() async throws {
      let tokens = try TestText.tokens("alice.txt", 3 * 64, model: model)
      let runner = try guest(.exact, batchCapacity: 64)
      _ = try runner.prefill(Array(tokens[..<64]), progress: nil)
      nonisolated(unsafe) let shared = runner
      let task = Task { _ = try shared.prefill(Array(tokens[64...]), progress: nil) }
      // Wherever it is by then: between batches, between layers or done.
      try await Task.sleep(for: .milliseconds(15))
      task.cancel()
      _ = await task.result
      #expect(runner.tokenCount % 64 == 0)
      let rest = Array(tokens[runner.tokenCount...])
      let reference = try guest(.exact, batchCapacity: 64)
      let expected = Array(try reference.prefill(tokens, progress: nil).last)
      if !rest.isEmpty { #expect(Array(try runner.prefill(rest, progress: nil).last) == expected) }
    }

    @Test func refusesPromptsThatCannotFit() throws {
      let host = try HostRunner(model: model, pool: pool, contextLength: 64)
      let tokens = try TestText.tokens("alice.txt", 65, model: model)
      #expect(throws: LlamaError.self) { try host.prefill(tokens, progress: nil) }
      #expect(host.tokenCount == 0)
      _ = try host.prefill(Array(tokens[..<60]), progress: nil)
      #expect(host.tokenCount == 60)

      let runner = try guest(.exact)
      let capacity = runner.engine.capacity
      let long = [Int32](repeating: tokens[1], count: capacity + 1)
      // At once, and not after the tokens that do fit have been read.
      #expect(throws: AttentionError.capacityExceeded(tokens: capacity + 1, capacity: capacity)) {
        try runner.prefill(long, progress: nil)
      }
      #expect(runner.tokenCount == 0)
    }

    @Test func refusesBadCounts() throws {
      #expect(throws: GenerationError.invalidCount(name: "planned tokens", value: 0, requirement: "positive"))
      {
        _ = try GuestRunner(model: model, pool: pool, policy: .exact, plannedTokens: 0)
      }
      #expect(
        throws: GenerationError.invalidCount(name: "context length", value: -1, requirement: "positive")
      ) {
        _ = try HostRunner(model: model, pool: pool, contextLength: -1)
      }
      for planned in [1 << 40, Int.max / 46_000, .max] {
        #expect(throws: AttentionError.self, "\(planned) tokens") {
          _ = try GuestRunner(model: model, pool: pool, policy: .exact, plannedTokens: planned)
        }
      }
      let runner = try guest(.exact)
      #expect(throws: GenerationError.emptyPrompt) { try runner.prefill([], progress: nil) }
      #expect(throws: GenerationError.invalidCount(name: "max tokens", value: 0, requirement: "positive")) {
        _ = try TextGenerator(runner: runner).generate(
          prompt: [1], maximumTokens: 0, sampler: Sampler(settings: .greedy, model: model)
        ) { _ in }
      }
      #expect(throws: LlamaError.self) { try runner.decode(-1) }
      #expect(runner.tokenCount == 0)
    }

    /// Needs RA_TEST_SLIDING_MODEL: a model with sliding-window layers of 512 tokens, such as Gemma 3.
    @Test(.enabled(if: TestModel.slidingPath != nil))
    func slidingWindowsFollowTheHost() throws {
      let model = try LlamaModel.load(path: try #require(TestModel.slidingPath))
      let tokens = try TestText.tokens("alice.txt", 1216, model: model)
      func logits(_ runner: any SequenceRunner) throws -> [[Float]] {
        try runner.logits(context: Array(tokens[..<1200]), following: tokens[1200...])
      }
      let guest = try GuestRunner(model: model, pool: pool, policy: .exact, plannedTokens: 1216)
      #expect(guest.engine.shape.attentionLayers.contains { ($0.slidingWindow ?? .max) < 1200 })
      let exact = try logits(guest)
      let host = try logits(HostRunner(model: model, pool: pool, contextLength: 1280))
      let flash = try logits(HostRunner(model: model, pool: pool, contextLength: 1280, flashAttention: true))
      let divergence = meanDivergence(host, exact)
      #expect(divergence < max(Tolerance.sameAttention, 3 * meanDivergence(host, flash)))
    }
  }
}

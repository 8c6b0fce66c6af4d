// Prompts that the host attends to, as devices do: what we keep of them must serve as if we had read them.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import Testing

extension GenerationTests {
  /// The CPU stands in for a device; `make test-gpu` does the same with one.
  @Suite struct PromptReadingTests {
    let host: GuestHost
    let tokens: [Int32]
    private let contextLength = 300

    init() throws {
      let model = try TestModel.load()
      host = try GuestHost(model: model, pool: ThreadPool(threadCount: 1), batchCapacity: 96)
      tokens = try TestText.tokens("alice.txt", 308, model: model)
    }

    private func runner(_ policy: String, fromHost: Bool) throws -> GuestRunner {
      let runner = try GuestRunner(host: host, policy: .parse(policy), plannedTokens: 2048)
      runner.leavesPromptsToHost = fromHost
      runner.indexesDecodedTokens = false
      return runner
    }

    @Test(arguments: ["exact", "retrieval:sink=16,window=64,minimum=128"])
    func answersAreThoseOfOurOwnReading(_ policy: String) throws {
      let (context, following) = (Array(tokens[..<contextLength]), tokens[contextLength...])
      let ours = try runner(policy, fromHost: false)
      let expected = try ours.logits(context: context, following: following)
      let theirs = try runner(policy, fromHost: true)
      let found = try theirs.logits(context: context, following: following)
      #expect(theirs.tokens == Array(tokens))
      #expect(theirs.engine.indexedTokenCount == ours.engine.indexedTokenCount)
      #expect(policy == "exact" || theirs.engine.indexedTokenCount > 0)
      #expect(theirs.engine.statistics.keysReadWithStatic <= 1)
      #expect(meanDivergence(expected, found) < Tolerance.sameAttention)
      #expect(host.promptReading.refusal == nil)
      // The very attention is the host's: another rounding, so not the same to the bit.
      #expect(expected[0] != found[0])
    }

    /// A question after the prompt is ours again, and so is a prompt in a context that has one.
    @Test func contextsGoOnWithOurAttention() throws {
      let theirs = try runner("exact", fromHost: true)
      let ours = try runner("exact", fromHost: false)
      for runner in [theirs, ours] { _ = try runner.prefill(Array(tokens[..<200]), progress: nil) }
      let question = Array(tokens[200..<300])
      let found = Array(try theirs.prefill(question, progress: nil).last)
      let expected = Array(try ours.prefill(question, progress: nil).last)
      #expect(theirs.tokens == Array(tokens[..<300]))
      #expect(LogitComparison.divergence(expected, found) < Tolerance.sameAttention)
    }

    /// Whole batches are kept when reading stops, and the rest can be read.
    @Test func readingThatStopsCanGoOn() async throws {
      let runner = try runner("exact", fromHost: true)
      let context = Array(tokens[..<contextLength])
      nonisolated(unsafe) let reader = runner
      let task = Task.detached { [context] in
        _ = try reader.prefill(context) { done in
          if done == 192 { withUnsafeCurrentTask { $0?.cancel() } }
        }
      }
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(runner.tokens == Array(tokens[..<192]))
      let found = Array(try runner.prefill(Array(tokens[192..<contextLength]), progress: nil).last)
      let ours = try self.runner("exact", fromHost: false)
      let expected = Array(try ours.prefill(context, progress: nil).last)
      #expect(LogitComparison.divergence(expected, found) < Tolerance.sameAttention)
    }

    /// Policies that have to see every token of a prompt read for themselves.
    @Test func otherPoliciesReadForThemselves() throws {
      let context = Array(tokens[..<150])
      func logits(_ fromHost: Bool) throws -> [Float] {
        Array(
          try runner("snapkv:budget=60,window=16", fromHost: fromHost).prefill(context, progress: nil).last)
      }
      #expect(try logits(true) == logits(false))
    }
  }
}

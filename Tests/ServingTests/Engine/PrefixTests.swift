// Prompts that part from earlier ones where these are in an index already: what is in common is not read again.

import LlamaHost
import RetrievalAttention
import Serving
import Testing

extension SchedulerTests {
  @Suite struct PrefixTests {
    private static let document = 2000

    private func tokens(_ count: Int, seed: UInt64) -> [Int32] {
      var generator = SplitMix(state: seed)
      return (0..<count).map { _ in Int32(3 + generator.next() % 256) }
    }

    /// A tolerance of 0 reads all keys, so that answers do not depend on when an index was made.
    private func start(_ tiny: TinyModel, in scratch: ScratchDirectory) async throws -> Scheduler {
      let model = try LlamaModel.load(path: scratch.write(tiny.build()))
      var retrieval = RetrievalSettings()
      retrieval.minimumIndexedCount = 512
      retrieval.search.tolerance = 0
      return try await .start(
        model: model,
        settings: .small(contextLength: 4096) {
          $0.attention = .retrieval(retrieval)
          $0.draftsFromText = false
        })
    }

    private func ask(_ scheduler: Scheduler, _ prompt: [Int32]) async throws -> Answer {
      try await scheduler.answer(
        CompletionRequest(prompt: .tokens(prompt), maximumTokens: 6))
    }

    @Test func onlyWhatDiffersIsReadAgain() async throws {
      let scratch = try ScratchDirectory()
      let scheduler = try await start(.llama(context: 4096), in: scratch)
      let document = tokens(Self.document, seed: 1)
      // Longer than the window, so that the index goes on behind the document.
      let prompts = (2..<5).map { document + tokens(300, seed: $0) }
      var answers: [Answer] = []
      for prompt in prompts { answers.append(try await ask(scheduler, prompt)) }
      #expect(answers.map(\.cachedTokens) == [0, Self.document, Self.document])
      // The contexts that they went on from are as they were.
      for (prompt, answer) in zip(prompts, answers) {
        let again = try await ask(scheduler, prompt)
        #expect(again.cachedTokens == prompt.count - 1)
        #expect(again.text == answer.text)
      }
      await scheduler.stop()
      let fresh = try await start(.llama(context: 4096), in: scratch)
      #expect(try await ask(fresh, prompts[2]).text == answers[2].text)
      await fresh.stop()
    }

    /// States cannot be cut, so hybrid models go back to the last copy: one is made every 1,024 tokens.
    @Test func hybridModelsReadFromTheLastCopy() async throws {
      let scratch = try ScratchDirectory()
      let scheduler = try await start(.jamba(context: 4096), in: scratch)
      let document = tokens(Self.document, seed: 1)
      let prompts = (2..<4).map { document + tokens(300, seed: $0) }
      let first = try await ask(scheduler, prompts[0])
      let second = try await ask(scheduler, prompts[1])
      #expect(first.cachedTokens == 0)
      #expect((Self.document - 1024 - 512..<Self.document).contains(second.cachedTokens))
      #expect(try await ask(scheduler, prompts[0]).text == first.text)
      await scheduler.stop()
      let fresh = try await start(.jamba(context: 4096), in: scratch)
      #expect(try await ask(fresh, prompts[1]).text == second.text)
      await fresh.stop()
    }
  }
}

import Foundation
import LlamaHost
import Serving
import Testing

extension SchedulerTests {
  /// llama.cpp's own attention behind the same service.
  @Suite struct HostSchedulerTests {
    private func start(
      _ change: (inout SchedulerSettings) -> Void = { _ in }
    ) async throws -> HostScheduler {
      try await HostScheduler.start(model: TestModel.load(), settings: .small(contextLength: 512, change))
    }

    @Test func answersAsTheOtherEngineDoes() async throws {
      let host = try await start()
      let ours = try await Scheduler.start()
      let question = "What is the capital of France? Answer with its name."
      let answer = try await host.ask(question, tokens: 24)
      let expected = try await ours.ask(question, tokens: 24)
      #expect(answer.text == expected.text)
      #expect(answer.reasons == expected.reasons)
      #expect(answer.tokens == expected.tokens)
      #expect(answer.promptTokens == expected.promptTokens)
      #expect(answer.statistics?.contextRead == nil)
      let again = try await host.ask(question, tokens: 24)
      #expect(again.cachedTokens == answer.promptTokens - 1)
      #expect(again.text == answer.text)
      let totals = await host.statistics()
      #expect(totals.completed == 2)
      #expect(totals.running == 0)
      await host.drain(until: .now)
      await ours.stop()
    }

    @Test func choicesStopsAndAlternatives() async throws {
      let host = try await start()
      var request = CompletionRequest(
        prompt: .text("Once upon a time"), maximumTokens: 10,
        sampling: try SamplerSettings(temperature: 1.5, topP: 1, minP: 0, seed: 7), choiceCount: 2)
      let answer = try await host.answer(request)
      #expect(Set(answer.texts.keys) == [0, 1])
      #expect(answer.texts[0] != answer.texts[1])
      #expect(try await host.answer(request).texts == answer.texts)
      request.choiceCount = 1
      request.alternatives = 2
      request.stop = [String(answer.text.dropFirst(2).prefix(4))]
      let stopped = try await host.answer(request)
      #expect(stopped.reasons[0] == .stop)
      #expect(stopped.text == String(answer.text.prefix(2)))
      #expect(stopped.probabilities.allSatisfy { $0.alternatives.count == 2 })
      #expect(!stopped.probabilities.isEmpty)
      await host.drain(until: .now)
    }

    @Test func limitsSessionsAndMistakesAreToldAsErrors() async throws {
      let host = try await start()
      await #expect(throws: ServingError.noSessions) {
        _ = try await host.createSession(name: "a", text: "b")
      }
      await #expect(throws: ServingError.unknownSession("a")) {
        _ = try await host.ask("What?", session: "a")
      }
      await #expect(throws: ServingError.contextTooLong(tokens: 600, requested: 1, limit: 512)) {
        _ = try await host.answer(
          CompletionRequest(prompt: .tokens([Int32](repeating: 5, count: 600)), maximumTokens: 1))
      }
      await #expect(throws: ServingError.noSessions) {
        _ = try await start { $0.sessionFolder = "somewhere" }
      }
      // It goes on after all of them.
      #expect(try await host.ask("Hello!", tokens: 2).tokens[0] == 2)
      await host.drain(until: .now)
      await #expect(throws: ServingError.draining) { _ = try await host.ask("Hello!") }
    }

    @Test func aClientThatLeavesStopsItsAnswer() async throws {
      let host = try await start()
      var pieces = 0
      let request = CompletionRequest(prompt: .text("1, 2, 3,"), maximumTokens: 400)
      for try await event in try await host.complete(request) {
        if case .delta = event { pieces += 1 }
        if pieces == 3 { break }
      }
      #expect(try await host.ask("Hello!", tokens: 2).tokens[0] == 2)
      #expect(await host.statistics().cancelled == 1)
      await host.drain(until: .now)
    }
  }
}

import Foundation
import LlamaHost
import Serving
import Testing

extension SchedulerTests {
  @Suite struct LimitTests {
    private func endless(_ text: String = "1, 2, 3,") -> CompletionRequest {
      CompletionRequest(prompt: .text(text), maximumTokens: 1500)
    }

    @Test func refusesWhatCannotBeServed() async throws {
      let scheduler = try await Scheduler.start { $0.contextLength = 100 }
      func error(_ request: CompletionRequest) async -> ServingError? {
        do {
          _ = try await scheduler.complete(request)
          return nil
        } catch {
          return error as? ServingError
        }
      }
      let text = String(repeating: "word ", count: 200)
      guard case .contextTooLong(_, _, limit: 100) = await error(CompletionRequest(prompt: .text(text)))
      else {
        Issue.record("200 words fit into 100 tokens")
        return
      }
      for request in [
        CompletionRequest(prompt: .text("")), CompletionRequest(prompt: .tokens([])),
        CompletionRequest(prompt: .tokens([-1])), CompletionRequest(prompt: .tokens([1 << 30])),
        CompletionRequest(prompt: .mixed([])), CompletionRequest(prompt: .mixed([.text("a"), .token(-1)])),
      ] {
        guard case .invalidParameter("prompt", _) = await error(request) else {
          Issue.record("\(request.prompt) was taken")
          continue
        }
      }
      #expect(
        await error(CompletionRequest(prompt: .chat(ChatRequest([])), session: "ses-x"))
          == .unknownSession("ses-x"))
      // Without a limit of its own an answer gets what is left.
      let rest = try await scheduler.answer(CompletionRequest(prompt: .text("1, 2, 3, 4,")))
      #expect(rest.promptTokens + (rest.tokens[0] ?? 0) <= 100)
      #expect(rest.statistics?.shortenedTo == nil)
      await scheduler.stop()
    }

    /// Limits beyond the context become what is left of it, and the answer says so.
    @Test func limitsAreShortenedToTheContext() async throws {
      let scheduler = try await Scheduler.start { $0.contextLength = 40 }
      // Without an end, every answer is as long as it may be.
      let ends = LogitBias(.text("<|im_end|><|endoftext|>"), -.infinity)
      func answer(_ maximum: Int?) async throws -> Answer {
        try await scheduler.answer(
          CompletionRequest(prompt: .text("1, 2, 3,"), maximumTokens: maximum, logitBias: [ends]))
      }
      let shortened = try await answer(1000)
      let room = 40 - shortened.promptTokens
      #expect(shortened.tokens[0] == room && shortened.statistics?.shortenedTo == room)
      #expect(shortened.reasons[0] == .length)
      let whole = try await answer(.max)
      #expect(whole.tokens[0] == room && whole.statistics?.shortenedTo == nil)
      let fitting = try await answer(5)
      #expect(fitting.tokens[0] == 5 && fitting.statistics?.shortenedTo == nil)
      // None at all reads the prompt.
      let none = try await answer(0)
      #expect(none.tokens[0] == 0 && none.text.isEmpty && none.reasons[0] == .length)
      await scheduler.stop()
    }

    @Test func leavingStopsTheWork() async throws {
      let scheduler = try await Scheduler.start()
      // A function, so that the stream goes with its end.
      func leave() async throws {
        for try await event in try await scheduler.complete(endless()) {
          if case .delta = event { return }
        }
      }
      try await leave()
      for _ in 0..<500 {
        if (await scheduler.statistics()).running == 0 { break }
        try await Task.sleep(for: .milliseconds(10))
      }
      let totals = await scheduler.statistics()
      #expect(totals.running == 0)
      #expect(totals.cancelled == 1)
      #expect(totals.generatedTokens < 1000)
      // What it had read is there for others.
      let again = try await scheduler.answer(CompletionRequest(prompt: .text("1, 2, 3, 4"), maximumTokens: 1))
      #expect(again.cachedTokens > 0)
      await scheduler.stop()
    }

    @Test func aFullQueueTurnsAway() async throws {
      let scheduler = try await Scheduler.start {
        $0.parallel = 1
        $0.queueLength = 1
      }
      let running = try await scheduler.complete(endless())
      while (await scheduler.statistics()).running == 0 { try await Task.sleep(for: .milliseconds(5)) }
      let waiting = try await scheduler.complete(endless("a, b, c,"))
      do {
        _ = try await scheduler.complete(endless("x"))
        Issue.record("a third request found a place")
      } catch ServingError.queueFull(let count, let seconds) {
        #expect(count == 1)
        #expect((1...60).contains(seconds))
      }
      #expect((await scheduler.statistics()).rejected == 1)
      // Draining fails what is left, cleanly, and takes nothing new.
      await scheduler.stop()
      for stream in [running, waiting] {
        await #expect(throws: ServingError.draining) { for try await _ in stream {} }
      }
      await #expect(throws: ServingError.draining) { _ = try await scheduler.complete(endless("y")) }
    }

    @Test func drainingLetsAnswersEnd() async throws {
      let scheduler = try await Scheduler.start()
      let stream = try await scheduler.complete(CompletionRequest(prompt: .text("1, 2,"), maximumTokens: 20))
      async let drained: Void = scheduler.drain(until: .now + .seconds(60))
      var finished = false
      for try await event in stream {
        if case .completed = event { finished = true }
      }
      await drained
      #expect(finished)
    }

    @Test func refusesSettingsThatMakeNoSense() async throws {
      for change in [
        { $0.parallel = 0 }, { $0.queueLength = -1 }, { $0.stallMilliseconds = 0 }, { $0.contextLength = 0 },
        { $0.memoryBudget = 0 },
      ] as [(inout SchedulerSettings) -> Void] {
        await #expect(throws: ServingError.self) { _ = try await Scheduler.start(change) }
      }
    }
  }
}

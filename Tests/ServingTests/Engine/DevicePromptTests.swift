// Prompts that devices attend to while others are served. The CPU stands in for a device.

import Foundation
import Generation
import LlamaHost
import Serving
import Testing

extension SchedulerTests {
  @Suite struct DevicePromptTests {
    /// Log probabilities of the first token after a document that a session keeps, with another prompt being read at
    /// the same time, and after that other prompt.
    private func logProbabilities(_ placement: DevicePlacement) async throws -> [Float] {
      let scheduler = try await Scheduler.start { $0.placement = placement }
      let text = try TestText.read("alice.txt", characters: 3000)
      let other = String(try TestText.read("persuasion.txt", characters: 3000).suffix(1500))
      func request(_ text: String, session: String? = nil) -> CompletionRequest {
        var request = CompletionRequest(
          prompt: .chat(ChatRequest([ChatMessage(role: .user, content: text)])), session: session,
          maximumTokens: 1)
        request.alternatives = 3
        return request
      }
      async let beside = scheduler.answer(request(other + "\nWho is this?"))
      var session: String?
      for try await event in try await scheduler.createSession(name: "book", text: text) {
        if case .ready(let card) = event { session = card.id }
      }
      let about = try await scheduler.answer(request("Who fell down the hole?", session: session))
      #expect(about.cachedTokens > 500)
      let answers = [about, try await beside]
      await scheduler.stop()
      return answers.flatMap { $0.probabilities.flatMap(\.alternatives).map(\.logProbability) }
    }

    @Test func answersAreThoseOfTheCPU() async throws {
      let here = try await logProbabilities(.devices)
      let there = try await logProbabilities(.anywhere(limit: nil))
      #expect(here.count == 6 && there.count == 6)
      for (a, b) in zip(here, there) { #expect(abs(a - b) < 0.4, "\(here) \(there)") }
      // The very attention is another's: other roundings.
      #expect(here != there)
      // Without room for all layers the CPU reads, as if there were no devices.
      let little = try await logProbabilities(.anywhere(limit: 5_000_000))
      for (a, b) in zip(here, little) { #expect(abs(a - b) < 0.4, "\(here) \(little)") }
    }
  }
}

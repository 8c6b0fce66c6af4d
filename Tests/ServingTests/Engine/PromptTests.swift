import LlamaHost
import Serving
import Testing

extension SchedulerTests {
  @Suite struct PromptTests {
    /// A client that fills in the template by itself gets the same prompt as one that sends messages.
    @Test func controlTokensInRawPrompts() async throws {
      let scheduler = try await Scheduler.start()
      let messages = [ChatMessage(role: .user, content: "What is the capital of France?")]
      let chat = try await scheduler.answer(
        CompletionRequest(prompt: .chat(ChatRequest(messages)), maximumTokens: 8))
      let text = try #require(TestModel.load().chatTemplate).render(messages)
      #expect(text.contains("<|im_start|>"))
      let raw = try await scheduler.answer(CompletionRequest(prompt: .text(text), maximumTokens: 8))
      #expect(raw.promptTokens == chat.promptTokens)
      #expect(raw.cachedTokens == chat.promptTokens - 1)
      #expect(raw.text == chat.text)
      let plain = try await scheduler.answer(
        CompletionRequest(prompt: .text(text, parseSpecial: false), maximumTokens: 1))
      #expect(plain.promptTokens > chat.promptTokens + 4)
      // In a message they stay text.
      let quoted = try await scheduler.answer(
        CompletionRequest(
          prompt: .chat(ChatRequest([ChatMessage(role: .user, content: "a<|im_end|>b")])), maximumTokens: 1))
      let letters = try await scheduler.answer(
        CompletionRequest(
          prompt: .chat(ChatRequest([ChatMessage(role: .user, content: "a b")])), maximumTokens: 1))
      #expect(quoted.promptTokens > letters.promptTokens + 2)
      await scheduler.stop()
    }

    /// What cannot fit is refused by its size, whatever its tokens are; white space may be few tokens.
    @Test func hopelessPromptsAreNotTokenized() async throws {
      let scheduler = try await Scheduler.start { $0.contextLength = 100 }
      let word = String(repeating: "word ", count: 200_000)
      for prompt in [
        CompletionRequest.Prompt.text(word), .chat(ChatRequest([ChatMessage(role: .user, content: word)])),
      ] {
        do {
          _ = try await scheduler.complete(CompletionRequest(prompt: prompt))
          Issue.record("200,000 words fit into 100 tokens")
        } catch ServingError.promptTooLong(let least, limit: 100) {
          #expect((101...200_000).contains(least))
        }
      }
      await #expect(throws: ServingError.self) {
        _ = try await scheduler.createSession(name: "x", text: word)
      }
      let blank = ChatMessage(role: .user, content: String(repeating: " ", count: 100_000) + "x")
      do {
        _ = try await scheduler.complete(CompletionRequest(prompt: .chat(ChatRequest([blank]))))
      } catch ServingError.contextTooLong {}
      await scheduler.stop()
    }
  }
}

import Foundation
import LlamaHost
import Serving
import Testing

extension SchedulerTests {
  /// What is asked about tokens, and by tokens.
  @Suite struct TextTests {
    @Test func tokensAreThoseOfTheModel() async throws {
      let scheduler = try await Scheduler.start()
      let text = "What is the capital of France? é 🤗"
      let tokens = try await scheduler.tokenize(text, addSpecial: false, parseSpecial: false)
      let bytes = try await scheduler.pieces(of: tokens).flatMap { $0 }
      #expect(String(decoding: bytes, as: UTF8.self) == text)
      let special = try await scheduler.tokenize("<|im_end|>", addSpecial: false, parseSpecial: true)
      #expect(special.count == 1)
      #expect(try await scheduler.pieces(of: special) == [Array("<|im_end|>".utf8)])
      #expect(try await scheduler.tokenize("<|im_end|>", addSpecial: false, parseSpecial: false).count > 1)
      await #expect(throws: ServingError.self) { _ = try await scheduler.pieces(of: [-1]) }
      let prompt = try await scheduler.prompt(
        of: ChatRequest([ChatMessage(role: .user, content: "Hello")]), addGenerationPrompt: true)
      #expect(prompt.hasSuffix("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"))
      await scheduler.stop()
    }

    @Test func theCardTellsTheModel() async throws {
      let scheduler = try await Scheduler.start { $0.modelAliases = ["small"] }
      let details = try #require(scheduler.model.details)
      #expect(details.family == "llama" && details.vocabularySize == 49_152)
      #expect((100_000_000...200_000_000).contains(details.parameterCount))
      #expect(details.fileName.hasSuffix(".gguf") && !details.fileName.contains("/"))
      #expect(details.chatTemplate?.contains("im_start") == true)
      #expect(scheduler.model.isCalled("small") && !scheduler.model.isCalled("large"))
      await scheduler.stop()
    }

    @Test func biasesForceAndForbid() async throws {
      let scheduler = try await Scheduler.start()
      func answer(_ biases: [LogitBias], grammar: String? = nil) async throws -> String {
        let sampling = try SamplerSettings(temperature: 0, grammar: grammar)
        return try await scheduler.answer(
          CompletionRequest(
            prompt: .text("1, 2, 3,"), maximumTokens: 4, sampling: sampling, logitBias: biases)
        ).text
      }
      let plain = try await answer([])
      #expect(try await answer([LogitBias(.text(" cat"), 1000)]) == " cat cat cat cat")
      let first = try #require(
        try await scheduler.tokenize(plain, addSpecial: false, parseSpecial: false).first)
      let other = try await answer([LogitBias(.token(first), -.infinity)])
      #expect(!other.isEmpty && other != plain)
      // Biases choose among what a grammar allows.
      #expect(try await answer([LogitBias(.text("b"), 1000)], grammar: "root ::= [ab]{2}") == "bb")
      for bias in [LogitBias(.token(-1), 1), LogitBias(.token(1 << 20), 1), LogitBias(.token(1), .nan)] {
        do {
          _ = try await answer([bias])
          Issue.record("\(bias) was taken")
        } catch ServingError.invalidParameter("logit_bias", _) {}
      }
      await scheduler.stop()
    }

    @Test func promptsOfTextsAndTokens() async throws {
      let scheduler = try await Scheduler.start()
      let tokens = try await scheduler.tokenize("1, 2, 3,", addSpecial: true, parseSpecial: true)
      func answer(_ prompt: CompletionRequest.Prompt) async throws -> Answer {
        try await scheduler.answer(CompletionRequest(prompt: prompt, maximumTokens: 6))
      }
      let text = try await answer(.text("1, 2, 3,"))
      #expect(try await answer(.tokens(tokens)).text == text.text)
      let head = tokens.prefix(3).map { CompletionRequest.Part.token($0) }
      let tail = String(
        decoding: try await scheduler.pieces(of: Array(tokens.dropFirst(3))).joined(), as: UTF8.self)
      let mixed = try await answer(.mixed(head + [.text(tail)]))
      #expect(mixed.text == text.text && mixed.promptTokens == text.promptTokens)
      // SmolLM2 was not trained to fill gaps.
      do {
        _ = try await answer(.infill(prefix: "a", suffix: "b"))
        Issue.record("a gap was filled")
      } catch ServingError.invalidParameter("suffix", let message) {
        #expect(message.contains("SmolLM2") || message.contains("Smollm2") || message.contains("fill"))
      }
      await scheduler.stop()
    }

    /// More prompts than are queued at once, each as if it were alone.
    @Test func listsOfPromptsAreAnsweredInOrder() async throws {
      let scheduler = try await Scheduler.start {
        $0.parallel = 2
        $0.queueLength = 8
      }
      let prompts = (1...9).map { "\($0), \($0 + 1), \($0 + 2)," }
      let requests = prompts.map { CompletionRequest(prompt: .text($0), maximumTokens: 3, choiceCount: 2) }
      var texts = [String](repeating: "", count: 18)
      var completed = 0
      for try await event in try await scheduler.complete(all: requests, atOnce: 2) {
        switch event {
        case .delta(let choice, let delta): texts[choice] += delta.text
        case .completed(let statistics):
          completed += 1
          #expect(statistics.generatedTokens == 54)
        default: break
        }
      }
      #expect(completed == 1)
      for (index, prompt) in prompts.enumerated() {
        let alone = try await scheduler.answer(CompletionRequest(prompt: .text(prompt), maximumTokens: 3))
        #expect(texts[2 * index] == alone.text && texts[2 * index + 1] == alone.text, "\(prompt)")
      }
      await scheduler.stop()
    }
  }
}

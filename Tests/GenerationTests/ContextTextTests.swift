// Questions are found in prompts.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import TestSupport
import Testing

@Suite struct ContextTextTests {
  /// The words of those tokens of a prompt that are taken for the question's.
  private func found(_ question: String, in prompt: String) throws -> String? {
    let tokenizer = try TestModel.load().tokenizer
    let tokens = try tokenizer.tokenize(prompt, addSpecial: false, parseSpecial: true)
    guard let range = ContextText.question(question, in: tokens, tokenizer: tokenizer) else { return nil }
    #expect(range.count <= AttentionTrace.questionTokens && range.upperBound <= tokens.count)
    return ContextText(tokens: tokens, tokenizer: tokenizer).text(of: range)
  }

  @Test func theLastPlaceCounts() throws {
    let question = "Where is the lamp?"
    let prompt = "\(question) Where is it?\n\n\(question)<|im_end|>\n<|im_start|>assistant\n"
    let text = try #require(try found(question + "\n", in: prompt))
    #expect(text.trimmingCharacters(in: .whitespacesAndNewlines) == question)
  }

  @Test func longQuestionsAreFoundByTheirEnds() throws {
    let question = (1...60).map { "Word \($0)." }.joined(separator: " ") + " Where is the lamp?"
    let text = try #require(try found(question, in: "A text.\n\n\(question)<|im_end|>\n"))
    #expect(text.hasSuffix("Where is the lamp?") && text.count < question.count)
  }

  @Test(arguments: ["Where is the other lamp?", "", "A"])
  func whatIsNotThereIsNotFound(question: String) throws {
    #expect(try found(question, in: "A text. Where is the lamp?<|im_end|>\n") == nil)
  }
}

// From documents and a question to the tokens of a prompt.

public import LlamaHost

/// The tokens of a prompt: documents first, so that a context can be shared by many questions, then the question.
public struct Prompt: Sendable {
  public let tokens: [Int32]
  /// The form of the answer; nil for a text and nothing else.
  public let format: ChatFormat?

  /// Builds a prompt through the model's chat template, or as plain text.
  ///
  /// - Parameters:
  ///   - documents: texts that stand before the question.
  ///   - question: what is asked, or the text to continue.
  ///   - raw: no chat template, even if the model has one.
  /// - Throws: ``GenerationError/emptyPrompt`` when there is no text at all; the host's errors for a template
  ///   that it does not know.
  public init(documents: [String], question: String, model: LlamaModel, raw: Bool) throws {
    let parts = documents + (question.isEmpty ? [] : [question])
    let text = parts.joined(separator: "\n\n")
    guard !text.allSatisfy(\.isWhitespace) else { throw GenerationError.emptyPrompt }
    if !raw, let template = model.chatTemplate {
      (tokens, format) = try template.tokenize(ChatRequest([ChatMessage(role: .user, content: text)]))
    } else {
      tokens = try model.tokenizer.tokenize(text, addSpecial: true, parseSpecial: false)
      format = nil
    }
  }
}

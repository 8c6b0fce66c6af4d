// A template as the texts around the turns of a conversation, for contexts that grow turn by turn.

extension ChatTemplate {
  /// The texts that a template puts around what a user and the model say in turn.
  public struct Turns: Sendable, Hashable {
    /// Before the user's first message.
    public var opening: String
    /// Between a message and the answer to it.
    public var answer: String
    /// Between an answer and the user's next message; ends the answer.
    public var next: String
    /// Whether white space around messages is left out.
    public var trimsContent: Bool

    /// Texts of one's own, in place of a template's.
    public init(opening: String, answer: String, next: String, trimsContent: Bool) {
      self.opening = opening
      self.answer = answer
      self.next = next
      self.trimsContent = trimsContent
    }
  }

  /// The texts around turns.
  ///
  /// - Throws: ``LlamaError/chatTemplateUnknown(start:)``, or ``LlamaError/chatTemplateLostMessage(index:role:)`` for a
  ///   template that has no place for a second question.
  public func turns() throws -> Turns {
    // White space in front and behind shows whether contents are trimmed.
    let question = ChatMessage(role: .user, content: " x ")
    let first = try pieces([question], addGenerationPrompt: true)
    let both = try pieces(
      [question, ChatMessage(role: .assistant, content: "x"), question], addGenerationPrompt: true)
    // Template and content alternate, template first and last.
    return Turns(
      opening: first[0].text, answer: first[2].text, next: both[4].text,
      trimsContent: first[1].text != question.content)
  }
}

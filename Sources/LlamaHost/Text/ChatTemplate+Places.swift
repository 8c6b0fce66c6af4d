// Prompts cut at a place within a message, for contexts that grow piece by piece.

extension ChatTemplate {
  /// What stands before a user's first message, and whether white space around contents is left out.
  ///
  /// - Throws: as ``render(_:addGenerationPrompt:)`` does, and ``LlamaError/chatTemplateLostMessage(index:role:)``.
  package func opening() throws -> (pieces: [PromptPiece], trimsContent: Bool) {
    let mark = Self.mark()
    var (before, _) = try cut(
      [ChatMessage(role: .user, content: "\t" + mark)], at: 0, mark: mark, addGenerationPrompt: true)
    guard let last = before.last, last.isContent, last.text.last == "\t" else { return (before, true) }
    before[before.count - 1].text.removeLast()
    if before[before.count - 1].text.isEmpty { before.removeLast() }
    return (before, false)
  }

  /// What follows the beginning of a message's content: the content itself and all that comes after it.
  ///
  /// - Throws: as ``opening()`` does.
  package func continuation(of messages: [ChatMessage], from index: Int) throws -> [PromptPiece] {
    try continuation(of: ChatRequest(messages), from: index).pieces
  }

  /// The same with the form of the answer; nil where that is a text and nothing else.
  package func continuation(
    of request: ChatRequest, from index: Int
  ) throws -> (pieces: [PromptPiece], format: ChatFormat?) {
    let mark = Self.mark()
    var request = request
    request.messages[index].content = mark + request.messages[index].content
    let (pieces, format) = try prepare(request)
    guard let place = Self.cut(pieces, at: mark) else {
      throw LlamaError.chatTemplateLostMessage(index: index, role: request.messages[index].role.rawValue)
    }
    return (place.after, format)
  }

  /// Whether what stands before the first answer stays as it is when a conversation goes on. It does not where a
  /// template moves the system message to the last question, for one.
  package func keepsOpening() throws -> Bool {
    let mark = Self.mark()
    let question = ChatMessage(role: .user, content: mark)
    let turns = [ChatMessage(role: .assistant, content: "x"), ChatMessage(role: .user, content: "y")]
    let first = try cut([question], at: 0, mark: mark, addGenerationPrompt: true).before
    return try cut([question] + turns, at: 0, mark: mark, addGenerationPrompt: true).before == first
  }

  /// Unguessable, so that no content can contain it; letters only, so that no template changes it.
  private static func mark() -> String {
    "Q" + String((0..<16).map { _ in "ABCDEFGHIJKLMNOPQRSTUVWXYZ".randomElement() ?? "Q" }) + "Q"
  }

  private func cut(
    _ messages: [ChatMessage], at index: Int, mark: String, addGenerationPrompt: Bool
  ) throws -> (before: [PromptPiece], after: [PromptPiece]) {
    let pieces = try pieces(messages, addGenerationPrompt: addGenerationPrompt)
    guard let place = Self.cut(pieces, at: mark) else {
      throw LlamaError.chatTemplateLostMessage(index: index, role: messages[index].role.rawValue)
    }
    return place
  }

  /// The pieces before and after a mark; nil where there is none.
  private static func cut(
    _ pieces: [PromptPiece], at mark: String
  ) -> (before: [PromptPiece], after: [PromptPiece])? {
    for (place, piece) in pieces.enumerated() {
      guard let range = piece.text.firstRange(of: mark) else { continue }
      func part(_ text: Substring) -> [PromptPiece] {
        text.isEmpty ? [] : [PromptPiece(text: String(text), isContent: piece.isContent)]
      }
      return (
        pieces[..<place] + part(piece.text[..<range.lowerBound]),
        part(piece.text[range.upperBound...]) + pieces[(place + 1)...]
      )
    }
    return nil
  }
}

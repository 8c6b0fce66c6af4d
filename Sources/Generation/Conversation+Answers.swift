// Questions that follow answers, for templates that say an answer otherwise once the conversation has gone on.

import Foundation
import LlamaHost

extension Conversation {
  /// Asks something in a context whose tokens are known, with the last answer as the template says it once it is no
  /// longer the last one: models that think leave their thoughts out then.
  ///
  /// - Parameter context: the tokens of the context, up to the end of the last answer.
  /// - Returns: the tokens that the context is to have, which begin like `context`: mostly with all of it.
  /// - Throws: what asking without a context throws; nothing has changed then.
  public mutating func ask(_ question: String, following context: [Int32]) throws -> [Int32] {
    var next = self
    let tokens = try next.ask(question)
    var whole = context + tokens
    if let other = try restated(question, context) { whole = other }
    next.answerStart = try next.start(ofAnswerAfter: whole)
    self = next
    return whole
  }

  /// Where the template's text in front of an answer begins, at the end of a context; nil where what is before it may
  /// have become one token with it.
  private func start(ofAnswerAfter whole: [Int32]) throws -> Int? {
    guard let template else { return nil }
    let opener = try tokenizer.tokenize(Self.opener(template), continuing: true)
    guard let first = opener.first, tokenizer.isControl(first), whole.suffix(opener.count) == opener[...]
    else {
      return nil
    }
    return whole.count - opener.count
  }

  /// What stands in front of an answer.
  private static func opener(_ template: ChatTemplate) throws -> [PromptPiece] {
    try template.continuation(of: [ChatMessage(role: .user, content: "")], from: 0)
  }

  /// The whole context with the last answer as the template now says it; nil when that is what the context ends with.
  private func restated(_ question: String, _ context: [Int32]) throws -> [Int32]? {
    guard let template, place == .answer, let answerStart, answerStart < context.count else { return nil }
    let said = Array(context[answerStart...])
    let text = tokenizer.detokenize(said, renderSpecial: true)
    let opener = try Self.opener(template).map(\.text).joined()
    // Otherwise it was made with other options.
    guard text.hasPrefix(opener) else { return nil }
    let isEnded = said.last.map(tokenizer.isEndOfGeneration) ?? false
    let answer = tokenizer.detokenize(isEnded ? said.dropLast() : said[...], renderSpecial: true)
    let pieces = try template.continuation(
      of: [
        ChatMessage(role: .user, content: ""),
        ChatMessage(role: .assistant, content: String(answer.dropFirst(opener.count))),
        ChatMessage(role: .user, content: question.trimmingCharacters(in: .whitespacesAndNewlines)),
      ], from: 0)
    // The same text may be other tokens than those that the model chose, which stay.
    guard !pieces.map(\.text).joined().hasPrefix(text) else { return nil }
    let tokens = try tokenizer.tokenize(pieces, continuing: true)
    return Array(context[..<answerStart]) + tokens
  }
}

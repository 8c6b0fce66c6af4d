// Texts to tokens where some of them may hold control tokens and others must not.

/// A part of a prompt: what a template says, or what somebody else does.
package struct PromptPiece: Sendable, Hashable {
  package var text: String
  /// Names of control tokens in it stay text.
  package var isContent: Bool

  package static func template(_ text: String) -> PromptPiece { PromptPiece(text: text, isContent: false) }
  package static func content(_ text: String) -> PromptPiece { PromptPiece(text: text, isContent: true) }
}

extension Tokenizer {
  /// The tokens of pieces that follow each other, without BOS and EOS.
  ///
  /// - Parameter continuing: there is text before them that has been tokenized already. A vocabulary that puts a space
  ///   in front of a text does not do so then.
  package func tokenize(_ pieces: [PromptPiece], continuing: Bool = false) throws -> [Int32] {
    var tokens: [Int32] = []
    var text = ""
    var stripsStart = false
    var isContinued = continuing
    // Text between two control tokens is tokenized in one go, contents and template alike, because merges and
    // the space in front depend on its neighbors.
    func flush(strippingEnd: Bool) throws {
      var run = Substring(text)
      if stripsStart { run = run.drop { $0.isWhitespace } }
      if strippingEnd { while run.last?.isWhitespace == true { run.removeLast() } }
      if !run.isEmpty {
        tokens +=
          isContinued
          ? try tokenizeContinuation(String(run))
          : try tokenize(String(run), addSpecial: false, parseSpecial: false)
      }
      text = ""
      stripsStart = false
      isContinued = false
    }
    for piece in pieces {
      guard !piece.isContent else {
        text += piece.text
        continue
      }
      for part in specials.split(piece.text) {
        switch part {
        case .text(let part): text += part
        case .control(let control):
          try flush(strippingEnd: control.stripsLeft)
          tokens.append(control.token)
          stripsStart = control.stripsRight
        }
      }
    }
    try flush(strippingEnd: false)
    return tokens
  }

  /// The tokens of `text` as they are behind a letter, if that does not become one with it.
  private func tokenizeContinuation(_ text: String) throws -> [Int32] {
    let anchor = try tokenize("a", addSpecial: false, parseSpecial: false)
    let anchored = try tokenize("a" + text, addSpecial: false, parseSpecial: false)
    guard !anchor.isEmpty, anchored.starts(with: anchor) else {
      return try tokenize(text, addSpecial: false, parseSpecial: false)
    }
    return Array(anchored.dropFirst(anchor.count))
  }
}

// The decode loop: choose a token, tell its text, read it.

package import LlamaHost

/// A text that a model continues, token by token.
package struct TextContinuation {
  package private(set) var text = ""
  package private(set) var tokens: [Int32] = []
  /// Tokens read, each after it was told.
  package private(set) var stepCount = 0
  package private(set) var stopReason = TextGenerator.StopReason.length

  package init() {}

  /// Continues until the model ends, a limit is reached, or enough was told.
  ///
  /// Cancelling the task while a token is read ends it there, without an error.
  ///
  /// - Parameters:
  ///   - first: the first token, chosen already.
  ///   - tokenizer: turns tokens into text.
  ///   - preserved: control tokens that show in the text, with their names.
  ///   - maximumTokens: positive.
  ///   - take: told each token that is not the end, with all that is known of its text; false when no more is wanted.
  ///   - read: reads a token that at most so many tokens will follow, and gives the logits after it.
  ///   - choose: the next token after the logits; nil ends the text.
  /// - Returns: text that was incomplete at the end.
  package mutating func run(
    from first: Int32, tokenizer: Tokenizer, preserved: [Int32: [UInt8]] = [:], maximumTokens: Int,
    take: (_ token: Int32, _ piece: String, _ text: String) throws -> Bool,
    read: (_ token: Int32, _ most: Int) throws -> LogitRow, choose: (LogitRow) throws -> Int32?
  ) throws -> String {
    var decoder = TextStreamDecoder()
    var token = first
    while true {
      if tokenizer.isEndOfGeneration(token) {
        stopReason = .endOfText
        break
      }
      tokens.append(token)
      let piece = decoder.append(preserved[token] ?? tokenizer.bytes(of: token))
      text += piece
      guard try take(token, piece, text), tokens.count < maximumTokens else { break }
      let logits: LogitRow
      do {
        logits = try read(token, maximumTokens - tokens.count - 1)
      } catch is CancellationError {
        stopReason = .cancelled
        break
      }
      stepCount += 1
      guard let next = try choose(logits) else { break }
      token = next
    }
    let rest = decoder.finish()
    text += rest
    return rest
  }
}

// From tokens that were chosen to the pieces of text that a client gets.

import LlamaHost

/// The text of one choice as it grows.
struct AnswerText {
  /// Tokens taken so far.
  private(set) var tokenCount = 0
  private let maximumTokens: Int
  /// Alternatives to report of each token; nil for no log-probabilities.
  private let alternatives: Int?
  private var decoder = TextStreamDecoder()
  private var stops: StopMatcher
  /// Tokens whose text is not certain yet, with the bytes of text up to their end.
  private var waiting: [(token: TokenProbability, end: Int)] = []
  private var bytesDecoded = 0
  private var bytesSent = 0

  init(_ group: RequestGroup) {
    maximumTokens = group.maximumTokens
    alternatives = group.request.alternatives
    stops = StopMatcher(stops: group.request.stop)
  }

  /// Takes a token that was chosen.
  ///
  /// - Parameter send: gets text that is certain, with the tokens that end in it.
  /// - Returns: why the choice is complete, or nil when it goes on.
  mutating func take(
    _ token: Int32, logits: LogitRow, tokenizer: Tokenizer, send: (CompletionDelta) -> Void
  ) -> FinishReason? {
    // Who wants no token wants the prompt read.
    guard maximumTokens > 0 else { return .length }
    if tokenizer.isEndOfGeneration(token) {
      flush(stops.append(decoder.finish()) + stops.finish(), send)
      return .stop
    }
    tokenCount += 1
    let bytes = tokenizer.bytes(of: token)
    let text = decoder.append(bytes)
    bytesDecoded += bytes.count
    if let alternatives {
      let probability = TokenProbability(
        token: token, logits: logits, alternatives: alternatives, tokenizer: tokenizer)
      waiting.append((probability, bytesDecoded))
    }
    flush(stops.append(text), send)
    if stops.isStopped { return .stop }
    guard tokenCount < maximumTokens else {
      flush(stops.append(decoder.finish()) + stops.finish(), send)
      return .length
    }
    return nil
  }

  private mutating func flush(_ text: String, _ send: (CompletionDelta) -> Void) {
    bytesSent += text.utf8.count
    // When the choice is over, what is left of tokens that began before its end comes along.
    let sent = waiting.prefix { $0.end <= bytesSent }
    guard !text.isEmpty || !sent.isEmpty else { return }
    waiting.removeFirst(sent.count)
    send(CompletionDelta(text: text, tokens: sent.map(\.token)))
  }
}

// From tokens that were chosen to the pieces of text that a client gets.

import LlamaHost

/// The text of one choice as it grows.
struct AnswerText {
  /// Tokens taken so far.
  var tokenCount: Int { tokens.count }
  /// Those tokens.
  private(set) var tokens: [Int32] = []
  /// The answer that was sent, without thoughts and calls.
  private(set) var content = ""
  /// Tokens up to the end of what was thought before.
  private(set) var reasoningTokens = 0
  private let maximumTokens: Int
  /// Alternatives to report of each token; nil for no log-probabilities.
  private let alternatives: Int?
  private var decoder = TextStreamDecoder()
  private var stops: StopMatcher
  /// The stop sequences that the client knows of.
  private let wanted: [String]
  /// Control tokens that belong to the answer, with their names.
  private let preserved: [Int32: [UInt8]]
  private var reader: AnswerReader?
  private let showsReasoning: Bool
  /// Tokens whose text is not certain yet, with the bytes of text up to their end.
  private var waiting: [(token: TokenProbability, end: Int)] = []
  private var bytesDecoded = 0
  private var bytesSent = 0

  init(_ group: RequestGroup, model: LlamaModel) {
    maximumTokens = group.maximumTokens
    alternatives = group.request.alternatives
    wanted = group.request.stop
    stops = StopMatcher(stops: group.request.stop + (group.format?.stops ?? []))
    preserved = group.format?.preservedTokens(model.tokenizer) ?? [:]
    showsReasoning = model.chatTemplate?.options.showsReasoning ?? true
    reader = group.format.map { AnswerReader($0) }
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
      return end(.stop, send)
    }
    tokens.append(token)
    let bytes = preserved[token] ?? tokenizer.bytes(of: token)
    let text = decoder.append(bytes)
    bytesDecoded += bytes.count
    if let alternatives {
      let probability = TokenProbability(
        token: token, logits: logits, alternatives: alternatives, tokenizer: tokenizer)
      waiting.append((probability, bytesDecoded))
    }
    flush(stops.append(text), send)
    if stops.isStopped { return end(.stop, send) }
    return tokenCount < maximumTokens ? nil : end(.length, send)
  }

  private mutating func end(_ reason: FinishReason, _ send: (CompletionDelta) -> Void) -> FinishReason {
    flush(stops.append(decoder.finish()) + stops.finish(), isLast: true, send)
    if let stop = stops.found, wanted.contains(stop) {
      var delta = CompletionDelta(text: "")
      delta.stop = stop
      send(delta)
    }
    return reason == .stop && reader?.hasCalls == true ? .toolCalls : reason
  }

  private mutating func flush(_ text: String, isLast: Bool = false, _ send: (CompletionDelta) -> Void) {
    bytesSent += text.utf8.count
    // When the choice is over, what is left of tokens that began before its end comes along.
    let sent = waiting.prefix { $0.end <= bytesSent }
    waiting.removeFirst(sent.count)
    guard var change = reader?.append(text, isLast: isLast) else {
      guard !text.isEmpty || !sent.isEmpty else { return }
      content += text
      send(CompletionDelta(text: text, tokens: sent.map(\.token)))
      return
    }
    if !change.reasoning.isEmpty { reasoningTokens = tokenCount }
    if !showsReasoning { change.reasoning = "" }
    guard !change.isEmpty || !sent.isEmpty else { return }
    content += change.content
    send(
      CompletionDelta(
        text: change.content, reasoning: change.reasoning, calls: change.calls, tokens: sent.map(\.token)))
  }
}

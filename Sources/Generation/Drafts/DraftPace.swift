// Whether exact attention is to check drafts, by the time that its tokens take.

/// Times a token of exact attention without drafts, with those of the text and with those of retrieval, and tells which
/// are worth it.
///
/// What a pass over several tokens takes beside one over a single token is a matter of the machine, the model and the
/// context. What is said does not depend on it: exact attention chooses every token.
struct DraftPace {
  /// Where the drafts of a step come from; alone, it has none.
  enum Way: CaseIterable { case alone, text, lookingAhead }

  /// Of a token, by the way it came; of the last ones most.
  private var seconds: [Way: Double] = [:]
  private var stepsSince: [Way: Int] = [:]
  private var step: (way: Way, tokens: Int, start: ContinuousClock.Instant)?

  /// After so many steps of other ways, a way that was slower than none is tried again.
  private static let patience: [Way: Int] = [.text: 16, .lookingAhead: 64]

  /// Whether drafts are to be made so. What is not known is tried; looking ahead only after a step alone.
  func isWorthIt(_ way: Way) -> Bool {
    guard let alone = seconds[.alone] else { return way != .lookingAhead }
    guard let time = seconds[way] else { return true }
    return time < alone || stepsSince[way, default: 0] >= Self.patience[way, default: 0]
  }

  /// - Parameter tokens: in the context.
  mutating func beginStep(_ way: Way, tokens: Int, at start: ContinuousClock.Instant) {
    step = (way, tokens, start)
    for other in Way.allCases { stepsSince[other, default: 0] += 1 }
    stepsSince[way] = 0
  }

  /// - Parameter tokens: in the context, with those of the step.
  mutating func endStep(tokens: Int, at end: ContinuousClock.Instant) {
    guard let step, tokens > step.tokens else { return }
    let time = (end - step.start).seconds / Double(tokens - step.tokens)
    seconds[step.way] = seconds[step.way].map { ($0 + time) / 2 } ?? time
    self.step = nil
  }
}

// How long a step takes.

/// How many tokens of a prompt fit into a step, learned from the steps before.
struct StepPace {
  /// Seconds that a step may take while others wait.
  let limit: Double
  private var secondsPerPromptToken = 0.002
  private var secondsPerDecode = 0.02

  /// Fewer tokens at once would read the weights too often.
  static let leastTokens = 16
  /// How many times the limit a step may take that nobody waits for yet.
  static let patience = 4.0

  init(limit: Double) { self.limit = limit }

  mutating func add(seconds: Double, decoding: Int, promptTokens: Int) {
    if promptTokens == 0 {
      secondsPerDecode += (seconds - secondsPerDecode) / 4
    } else {
      let rest = max(0, seconds - (decoding > 0 ? secondsPerDecode : 0))
      let found = rest / Double(promptTokens)
      // Slower at once, faster with care: the limit is for the worst step.
      secondsPerPromptToken += (found - secondsPerPromptToken) / (found > secondsPerPromptToken ? 1 : 4)
    }
  }

  func promptTokens(besides decoding: Int) -> Int {
    max(Self.leastTokens, Int(secondsLeft(besides: decoding) / max(secondsPerPromptToken, 1e-7)))
  }

  /// Seconds of a step for what nobody waits for token by token.
  func secondsLeft(besides decoding: Int) -> Double {
    // Alone, larger pieces are read faster; but who comes next has to wait for the piece.
    decoding > 0 ? max(0, limit - secondsPerDecode) : Self.patience * limit
  }
}

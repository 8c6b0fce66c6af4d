// Next-token distributions on plain text, for every attention of an evaluation.

import Generation
import LlamaHost
import RetrievalAttention

/// Decodes the tokens that follow a context, teacher-forced, and compares with exact attention.
struct FidelityProbe {
  /// What is decoded behind the context.
  let decoded: ArraySlice<Int32>
  /// What each of them is followed by in the text.
  let next: ArraySlice<Int32>
  /// Heads are observed in so many steps at most: exact attention is computed once more in each.
  static let observedSteps = 16

  /// - Parameter tokens: context, decoded tokens and one more.
  init(tokens: [Int32], contextTokens: Int) {
    decoded = tokens[contextTokens..<tokens.count - 1]
    next = tokens[(contextTokens + 1)...]
  }

  struct Run {
    var record = LogitRecord()
    var steps = TimeSamples()
    var reads: ReadStatistics?
  }

  /// - Parameter onStep: told how many tokens have been decoded.
  func run(_ attention: EvaluatedAttention, on context: SharedContext, onStep: (Int) -> Void) throws -> Run {
    try context.use(attention) { runner in
      (runner as? GuestRunner)?.engine.statistics = ReadStatistics()
      var run = Run()
      let clock = ContinuousClock()
      for (step, token) in decoded.enumerated() {
        let start = clock.now
        let logits = try runner.decode(token)
        run.steps.append(clock.now - start)
        run.record.append(logits.last)
        onStep(step + 1)
      }
      run.reads = runner.reads
      return run
    }
  }

  /// What single heads lose in the first steps; nil for the host.
  func headErrors(_ attention: EvaluatedAttention, on context: SharedContext) throws -> HeadErrors? {
    try context.use(attention) { runner in
      guard let runner = runner as? GuestRunner else { return nil }
      var sums = HeadErrorSums(shape: runner.engine.shape)
      runner.options.observer = AttentionObserver(onHead: { sums.add($0) })
      defer { runner.options.observer = nil }
      for token in decoded.prefix(Self.observedSteps) { _ = try runner.decode(token) }
      return sums.means
    }
  }
}

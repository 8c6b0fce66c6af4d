// A context that is read once and asked many questions.

import Generation
import LlamaHost
import RetrievalAttention

/// A runner that has read a context, and goes back to its end after each question.
final class SharedContext {
  let tokens: [Int32]
  /// Seconds of reading the context, index included.
  private(set) var prefillSeconds = 0.0
  private let makeRunner: () throws -> any SequenceRunner
  private let progress: (Int) -> Void
  private(set) var runner: any SequenceRunner

  /// Reads the context.
  ///
  /// - Parameter progress: told how many of the tokens have been read.
  init(
    tokens: [Int32], makeRunner: @escaping () throws -> any SequenceRunner,
    progress: @escaping (Int) -> Void = { _ in }
  ) throws {
    self.tokens = tokens
    self.makeRunner = makeRunner
    self.progress = progress
    runner = try makeRunner()
    try read()
  }

  private func read() throws {
    let clock = ContinuousClock()
    let start = clock.now
    _ = try runner.prefill(tokens, progress: progress)
    prefillSeconds = (clock.now - start).seconds
  }

  /// What `body` makes of the context. Whatever it reads is forgotten before the next time.
  func use<Result>(_ body: (any SequenceRunner) throws -> Result) throws -> Result {
    try rewind()
    return try body(runner)
  }

  /// Puts the runner back to the end of the context; where a method cannot take tokens back, reads it anew.
  private func rewind() throws {
    guard runner.tokenCount != tokens.count else { return }
    do {
      switch runner {
      case let guest as GuestRunner: try guest.engine.truncate(to: tokens.count)
      case let host as HostRunner: try host.truncate(to: tokens.count)
      default: throw AttentionError.cannotTruncate(to: tokens.count, indexed: runner.tokenCount)
      }
    } catch AttentionError.cannotTruncate {
      runner = try makeRunner()
      try read()
    }
  }
}

/// What a model said to a question, and what that cost.
struct GivenAnswer {
  var text: String
  /// Milliseconds of each decode step.
  var steps = TimeSamples()
  /// What decode steps read; nil for the host.
  var reads: ReadStatistics?
}

extension SharedContext {
  /// Reads a question and decodes the most probable answer.
  ///
  /// - Parameters:
  ///   - byToken: read the question in decode steps, so that it too sees the context through the policy. As a batch
  ///     it attends exactly, like the rest of a prompt.
  ///   - isDecided: whether more text cannot change the score; decoding then ends.
  func answer(
    _ question: [Int32], attention: EvaluatedAttention, maximumTokens: Int, byToken: Bool,
    isDecided: (String) -> Bool
  ) throws -> GivenAnswer {
    try use { runner in
      attention.activate(on: runner)
      (runner as? GuestRunner)?.engine.statistics = ReadStatistics()
      var answer = GivenAnswer(text: "")
      let clock = ContinuousClock()
      func step(_ token: Int32) throws -> Int32? {
        let start = clock.now
        let logits = try runner.decode(token)
        answer.steps.append(clock.now - start)
        return LogitComparison.best(logits.last).map(Int32.init)
      }
      var next: Int32?
      if byToken {
        for token in question { next = try step(token) }
      } else {
        next = LogitComparison.best(try runner.prefill(question, progress: nil).last).map(Int32.init)
      }
      let tokenizer = runner.model.tokenizer
      var decoder = TextStreamDecoder()
      var count = 0
      while let token = next, !tokenizer.isEndOfGeneration(token) {
        answer.text += decoder.append(tokenizer.bytes(of: token))
        count += 1
        if count == maximumTokens || isDecided(answer.text) { break }
        next = try step(token)
      }
      answer.text += decoder.finish()
      answer.reads = runner.reads
      return answer
    }
  }
}

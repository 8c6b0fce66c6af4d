// How long the rest of a sequence's prompt will take.

import Generation

/// Measures the reading of a prompt, waiting for others' turns included: that is what its client waits for.
struct ReadingClock {
  let start: Int
  private let begin: ContinuousClock.Instant
  private var estimate: ReadingEstimate
  /// Whether nobody else was at work, so that the time is that of reading.
  private(set) var isAlone = true

  /// - Parameters:
  ///   - start: tokens that are there already.
  ///   - growth: see ``Generation/ReadingEstimate``.
  ///   - depth: what a token's cost depends on.
  init(from start: Int, growth: Double?, depth: ReadingDepth = ReadingDepth()) {
    self.start = start
    begin = .now
    estimate = ReadingEstimate(growth: growth, from: start, depth: depth)
  }

  /// Notes that all tokens before `position` are read.
  mutating func note(_ position: Int, isAlone: Bool) {
    self.isAlone = self.isAlone && isAlone
    estimate.add(done: Double(position - start), seconds: (.now - begin) / .seconds(1))
  }

  /// Seconds until all tokens before `end` are read.
  func secondsLeft(until end: Int) -> Double? { estimate.secondsLeft(total: Double(end - start)) }

  /// What a token costs; nil where others were at work too.
  var law: ReadingLaw? { isAlone ? estimate.law : nil }
}

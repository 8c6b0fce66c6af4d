// Where the time of a decode step goes, for whoever asks.

/// What a worker does in a decode step.
package enum DecodeStage: Int, CaseIterable, Sendable {
  /// Storing the token's keys and values.
  case append
  /// Sink and window, or all keys when attention is exact.
  case exact
  /// Scores of groups and clusters.
  case centroids
  /// Which keys are worth it: scores by codes, and the sample.
  case selection
  /// Keys and values that were chosen.
  case retrieved
  /// Estimates of the rest.
  case tail
  /// Waiting for another worker's part of the same head.
  case wait
  /// Merging parts, and handing the output over.
  case merge
  /// Recording queries for the index, and extending it.
  case index
}

/// Sums up how long a worker spends on what. The clock is read once for each change of stage.
///
/// One worker's: not thread-safe.
package final class StageClock {
  /// `[DecodeStage]`.
  package private(set) var nanoseconds = [Int64](repeating: 0, count: DecodeStage.allCases.count)
  private var current: DecodeStage?
  private var start = ContinuousClock.now

  package init() {}

  /// Ends what was going on and begins `stage`, or nothing.
  package func begin(_ stage: DecodeStage?) {
    let now = ContinuousClock.now
    if let current {
      let (seconds, attoseconds) = (now - start).components
      nanoseconds[current.rawValue] += seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
    current = stage
    start = now
  }
}

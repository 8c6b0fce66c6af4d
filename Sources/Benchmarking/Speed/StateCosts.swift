// What the states of recurrent layers cost, for models that mix such layers with attention.

import Foundation
import Generation
import RetrievalAttention

/// Sizes and times of one context's recurrent states. They do not depend on the depth.
package struct StateCosts: Sendable, Codable {
  /// Bytes of the states of all layers, and of each copy that is kept of them.
  package var bytes: Int
  /// A copy: what a checkpoint takes, and the first fork after a token. Milliseconds, the median of several; so are the
  /// others.
  package var copyMilliseconds: Double
  /// A fork besides.
  package var forkMilliseconds: Double
  /// How much longer a step takes after the context went back to a copy.
  package var returnMilliseconds: Double
  /// Writing a session of a few tokens, and opening it again.
  package var saveMilliseconds: Double
  package var openMilliseconds: Double

  /// For people.
  package var summary: String {
    String(
      format: "recurrent states: %@; a copy %.1f ms, a fork besides %.2f ms, going back %.1f ms, "
        + "a short session saved in %.0f ms and opened in %.0f ms", formatBytes(bytes), copyMilliseconds,
      forkMilliseconds, returnMilliseconds, saveMilliseconds, openMilliseconds)
  }
}

extension DecodeBenchmark {
  private static let stateTokens = 64
  private static let stateRounds = 5

  /// Measures a context of its own; nil for models without recurrent layers.
  package func stateCosts() throws -> StateCosts? {
    guard let host = guests.first?.host, host.takeover.isHybrid else { return nil }
    let runner = try GuestRunner(host: host, policy: .exact, plannedTokens: 2 * Self.stateTokens)
    let (prompt, next) = (Array(tokens.prefix(Self.stateTokens)), tokens[0])
    _ = try runner.prefill(prompt, progress: nil)
    let bytes = runner.memory.states ?? 0
    var (steps, returns, first, second) = ([Double](), [Double](), [Double](), [Double]())
    for _ in 0..<Self.stateRounds {
      steps.append(try Self.milliseconds { _ = try runner.decode(next) })
      first.append(try Self.milliseconds { _ = try runner.fork() })
      second.append(try Self.milliseconds { _ = try runner.fork() })
      try runner.truncate(to: prompt.count)
      returns.append(try Self.milliseconds { _ = try runner.decode(next) })
      _ = try runner.decode(next)
      try runner.truncate(to: prompt.count)
      _ = try runner.decode(next)
    }
    let path = FileManager.default.temporaryDirectory.appending(path: "states-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let save = try Self.milliseconds { _ = try Session.create(at: path, from: runner) }
    let open = try Self.milliseconds { _ = try Session.open(path, host: host) }
    return StateCosts(
      bytes: bytes, copyMilliseconds: max(0, Self.median(first) - Self.median(second)),
      forkMilliseconds: Self.median(second),
      returnMilliseconds: max(0, Self.median(returns) - Self.median(steps)), saveMilliseconds: save,
      openMilliseconds: open)
  }

  private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

  private static func milliseconds(_ body: () throws -> Void) rethrows -> Double {
    let start = ContinuousClock.now
    try body()
    return (ContinuousClock.now - start) / .milliseconds(1)
  }
}

// Between the tasks that requests come from and the one thread that owns the engine.

import Foundation
import Synchronization

/// Requests on their way to the engine, and numbers on their way back.
final class Mailbox: Sendable {
  struct State {
    var queue: [RequestGroup] = []
    /// Choices that left the queue and wait for memory or their turn.
    var pending = 0
    var deletedSessions: [String] = []
    /// Sessions that were written to the disk, or why they could not be.
    var savedSessions: [(id: String, failure: String?)] = []
    var statistics = ServingStatistics()
    var isDraining = false
    var deadline: ContinuousClock.Instant?
    /// Whether nothing is at work or waiting.
    var isIdle = true
    /// Seconds of a request, a running mean.
    var meanSeconds = 1.0
  }

  private let state = Mutex(State())
  private let signal = DispatchSemaphore(value: 0)

  /// Looks at the state, or changes it.
  @discardableResult
  func with<Value: Sendable>(_ body: (inout State) -> Value) -> Value { state.withLock { body(&$0) } }

  /// Adds a request, or throws when there is no room.
  func submit(_ group: RequestGroup, limit: Int, parallel: Int) throws {
    try state.withLock { state in
      guard !state.isDraining else { throw ServingError.draining }
      let waiting = state.queue.count + state.pending
      guard waiting < limit else {
        state.statistics.rejected += 1
        let seconds = state.meanSeconds * Double(waiting) / Double(max(1, parallel))
        throw ServingError.queueFull(waiting: waiting, retryAfterSeconds: Int(min(max(1, seconds), 60)))
      }
      state.statistics.accepted += 1
      state.queue.append(group)
      state.isIdle = false
    }
    signal.signal()
  }

  func drain(until deadline: ContinuousClock.Instant) {
    state.withLock {
      // The engine says so once more when it has let go of everything, its folder of sessions, too.
      if !$0.isDraining { $0.isIdle = false }
      $0.isDraining = true
      $0.deadline = deadline
    }
    signal.signal()
  }

  func delete(session: String) {
    state.withLock { $0.deletedSessions.append(session) }
    signal.signal()
  }

  func noteSaved(session: String, failure: String?) {
    state.withLock { $0.savedSessions.append((session, failure)) }
    signal.signal()
  }

  /// For what changed inside a request, such as its cancellation.
  func wake() { signal.signal() }

  /// Sleeps until something comes, at most `seconds`.
  func sleep(seconds: Double) { _ = signal.wait(timeout: .now() + seconds) }
}

// Ctrl-C, a polite kill, and the end of the terminal.

import CSystemCalls
import Foundation
import Synchronization

/// Signals that ask a program to end, told to a handler on a thread that does nothing else: it runs however busy the
/// threads of tasks and of Dispatch are.
///
/// One at a time is told, the last one made. Its own ``stop()`` gives the signals back to the system: the next one
/// ends the program at once.
package final class EndingSignals: Sendable {
  package typealias Handler = @Sendable (_ number: Int32) -> Void

  private struct State {
    var owner: ObjectIdentifier?
    var handler: Handler?
  }

  private static let state = Mutex(State())
  private let first: First

  private final class First: Sendable {
    let number = Mutex<Int32?>(nil)
  }

  /// Catches Ctrl-C (SIGINT), SIGTERM and, unless the program was started to ignore it, the end of the terminal
  /// (SIGHUP).
  package init(_ handler: @escaping Handler) {
    let first = First()
    self.first = first
    let owner = ObjectIdentifier(first)
    Self.state.withLock {
      $0 = State(owner: owner) { number in
        first.number.withLock { if $0 == nil { $0 = number } }
        handler(number)
      }
    }
    Self.thread.start()
    for number in [SIGINT, SIGTERM, SIGHUP] where number != SIGHUP || ra_ignores_signal(number) == 0 {
      _ = ra_catch_signal(number)
    }
  }

  /// The first signal that came.
  package var received: Int32? { first.number.withLock { $0 } }

  /// From now on the signals do what the system does with them.
  package func stop() {
    let isOwner = Self.state.withLock { state in
      guard state.owner == ObjectIdentifier(first) else { return false }
      state = State()
      return true
    }
    if isOwner { Self.restoreDefaults() }
  }

  /// The next signal ends the program at once.
  package static func restoreDefaults() {
    for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
    if ra_ignores_signal(SIGHUP) == 0 { signal(SIGHUP, SIG_DFL) }
  }

  /// Waits for signals as long as the process lives.
  private enum thread {
    static func start() { _ = started }

    private static let started: Void = {
      let descriptor = ra_signal_descriptor()
      guard descriptor >= 0 else { return }
      let thread = Thread {
        Thread.current.name = "signals"
        var number: UInt8 = 0
        while true {
          let count = unsafe read(descriptor, &number, 1)
          if count < 0, errno == EINTR { continue }
          guard count == 1 else { return }
          let handler = EndingSignals.state.withLock { $0.handler }
          handler?(Int32(number))
        }
      }
      thread.start()
    }()
  }
}

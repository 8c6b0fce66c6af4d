// Ctrl-C stops the work within a layer, and what was done by then is still reported.

import ArgumentParser
import Dispatch
import Foundation
import Synchronization

/// Runs `body` as a task that Ctrl-C cancels, as does the end of the terminal or a polite kill (SIGTERM); a second one
/// of these ends the program at once.
///
/// Work that is cancelled without a result ends the program with the exit code of an interrupted one.
func withInterruption<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws
  -> Result
{
  let task = Task.detached { try body() }
  let signals = EndingSignals { number in
    task.cancel()
    signal(number, SIG_DFL)
  }
  defer { signals.stop() }
  do {
    return try await task.value
  } catch is CancellationError {
    FileHandle.standardError.write(Data("\ninterrupted\n".utf8))
    throw ExitCode.interrupted(by: signals.received ?? SIGINT)
  }
}

/// Signals that ask a program to end, handled on a thread of their own.
final class EndingSignals: Sendable {
  private final class First: Sendable {
    let number = Mutex<Int32?>(nil)
  }

  /// `@unchecked`: sources of Dispatch may be used from any thread.
  private struct Source: @unchecked Sendable {
    let source: any DispatchSourceSignal
  }

  private let first: First
  private let sources: [Source]

  /// Handles Ctrl-C, SIGTERM and the end of the terminal from now on.
  init(_ handler: @escaping @Sendable (_ number: Int32) -> Void) {
    let first = First()
    // A program started by nohup is to go on without a terminal.
    let numbers = isIgnored(SIGHUP) ? [SIGINT, SIGTERM] : [SIGINT, SIGTERM, SIGHUP]
    sources = numbers.map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        first.number.withLock { if $0 == nil { $0 = number } }
        handler(number)
      }
      source.resume()
      return Source(source: source)
    }
    self.first = first
  }

  /// The first signal that came.
  var received: Int32? { first.number.withLock { $0 } }

  func stop() { for source in sources { source.source.cancel() } }
}

private func isIgnored(_ number: Int32) -> Bool {
  var action = sigaction()
  guard sigaction(number, nil, &action) == 0 else { return false }
  #if canImport(Darwin)
    let handler = action.__sigaction_u.__sa_handler
  #else
    let handler = action.__sigaction_handler.sa_handler
  #endif
  return unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
}

extension ExitCode {
  /// 128 + SIGINT, as shells report it.
  static let interrupted = ExitCode.interrupted(by: SIGINT)

  static func interrupted(by number: Int32) -> ExitCode { ExitCode(128 + number) }
}

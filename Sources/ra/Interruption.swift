// Ctrl-C stops the work within a layer, and what was done by then is still reported.

import ArgumentParser
import Dispatch
import Foundation

/// Runs `body` as a task that Ctrl-C cancels; a second Ctrl-C ends the program at once.
///
/// Work that is cancelled without a result ends the program with the exit code of an interrupted one.
func withInterruption<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws
  -> Result
{
  let task = Task.detached { try body() }
  signal(SIGINT, SIG_IGN)
  let source = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
  source.setEventHandler {
    task.cancel()
    signal(SIGINT, SIG_DFL)
  }
  source.resume()
  defer { source.cancel() }
  do {
    return try await task.value
  } catch is CancellationError {
    FileHandle.standardError.write(Data("\ninterrupted\n".utf8))
    throw ExitCode.interrupted
  }
}

extension ExitCode {
  /// 128 + SIGINT, as shells report it.
  static let interrupted = ExitCode(130)
}

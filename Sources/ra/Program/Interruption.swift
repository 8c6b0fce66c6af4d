// Ctrl-C stops the work within a layer, and what was done by then is still reported.

import ArgumentParser
import Foundation
import Platform

/// Runs `body` as a task that Ctrl-C cancels, as does the end of the terminal or a polite kill (SIGTERM), and an output
/// that cannot be written; a second signal ends the program at once.
///
/// The work has a thread of its own, and signals have another one: on one processor the threads of tasks are busy with
/// it. Work that is cancelled without a result ends the program with the exit code of an interrupted one.
func withInterruption<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws
  -> Result
{
  let task = Task.detached(executorPreference: WorkerThread.shared) { try body() }
  let signals = EndingSignals { _ in
    task.cancel()
    EndingSignals.restoreDefaults()
  }
  defer { signals.stop() }
  do {
    let result = try await task.value
    if let failure = StandardStream.output.failure { throw failure }
    return result
  } catch is CancellationError {
    if let failure = StandardStream.output.failure { throw failure }
    StandardStream.error.write("\ninterrupted\n")
    throw ExitCode.interrupted(by: signals.received ?? SIGINT)
  }
}

extension ExitCode {
  /// 128 + SIGINT, as shells report it.
  static let interrupted = ExitCode.interrupted(by: SIGINT)

  static func interrupted(by number: Int32) -> ExitCode { ExitCode(128 + number) }
}

// Ctrl-C stops the work within a layer, and what was done by then is still reported.

import Dispatch
import Foundation

/// Runs `body` as a task that Ctrl-C cancels; a second Ctrl-C ends the program at once.
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
  return try await task.value
}

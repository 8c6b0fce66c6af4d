// The programs that do what no library here does: curl and gzip.

import Foundation
import Platform

/// A program of the system that is needed, by its name.
enum ProgramPipe {
  /// Runs it, with what goes in and what comes out in pieces.
  ///
  /// - Parameters:
  ///   - purpose: of the program, for people who lack it.
  ///   - input: see ``Platform/ChildProgram``.
  /// - Throws: ``DownloadError/noProgram(name:purpose:)``, what `output` throws, and `CancellationError` in a cancelled
  ///   task.
  static func run(
    _ name: String, _ arguments: [String], for purpose: String,
    input: @escaping @Sendable () throws -> Data?, output: (Data) throws -> Void
  ) throws -> ChildProgram.Ended {
    guard let executable = ChildProgram.find(name) else {
      throw DownloadError.noProgram(name: name, purpose: purpose)
    }
    do {
      let ended = try ChildProgram.run(executable, arguments, input: input, output: output)
      // Ctrl-C reaches a child as it does this program, and may do so first.
      if ended.wasKilled, [SIGINT, SIGTERM, SIGHUP].contains(ended.status) { throw CancellationError() }
      return ended
    } catch ChildProgram.Failure.notStarted(let reason) {
      throw DownloadError.noProgram(name: name, purpose: "\(purpose) (\(reason))")
    }
  }
}

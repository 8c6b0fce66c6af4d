// Another program at work: bytes go in, bytes come out, in pieces.

import Foundation
import Platform

/// Runs a program without a shell, and hands on what it writes as it comes.
enum ProgramPipe {
  struct Ended {
    /// Its exit status, or the signal that ended it.
    var status: Int32
    /// What it wrote to standard error.
    var errors: String
  }

  /// Where a program is; nil when it is not installed.
  static func find(_ name: String) -> String? {
    let path =
      ProcessInfo.processInfo.environment["PATH"].flatMap { $0.isEmpty ? nil : $0 } ?? "/usr/bin:/bin"
    return path.split(separator: ":").map { "\($0)/\(name)" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  /// - Parameters:
  ///   - purpose: of the program, for people who lack it.
  ///   - input: gives the next piece of its standard input, nil at the end; called on another thread.
  ///   - output: takes a piece of its standard output; the program is ended when it throws.
  /// - Throws: ``DownloadError/noProgram(name:purpose:)``, what `output` throws, and `CancellationError` in a cancelled
  ///   task. The program has ended then.
  static func run(
    _ name: String, _ arguments: [String], for purpose: String,
    input: @escaping @Sendable () throws -> Data?, output: (Data) throws -> Void
  ) throws -> Ended {
    guard let executable = find(name) else { throw DownloadError.noProgram(name: name, purpose: purpose) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    let (standardInput, standardOutput) = (Pipe(), Pipe())
    // A file cannot fill up while nobody reads it.
    let errors = try temporaryFile()
    process.standardInput = standardInput
    process.standardOutput = standardOutput
    process.standardError = errors
    do {
      try process.run()
    } catch {
      throw DownloadError.noProgram(name: name, purpose: "\(purpose) (\(failureReason(error)))")
    }
    defer {
      if process.isRunning {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
      }
    }
    let writer = standardInput.fileHandleForWriting
    Thread.detachNewThread {
      // A program that ends early does not want the rest.
      while let piece = try? input() {
        guard (try? writer.write(contentsOf: piece)) != nil else { break }
      }
      try? writer.close()
    }
    let descriptor = standardOutput.fileHandleForReading.fileDescriptor
    while let piece = try next(of: descriptor) { try output(piece) }
    process.waitUntilExit()
    // Ctrl-C reaches a child as it does this program, and may do so first.
    if process.terminationReason == .uncaughtSignal,
      [SIGINT, SIGTERM, SIGHUP].contains(process.terminationStatus)
    {
      throw CancellationError()
    }
    try? errors.seek(toOffset: 0)
    let text = String(decoding: (try? errors.read(upToCount: 1 << 16)) ?? Data(), as: UTF8.self)
    return Ended(status: process.terminationStatus, errors: text)
  }

  /// What comes next; nil at the end. Looks from time to time whether anybody still wants it.
  private static func next(of descriptor: Int32) throws -> Data? {
    var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while true {
      try Task.checkCancellation()
      let ready = unsafe poll(&request, 1, 100)
      guard ready != 0, ready > 0 || errno != EINTR else { continue }
      var piece = [UInt8](repeating: 0, count: 1 << 18)
      let count = unsafe read(descriptor, &piece, piece.count)
      if count < 0, errno == EINTR || errno == EAGAIN { continue }
      guard count > 0 else { return nil }
      return Data(piece[..<count])
    }
  }

  private static func temporaryFile() throws -> FileHandle {
    let path = NSTemporaryDirectory() + "/ra-" + UUID().uuidString
    guard FileManager.default.createFile(atPath: path, contents: nil),
      let file = FileHandle(forUpdatingAtPath: path)
    else { throw DownloadError.system(path: path, code: errno) }
    // The handle keeps it.
    try? FileManager.default.removeItem(atPath: path)
    return file
  }
}

// Another program at work: bytes go in, bytes come out, in pieces.

package import Foundation

/// Runs a program without a shell, and hands on what it writes as it comes.
package enum ChildProgram {
  package struct Ended: Sendable {
    /// Its exit status, or the signal that ended it.
    package var status: Int32
    package var wasKilled: Bool
    /// The beginning of what it wrote to standard error, up to 64 KiB.
    package var errors: String
  }

  package enum Failure: Error, Equatable {
    case notStarted(reason: String)
    case tooSlow
    case tooMuchOutput
  }

  private static let mostErrors = 1 << 16

  /// Where a program is in a list of folders as PATH has it; nil where it is not.
  ///
  /// - Parameter folders: separated by colons; nil for the PATH of this process.
  package static func find(_ name: String, in folders: String? = nil) -> String? {
    let folders = folders ?? ProcessInfo.processInfo.environment["PATH"] ?? ""
    // A path that is not absolute would depend on where the user stands.
    return folders.split(separator: ":").filter { $0.hasPrefix("/") }.map { "\($0)/\(name)" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  /// - Parameters:
  ///   - timeLimit: in seconds; the program is killed then. Nil for none.
  ///   - input: gives the next piece of its standard input, nil at the end; called on another thread. Nil for an empty
  ///     input.
  ///   - output: takes a piece of its standard output; the program is killed when it throws.
  /// - Throws: ``Failure``, what `output` throws, and `CancellationError` in a cancelled task. The program has ended
  ///   then.
  package static func run(
    _ executable: String, _ arguments: [String], timeLimit: Double? = nil,
    input: (@Sendable () throws -> Data?)? = nil, output: (Data) throws -> Void
  ) throws -> Ended {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    let (standardInput, standardOutput, standardError) = (Pipe(), Pipe(), Pipe())
    if input == nil {
      process.standardInput = FileHandle.nullDevice
    } else {
      process.standardInput = standardInput
    }
    process.standardOutput = standardOutput
    process.standardError = standardError
    do {
      try process.run()
    } catch {
      throw Failure.notStarted(reason: failureReason(error))
    }
    defer {
      if process.isRunning {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
      }
    }
    if let input {
      let writer = standardInput.fileHandleForWriting
      Thread.detachNewThread {
        // A program that ends early does not want the rest.
        while let piece = try? input() {
          guard (try? writer.write(contentsOf: piece)) != nil else { break }
        }
        try? writer.close()
      }
    }
    let deadline = timeLimit.map { ContinuousClock.now + .seconds($0) }
    func check() throws {
      try Task.checkCancellation()
      if let deadline, ContinuousClock.now >= deadline { throw Failure.tooSlow }
    }
    var errors = Data()
    var open = [standardOutput, standardError].map(\.fileHandleForReading.fileDescriptor)
    while !open.isEmpty {
      try check()
      for (descriptor, piece) in try pieces(of: open) {
        if piece.isEmpty {
          open.removeAll { $0 == descriptor }
        } else if descriptor == standardOutput.fileHandleForReading.fileDescriptor {
          try output(piece)
        } else {
          errors.append(piece.prefix(mostErrors - errors.count))
        }
      }
    }
    // It may go on after it has closed its outputs.
    while process.isRunning {
      try check()
      usleep(2000)
    }
    return Ended(
      status: process.terminationStatus, wasKilled: process.terminationReason == .uncaughtSignal,
      errors: String(decoding: errors, as: UTF8.self))
  }

  /// The same with all of its output at once, no more than `outputLimit` bytes, beyond which it is killed.
  package static func run(
    _ executable: String, _ arguments: [String], timeLimit: Double, outputLimit: Int
  ) throws -> (ended: Ended, output: Data) {
    var all = Data()
    let ended = try run(executable, arguments, timeLimit: timeLimit) { piece in
      all += piece
      guard all.count <= outputLimit else { throw Failure.tooMuchOutput }
    }
    return (ended, all)
  }

  /// What there is to read, an empty piece at an end; waits a moment for it, and gives nothing where nothing came.
  private static func pieces(of descriptors: [Int32]) throws -> [(Int32, Data)] {
    var requests = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    guard unsafe poll(&requests, nfds_t(requests.count), 50) > 0 else { return [] }
    return requests.filter { $0.revents != 0 }.compactMap { request in
      var piece = [UInt8](repeating: 0, count: 1 << 18)
      let count = unsafe read(request.fd, &piece, piece.count)
      if count < 0, errno == EINTR || errno == EAGAIN { return nil }
      return (request.fd, Data(piece[..<max(0, count)]))
    }
  }
}

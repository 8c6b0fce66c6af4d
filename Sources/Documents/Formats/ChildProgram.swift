// Another program's output, with a limit of time and of bytes.

import Foundation
import Platform

/// Runs a program without a shell, and takes what it writes.
enum ChildProgram {
  struct Result {
    /// Its exit status, or the signal that ended it.
    var status: Int32
    var wasKilled: Bool
    var output: Data
    /// What it wrote to standard error, up to 64 KiB.
    var errors: String
  }

  enum Failure: Error, Equatable {
    case notStarted(reason: String)
    case tooSlow
    case tooMuchOutput
  }

  private static let mostErrors = 1 << 16

  /// - Parameters:
  ///   - timeLimit: in seconds; the program is killed then.
  ///   - outputLimit: most bytes of its standard output; the program is killed beyond.
  /// - Throws: ``Failure``; `CancellationError` when the task is cancelled.
  static func run(
    _ executable: String, _ arguments: [String], timeLimit: Double, outputLimit: Int
  ) throws -> Result {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    let (output, errors) = (Pipe(), Pipe())
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
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
    let deadline = ContinuousClock.now + .seconds(timeLimit)
    var streams = [Stream(output, limit: outputLimit), Stream(errors, limit: mostErrors)]
    while streams.contains(where: { !$0.isAtEnd }) {
      try check(deadline)
      try Stream.wait(&streams)
      guard !streams[0].isFull else { throw Failure.tooMuchOutput }
    }
    // It may go on after it has closed its outputs.
    while process.isRunning {
      try check(deadline)
      usleep(2000)
    }
    return Result(
      status: process.terminationStatus, wasKilled: process.terminationReason == .uncaughtSignal,
      output: streams[0].data, errors: String(decoding: streams[1].data, as: UTF8.self))
  }

  private static func check(_ deadline: ContinuousClock.Instant) throws {
    try Task.checkCancellation()
    guard ContinuousClock.now < deadline else { throw Failure.tooSlow }
  }

  /// One of its outputs.
  private struct Stream {
    let pipe: Pipe
    let limit: Int
    var data = Data()
    var isAtEnd = false
    /// More came than is kept.
    var isFull = false

    init(_ pipe: Pipe, limit: Int) {
      self.pipe = pipe
      self.limit = limit
    }

    /// Reads what there is, or waits a moment for it.
    static func wait(_ streams: inout [Stream]) throws {
      let open = streams.indices.filter { !streams[$0].isAtEnd }
      var requests = open.map {
        pollfd(fd: streams[$0].pipe.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
      }
      guard unsafe poll(&requests, nfds_t(requests.count), 50) > 0 else { return }
      for (request, index) in zip(requests, open) where request.revents != 0 { streams[index].take() }
    }

    private mutating func take() {
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      let count = unsafe read(pipe.fileHandleForReading.fileDescriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR || errno == EAGAIN { return }
      guard count > 0 else {
        isAtEnd = true
        return
      }
      let room = limit - data.count
      if count > room { isFull = true }
      data.append(contentsOf: chunk[..<min(count, room)])
    }
  }
}

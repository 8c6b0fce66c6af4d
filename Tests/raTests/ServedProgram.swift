// The built program as a server, and requests to it.

import Foundation
import Platform
import Testing

/// `ra serve` with the test model or another one, ended with the object.
final class ServedProgram {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  let port: Int
  private let process: Process
  private let folder: TemporaryFolder

  /// Starts it and waits until it listens.
  ///
  /// - Parameter oneCPU: on one processor alone (Linux).
  init(_ arguments: [String] = [], model: String? = nil, oneCPU: Bool = false) throws {
    let folder = try TemporaryFolder()
    let arguments =
      ["serve", "--model", try model ?? Program.model(), "--threads", "1", "--port", "0"] + arguments
    let process = Process()
    if oneCPU {
      // The first processor that this process may use.
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      process.arguments =
        [
          "-c", "exec taskset -c $(taskset -cp $$ | sed 's/.*: *//; s/[-,].*//') \"$0\" \"$@\"",
          try Program.path(),
        ]
        + arguments
    } else {
      process.executableURL = URL(fileURLWithPath: try Program.path())
      process.arguments = arguments
    }
    process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
    let log = folder.url("error")
    try Data().write(to: log)
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = try FileHandle(forWritingTo: log)
    try process.run()
    self.folder = folder
    self.process = process
    let start = "listening on http://127.0.0.1:"
    for _ in 0..<6000 {
      let text = String(decoding: try Data(contentsOf: log), as: UTF8.self)
      if let line = text.split(separator: "\n").first(where: { $0.hasPrefix(start) }), text.hasSuffix("\n"),
        let port = Int(line.dropFirst(start.count))
      {
        self.port = port
        return
      }
      guard process.isRunning else { throw Failure(description: "it ended: \(text)") }
      usleep(10_000)
    }
    process.terminate()
    throw Failure(description: "it does not listen")
  }

  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
  }

  var isRunning: Bool { process.isRunning }

  func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  /// Waits for the end; returns the exit status, or nil for a signal's or when it does not come.
  func status(withinSeconds seconds: Int) -> Int32? {
    for _ in 0..<seconds * 100 where process.isRunning { usleep(10_000) }
    guard !process.isRunning, process.terminationReason == .exit else { return nil }
    return process.terminationStatus
  }

  /// Writes a request and returns the connection.
  func begin(_ method: String, _ path: String, body: [UInt8] = []) throws -> Int32 {
    let connection = socket(AF_INET, streamSocket, 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
    // No test waits for ever.
    var limit = timeval(tv_sec: 120, tv_usec: 0)
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(connection, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { throw Failure(description: "connect: \(String(cString: strerror(errno)))") }
    let head =
      "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: \(body.count)\r\n\r\n"
    let bytes = Array(head.utf8) + body
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { write(connection, $0.baseAddress! + done, bytes.count - done) }
      guard count > 0 else { throw Failure(description: "write: \(String(cString: strerror(errno)))") }
      done += count
    }
    return connection
  }

  /// What comes over a connection, until `text` does or its end.
  func read(_ connection: Int32, until text: String? = nil) throws -> String {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = recv(connection, &chunk, chunk.count, 0)
      guard count >= 0 else { throw Failure(description: "read: \(String(cString: strerror(errno)))") }
      if count == 0 { break }
      bytes += chunk[..<count]
      if let text, String(decoding: bytes, as: UTF8.self).contains(text) { break }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The status of a whole exchange.
  func send(_ method: String, _ path: String, body: [UInt8] = []) throws -> Int? {
    let connection = try begin(method, path, body: body)
    defer { close(connection) }
    return try read(connection).split(separator: " ").dropFirst().first.flatMap { Int($0) }
  }
}

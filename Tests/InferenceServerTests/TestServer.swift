// A server on a free port of this machine, and a client that writes bytes to it.

import Foundation
import Hummingbird
import InferenceServer
import Logging
import Platform
import Serving
import ServiceLifecycle
import Synchronization
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

struct TestServer {
  let port: Int

  /// Runs `body` beside a server that ends, in good order, after it.
  static func run(
    _ service: any InferenceService, settings: ServerSettings = ServerSettings(),
    workers: WorkerThreads = .shared,
    _ body: @escaping @Sendable (TestServer) async throws -> Void
  ) async throws {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    var server = InferenceServer(service: service, settings: settings, logger: logger)
    server.workers = workers
    let (ports, continuation) = AsyncStream<Int>.makeStream()
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: server.services(address: .hostname("127.0.0.1", port: 0)) { port in
          if let port { continuation.yield(port) }
          continuation.finish()
        }, logger: logger))
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask {
        defer { continuation.finish() }
        try await group.run()
      }
      var iterator = ports.makeAsyncIterator()
      let port = try #require(await iterator.next())
      do {
        try await body(TestServer(port: port))
      } catch {
        await group.triggerGracefulShutdown()
        throw error
      }
      await group.triggerGracefulShutdown()
      try await tasks.waitForAll()
    }
  }

  func connect() throws -> Connection { try Connection(port: port) }

  /// A whole exchange over a connection of its own.
  func send(
    _ method: String, _ path: String, body: String? = nil, headers: [String: String] = [:]
  ) async throws -> Answer {
    let connection = try connect()
    return try await offThread {
      try connection.write(Self.request(method, path, body: body, headers: headers))
      return try connection.readAnswer()
    }
  }

  func post(_ path: String, _ body: String, headers: [String: String] = [:]) async throws -> Answer {
    try await send("POST", path, body: body, headers: headers)
  }

  static func request(
    _ method: String, _ path: String, body: String?, headers: [String: String] = [:]
  ) -> String {
    var lines = ["\(method) \(path) HTTP/1.1"]
    var headers = headers
    headers["Host"] = headers["Host"] ?? "127.0.0.1"
    headers["Connection"] = "close"
    if let body { headers["Content-Length"] = "\(body.utf8.count)" }
    for (name, value) in headers.sorted(by: { $0.key < $1.key }) { lines.append("\(name): \(value)") }
    return lines.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? "")
  }

  /// The value of a metric without labels.
  func metric(_ name: String) async throws -> Int? {
    try await send("GET", "/metrics").body.split(separator: "\n").first { $0.hasPrefix("\(name) ") }
      .flatMap { Int($0.dropFirst(name.count + 1)) }
  }

  /// Runs blocking work where it keeps nobody else waiting.
  func offThread<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { continuation.resume(with: Result { try work() }) }
    }
  }
}

/// What came back.
struct Answer: Sendable {
  var status: Int
  var headers: [String: String]
  var body: String

  var json: JSONValue {
    get throws { try JSONValue(parsing: Data(body.utf8)) }
  }

  /// The data of server-sent events.
  var events: [String] {
    body.components(separatedBy: "\n\n").filter { !$0.isEmpty }.map { event in
      event.hasPrefix("data: ") ? String(event.dropFirst(6)) : "NOT AN EVENT: \(event)"
    }
  }
}

extension JSONValue {
  /// A value inside: `choices/0/text`.
  subscript(path: String) -> JSONValue? {
    path.split(separator: "/").reduce(self as JSONValue?) { value, part in
      Int(part).flatMap { index in value?.array.flatMap { $0.indices.contains(index) ? $0[index] : nil } }
        ?? value?.object?[String(part)]
    }
  }
}

/// A TCP connection with blocking calls.
final class Connection: Sendable {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  private let descriptor: Int32

  init(port: Int) throws {
    #if canImport(Darwin)
      descriptor = socket(AF_INET, SOCK_STREAM, 0)
    #else
      descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #endif
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { [descriptor] in
        #if canImport(Glibc)
          Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        #elseif canImport(Musl)
          Musl.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        #else
          Darwin.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        #endif
      }
    }
    guard result == 0 else { throw Failure(description: "connect: \(String(cString: strerror(errno)))") }
    // No test waits for ever.
    var timeout = timeval(tv_sec: 30, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    signal(SIGPIPE, SIG_IGN)
  }

  deinit { _ = close(descriptor) }

  /// Ends the connection at once, as a client that was killed does.
  func shut() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }

  func write(_ text: String) throws {
    let bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress! + done, bytes.count - done, 0) }
      guard count > 0 else { throw Failure(description: "write: \(String(cString: strerror(errno)))") }
      done += count
    }
  }

  /// Bytes until the other side closes, or until `text` came.
  func read(until text: String? = nil) throws -> String {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = recv(descriptor, &chunk, chunk.count, 0)
      if count == 0 || (count < 0 && errno == ECONNRESET) { break }
      guard count > 0 else { throw Failure(description: "read: \(String(cString: strerror(errno)))") }
      bytes += chunk[..<count]
      if let text, String(decoding: bytes, as: UTF8.self).contains(text) { break }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  func readAnswer() throws -> Answer {
    let text = try read()
    guard let gap = text.range(of: "\r\n\r\n") else {
      throw Failure(description: "no answer but \(text.debugDescription)")
    }
    let lines = text[..<gap.lowerBound].components(separatedBy: "\r\n")
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      let parts = line.components(separatedBy: ": ")
      headers[parts[0].lowercased()] = parts.dropFirst().joined(separator: ": ")
    }
    let status = lines[0].split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    var body = String(text[gap.upperBound...])
    if headers["transfer-encoding"] == "chunked" { body = try Self.unchunk(body) }
    return Answer(status: status, headers: headers, body: body)
  }

  private static func unchunk(_ text: String) throws -> String {
    var rest = Array(text.utf8)[...]
    var body: [UInt8] = []
    while let end = rest.firstIndex(of: 10) {
      let digits = String(decoding: rest[rest.startIndex..<end].dropLast(), as: UTF8.self)
      guard let size = Int(digits, radix: 16) else { throw Failure(description: "chunk size \(digits)") }
      if size == 0 { return String(decoding: body, as: UTF8.self) }
      let start = end + 1
      guard rest.endIndex >= start + size + 2 else { throw Failure(description: "a chunk that is cut off") }
      body += rest[start..<start + size]
      rest = rest[(start + size + 2)...]
    }
    throw Failure(description: "no last chunk")
  }
}

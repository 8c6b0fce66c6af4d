// A server that a test tells what to answer: parts of files, broken connections, redirections.

package import Foundation
import Platform
import Synchronization

/// Answers requests one after another, on a port of this machine.
///
/// `@unchecked`: what changes is behind the lock.
package final class FileServer: @unchecked Sendable {
  package struct Request: Equatable {
    package var path: String
    package var headers: [String: String]
  }

  package struct Response {
    package var status: Int
    package var headers: [String: String]
    package var body: Data
    /// Bytes of the body after which the connection ends; nil for all.
    package var cut: Int?

    package init(status: Int = 200, headers: [String: String] = [:], body: Data = Data()) {
      (self.status, self.headers, self.body) = (status, headers, body)
    }
  }

  private let listener: Int32
  package let port: Int
  private let seen = Mutex<[Request]>([])
  private let answer: @Sendable (Request) -> Response

  package init(_ answer: @escaping @Sendable (Request) -> Response) throws {
    self.answer = answer
    signal(SIGPIPE, SIG_IGN)
    let descriptor = socket(AF_INET, streamSocket, 0)
    listener = descriptor
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 16) == 0
          && getsockname(descriptor, $0, &length) == 0
      }
    }
    struct NotListening: Error {}
    guard isBound else { throw NotListening() }
    port = Int(UInt16(bigEndian: address.sin_port))
    Thread.detachNewThread { [self] in
      while true {
        let connection = accept(listener, nil, nil)
        guard connection >= 0 else { return }
        serve(connection)
        close(connection)
      }
    }
  }

  package func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

  package var address: String { "http://127.0.0.1:\(port)" }
  package var requests: [Request] { seen.withLock { $0 } }

  private func serve(_ connection: Int32) {
    var text = ""
    var bytes = [UInt8](repeating: 0, count: 1 << 14)
    while !text.contains("\r\n\r\n") {
      let count = read(connection, &bytes, bytes.count)
      guard count > 0 else { return }
      text += String(decoding: bytes[..<count], as: UTF8.self)
    }
    let lines = text.components(separatedBy: "\r\n")
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(
        in: .whitespaces)
    }
    let request = Request(path: String(lines[0].split(separator: " ")[1]), headers: headers)
    seen.withLock { $0.append(request) }
    let response = answer(request)
    var head = "HTTP/1.1 \(response.status) X\r\nConnection: close\r\n"
    if response.headers["Content-Length"] == nil { head += "Content-Length: \(response.body.count)\r\n" }
    for (name, value) in response.headers { head += "\(name): \(value)\r\n" }
    let data = Data((head + "\r\n").utf8) + response.body.prefix(response.cut ?? response.body.count)
    var done = 0
    while done < data.count {
      let count = data.withUnsafeBytes { write(connection, $0.baseAddress! + done, data.count - done) }
      guard count > 0 else { return }
      done += count
    }
  }
}

extension FileServer.Response {
  /// A file as servers hand it out: whole or from a byte on, if it is still the one that was begun.
  package static func file(_ body: Data, mark: String? = nil, for request: FileServer.Request)
    -> FileServer.Response
  {
    var response = FileServer.Response(body: body)
    if let mark { response.headers["ETag"] = mark }
    guard let range = request.headers["range"], let start = Int(range.dropFirst(6).dropLast()) else {
      return response
    }
    if let condition = request.headers["if-range"], condition != mark { return response }
    guard start < body.count else {
      response.status = 416
      response.headers["Content-Range"] = "bytes */\(body.count)"
      response.body = Data()
      return response
    }
    response.status = 206
    response.headers["Content-Range"] = "bytes \(start)-\(body.count - 1)/\(body.count)"
    response.body = Data(body.dropFirst(start))
    return response
  }
}

/// Bytes that begin as a model does and repeat nowhere.
package func modelBytes(_ count: Int) -> Data {
  var state = UInt64(count)
  return Data("GGUF".utf8)
    + Data(
      (4..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 33)
      })
}

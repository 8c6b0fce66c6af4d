// Asks a server who it is, since ggml would end the process over the wrong answer.

import CLlama
import Platform

/// The first message of ggml's RPC protocol, HELLO, sent over a connection of its own.
///
/// Request: the command (1 byte), the length of what follows (8 bytes), 24 bytes about the transport, here zeros for
/// plain TCP. Answer: a length (8 bytes), then the version in three bytes. HELLO has this number in every version.
package struct Greeting {
  /// The version of the protocol that this program speaks, without its last number, which does not matter.
  package static let version = (major: Int(RPC_PROTO_MAJOR_VERSION), minor: Int(RPC_PROTO_MINOR_VERSION))

  private let host: String
  private let port: UInt16

  private static let command: UInt8 = 14
  private static let requestLength = 24
  /// A server that does not answer by then serves another client, or is none.
  private static let secondsToWait = 5

  package init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Throws what `refuse` makes of a reason unless a server of this version answers.
  package func check(_ refuse: (String) -> LlamaError) throws {
    let connection = try connect(refuse)
    defer { close(connection) }
    var request = [Self.command]
    unsafe withUnsafeBytes(of: UInt64(Self.requestLength).littleEndian) { unsafe request += $0 }
    request += [UInt8](repeating: 0, count: Self.requestLength)
    // No signal when the other side has closed: an error is enough.
    #if canImport(Darwin)
      let flags: Int32 = 0
    #else
      let flags = Int32(MSG_NOSIGNAL)
    #endif
    guard unsafe send(connection, request, request.count, flags) == request.count else {
      throw refuse("it closed the connection")
    }
    var answer = [UInt8](repeating: 0, count: 11)
    var received = 0
    while received < answer.count {
      let count = unsafe answer.withUnsafeMutableBytes { bytes in
        let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[received...])
        return unsafe recv(connection, rest.baseAddress, rest.count, 0)
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        throw refuse(
          count == 0
            ? "it closed the connection: it is no ggml-rpc-server, or one of another version"
            : "it did not answer in \(Self.secondsToWait) s: it serves another client, or is no ggml-rpc-server"
        )
      }
      received += count
    }
    let version = answer[8...]
    guard Int(version[8]) == Self.version.major, Int(version[9]) <= Self.version.minor else {
      throw refuse(
        "it speaks version \(version.map { "\($0)" }.joined(separator: ".")) of the protocol and this program "
          + "\(Self.version.major).\(Self.version.minor); build both from the same llama.cpp")
    }
  }

  private func connect(_ refuse: (String) -> LlamaError) throws -> Int32 {
    var hints = unsafe addrinfo()
    // As ggml does.
    unsafe hints.ai_family = AF_INET
    unsafe hints.ai_socktype = streamSocket
    var found: UnsafeMutablePointer<addrinfo>?
    let status = unsafe getaddrinfo(host, "\(port)", &hints, &found)
    defer { if let found = unsafe found { unsafe freeaddrinfo(found) } }
    guard status == 0, let address = unsafe found?.pointee else {
      throw unsafe refuse("the host is unknown: \(String(cString: gai_strerror(status)))")
    }
    let connection = unsafe socket(address.ai_family, address.ai_socktype, address.ai_protocol)
    guard connection >= 0 else { throw unsafe refuse(String(cString: strerror(errno))) }
    var time = timeval(tv_sec: Self.secondsToWait, tv_usec: 0)
    // The limit for sending holds for connecting too.
    unsafe setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    unsafe setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    guard unsafe systemConnect(connection, address.ai_addr, address.ai_addrlen) == 0 else {
      let reason =
        unsafe errno == EINPROGRESS || errno == EAGAIN ? "no answer" : String(cString: strerror(errno))
      close(connection)
      throw refuse("it cannot be reached: \(reason)")
    }
    return connection
  }
}

/// `connect(2)`; inside the type above the name means its own method.
private func systemConnect(_ socket: Int32, _ address: UnsafePointer<sockaddr>?, _ length: socklen_t) -> Int32
{
  unsafe connect(socket, address, length)
}

import Foundation
import InferenceServer
import Serving
import Testing

/// Clients that leave before their answer is complete: the work stops, and each of them is counted once.
@Suite struct DepartureTests {
  private let question = #"{"messages":[{"role":"user","content":"2+2?"}]"#

  private func expectOneDisconnect(_ server: TestServer) async throws {
    for _ in 0..<1000 {
      if try await server.metric("ra_http_disconnects_total") != 0 { break }
      try await Task.sleep(for: .milliseconds(10))
    }
    // Both halves of a connection end, and what is written to it fails: time for all of these to be noticed.
    try await Task.sleep(for: .milliseconds(200))
    #expect(try await server.metric("ra_http_disconnects_total") == 1)
  }

  /// Whether the answer streams or not, the engine learns at once that nobody listens.
  @Test(arguments: [true, false])
  func whileTheAnswerIsWritten(streams: Bool) async throws {
    let service = ScriptedService(words: Array(repeating: "word ", count: 10_000), pause: .milliseconds(20))
    try await TestServer.run(service) { server in
      let connection = try server.connect()
      try await server.offThread {
        try connection.write(
          TestServer.request("POST", "/v1/chat/completions", body: question + #","stream":\#(streams)}"#))
        if streams { _ = try connection.read(until: "word") }
      }
      while service.requests.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
      connection.shut()
      for _ in 0..<1000 where service.cancelled == 0 { try await Task.sleep(for: .milliseconds(10)) }
      #expect(service.cancelled == 1)
      try await expectOneDisconnect(server)
    }
  }

  /// A client that reads nothing holds up the writing; its end is the end of that, too.
  @Test func whileNothingIsRead() async throws {
    let service = ScriptedService(
      words: Array(repeating: String(repeating: "word ", count: 20_000), count: 1000), pause: .milliseconds(1)
    )
    try await TestServer.run(service) { server in
      let connection = try server.connect()
      try connection.write(
        TestServer.request("POST", "/v1/chat/completions", body: question + #","stream":true}"#))
      while service.requests.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
      // More than the system's buffers hold.
      try await Task.sleep(for: .milliseconds(300))
      connection.shut()
      for _ in 0..<1000 where service.cancelled == 0 { try await Task.sleep(for: .milliseconds(10)) }
      #expect(service.cancelled == 1)
      try await expectOneDisconnect(server)
    }
  }

  @Test(arguments: [true, false])
  func whileTheRequestIsPrepared(streams: Bool) async throws {
    let service = ScriptedService(preparation: .seconds(3600))
    try await TestServer.run(service) { server in
      let connection = try server.connect()
      try connection.write(
        TestServer.request("POST", "/v1/chat/completions", body: question + #","stream":\#(streams)}"#))
      while service.requests.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
      connection.shut()
      try await expectOneDisconnect(server)
    }
  }

  @Test(arguments: ["/v1/chat/completions", "/v1/sessions"])
  func whileTheBodyIsSent(path: String) async throws {
    try await TestServer.run(ScriptedService()) { server in
      let connection = try server.connect()
      try connection.write("POST \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
      // The head and the first byte have come.
      try await Task.sleep(for: .milliseconds(100))
      connection.shut()
      try await expectOneDisconnect(server)
    }
  }

  /// A whole answer is nobody's departure.
  @Test(arguments: [true, false])
  func notAfterTheAnswer(streams: Bool) async throws {
    try await TestServer.run(ScriptedService()) { server in
      for _ in 0..<3 {
        let answer = try await server.post("/v1/chat/completions", question + #","stream":\#(streams)}"#)
        #expect(answer.status == 200)
      }
      #expect(try await server.metric("ra_http_disconnects_total") == 0)
    }
  }
}

import Foundation
import InferenceServer
import Serving
import Testing

/// More connections than the server takes.
@Suite struct ConnectionTests {
  private let endless = #"{"messages":[{"role":"user","content":"x"}],"stream":true}"#

  private func health(_ connection: Connection) throws -> String {
    try connection.write("GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return try connection.read(until: #"{"status":"ok"}"#)
  }

  /// Connections that are kept for later lose their place, the one that was silent for longest first.
  @Test func silentConnectionsMakeRoom() async throws {
    var settings = ServerSettings()
    settings.maximumConnections = 3
    try await TestServer.run(ScriptedService(), settings: settings) { server in
      let kept = try (0..<3).map { _ in try server.connect() }
      for connection in kept {
        #expect(try await server.offThread { try health(connection) }.contains("200"))
        try await Task.sleep(for: .milliseconds(50))
      }
      // The first one speaks again, so the second one is the longest silent.
      #expect(try await server.offThread { try health(kept[0]) }.contains("200"))
      try await Task.sleep(for: .milliseconds(1200))
      #expect(try await server.send("GET", "/health").status == 200)
      #expect(try await server.offThread { try kept[1].read() }.isEmpty)
      #expect(try await server.offThread { try health(kept[0]) }.contains("200"))
      #expect(try await server.offThread { try health(kept[2]) }.contains("200"))
    }
  }

  /// When all of them have a request, others are told to come back, however many they are.
  @Test func busyOnesAreKeptAndOthersRefused() async throws {
    var settings = ServerSettings()
    settings.maximumConnections = 2
    let service = ScriptedService(words: Array(repeating: "word ", count: 10_000), pause: .milliseconds(20))
    try await TestServer.run(service, settings: settings) { server in
      let busy = try (0..<2).map { _ in try server.connect() }
      for connection in busy {
        let begin = try await server.offThread {
          try connection.write(TestServer.request("POST", "/v1/chat/completions", body: endless))
          return try connection.read(until: "word")
        }
        #expect(begin.contains("200"))
      }
      // More than the server refuses at once.
      try await withThrowingTaskGroup(of: Answer.self) { group in
        for _ in 0..<100 { group.addTask { try await server.send("GET", "/health") } }
        for try await answer in group {
          #expect(answer.status == 503)
          #expect(answer.headers["retry-after"] == "2")
          #expect(answer.headers["connection"] == "close")
          #expect(try answer.json["error/code"] == .string("too_many_connections"))
        }
      }
      // With a body that nobody wants to read.
      let large = try await server.post("/v1/completions", String(repeating: "x", count: 4 << 20))
      #expect(large.status == 503)
      // Those that have a place keep it.
      #expect(try await server.offThread { try busy[0].read(until: "word") }.contains("word"))
      busy[1].shut()
      var status = 503
      for _ in 0..<500 where status == 503 {
        status = try await server.send("GET", "/health").status
        try await Task.sleep(for: .milliseconds(10))
      }
      #expect(status == 200)
      busy[0].shut()
    }
  }

  /// Whoever connects and says nothing takes no place from those who ask.
  @Test func connectionsThatSayNothingAreGivenUp() async throws {
    var settings = ServerSettings()
    settings.maximumConnections = 2
    try await TestServer.run(ScriptedService(), settings: settings) { server in
      let silent = try (0..<100).map { _ in try server.connect() }
      try await Task.sleep(for: .milliseconds(1200))
      #expect(try await server.send("GET", "/health").status == 200)
      withExtendedLifetime(silent) {}
    }
  }
}

@Suite struct AddressReservationTests {
  /// Nobody is left hanging on an address that does not listen yet.
  @Test func clientsAreRefusedUntilItListens() async throws {
    let port = try await freePort()
    let reservation = try AddressReservation(host: "127.0.0.1", port: port)
    #expect(throws: Connection.Failure.self) { _ = try Connection(port: port) }
    let server = InferenceServer(service: ScriptedService())
    let (running, continuation) = AsyncStream<Void>.makeStream()
    let task = Task {
      try await server.run(
        address: .hostname("127.0.0.1", port: port), reservation: reservation, signals: []
      ) { _ in continuation.finish() }
    }
    for await _ in running {}
    #expect(try await TestServer(port: port).send("GET", "/health").status == 200)
    #expect(throws: ServerStartProblem.self) { _ = try AddressReservation(host: "127.0.0.1", port: port) }
    task.cancel()
    _ = await task.result
  }

  @Test func foreignAddressesAreRefused() {
    // Set aside for documentation (RFC 5737): no machine has it.
    #expect(throws: ServerStartProblem.self) { _ = try AddressReservation(host: "192.0.2.1", port: 8080) }
  }

  private func freePort() async throws -> Int {
    let (ports, continuation) = AsyncStream<Int>.makeStream()
    try await TestServer.run(ScriptedService()) { continuation.yield($0.port) }
    var iterator = ports.makeAsyncIterator()
    return try #require(await iterator.next())
  }
}

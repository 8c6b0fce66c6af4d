import Foundation
import Testing

/// A server that computes still hears signals and answers others, also on one processor.
@Suite(.serialized) struct ServeUnderLoadTests {
  #if os(Linux)
    static let processors = [false, true]
  #else
    static let processors = [false]
  #endif

  private let endless = Array(
    #"{"prompt":"1, 2, 3, 4, 5, 6, 7,","max_tokens":4000,"temperature":0,"stream":true}"#.utf8)

  @Test(arguments: processors)
  func aSecondSignalEndsItAtOnce(oneCPU: Bool) throws {
    for number in [SIGTERM, SIGINT] {
      let server = try ServedProgram(["--drain", "3600"], oneCPU: oneCPU)
      let connection = try server.begin("POST", "/v1/completions", body: endless)
      defer { close(connection) }
      #expect(try server.read(connection, until: "data: ").contains("200 OK"))
      server.signal(number)
      // It lets the answer end, and takes nothing new.
      #expect(try server.read(connection, until: "data: ").contains("data: "))
      usleep(300_000)
      try #require(server.isRunning)
      server.signal(number)
      #expect(server.status(withinSeconds: 20) == 128 + number)
    }
  }

  @Test(arguments: processors)
  func oneSignalEndsItInGoodOrder(oneCPU: Bool) throws {
    let server = try ServedProgram(["--drain", "1"], oneCPU: oneCPU)
    let connection = try server.begin("POST", "/v1/completions", body: endless)
    defer { close(connection) }
    #expect(try server.read(connection, until: "data: ").contains("200 OK"))
    server.signal(SIGTERM)
    let rest = try server.read(connection)
    #expect(rest.contains("draining"))
    #expect(rest.contains("[DONE]"))
    #expect(server.status(withinSeconds: 30) == 0)
  }

  /// Megabytes that have to be tokenized, since white space may be few tokens, as a prompt and as a document.
  @Test(arguments: processors)
  func largeTextsHoldUpNobody(oneCPU: Bool) throws {
    let server = try ServedProgram(oneCPU: oneCPU)
    let blank = String(repeating: String(repeating: "  \\n \\t", count: 150) + "a", count: 12_000)
    var connections: [Int32] = []
    defer { for connection in connections { close(connection) } }
    for (path, field) in [("/v1/completions", "prompt"), ("/v1/sessions", "text")] {
      connections.append(
        try server.begin("POST", path, body: Array("{\"\(field)\":\"\(blank)\"}".utf8)))
    }
    var longest = Duration.zero
    for _ in 0..<30 {
      let start = ContinuousClock.now
      #expect(try server.send("GET", "/health") == 200)
      longest = max(longest, .now - start)
      usleep(50_000)
    }
    // Where texts are tokenized in the way of others, these wait for as long as that takes: many seconds.
    #expect(longest < .seconds(2))
  }

  /// One that cannot fit whatever its tokens are is refused by its size.
  @Test func hopelessTextsAreRefused() throws {
    let server = try ServedProgram()
    let words = String(repeating: "word of text, and more; ", count: 1_000_000)
    for (path, body) in [
      ("/v1/completions", "{\"prompt\":\"\(words)\"}"), ("/v1/sessions", "{\"text\":\"\(words)\"}"),
      ("/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"\(words)\"}]}"),
    ] {
      let connection = try server.begin("POST", path, body: Array(body.utf8))
      defer { close(connection) }
      let answer = try server.read(connection)
      #expect(answer.hasPrefix("HTTP/1.1 400"))
      #expect(answer.contains("at least"))
    }
  }
}

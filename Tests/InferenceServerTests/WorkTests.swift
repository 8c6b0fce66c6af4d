import Dispatch
import Foundation
import InferenceServer
import Platform
import Serving
import Synchronization
import Testing

/// Long requests hold up nobody.
@Suite struct WorkTests {
  /// More requests than tasks have threads, none of which can be parsed: others are answered all the same.
  @Test(arguments: ["/v1/completions", "/v1/sessions"])
  func requestsAreParsedBesideTheSharedThreads(path: String) async throws {
    let workers = BlockedWorkers()
    let service = ScriptedService()
    try await TestServer.run(service, workers: workers.threads) { server in
      await workers.block()
      let requests = (0..<2 * ProcessInfo.processInfo.activeProcessorCount + 2).map { _ in
        Task { try await server.post(path, #"{"prompt":"a","text":"b"}"#) }
      }
      for _ in 0..<20 {
        #expect(try await server.send("GET", "/health").status == 200)
        try await Task.sleep(for: .milliseconds(10))
      }
      #expect(service.requests.isEmpty)
      #expect(await service.sessions().isEmpty)
      workers.release()
      for request in requests { #expect((200...201).contains(try await request.value.status)) }
    }
  }

  /// A prompt of 30 MB is received, parsed and tokenized beside the others.
  @Test(arguments: ["/v1/completions", "/tokenize"])
  func hugePromptsDelayNobody(path: String) async throws {
    let service = ScriptedService()
    try await TestServer.run(service) { server in
      let text = String(repeating: "All work and no play makes Jack a dull boy. ", count: 30 << 20 / 44)
      let body = #"{"prompt":"\#(text)","content":"\#(text.prefix(1 << 20))"}"#
      let watch = Task {
        var longest = Duration.zero
        while !Task.isCancelled {
          let start = ContinuousClock.now
          let status = try await server.send("GET", "/health").status
          #expect(status == 200)
          longest = max(longest, .now - start)
          try? await Task.sleep(for: .milliseconds(20))
        }
        return longest
      }
      let status = try await server.post(path, body).status
      #expect(status == 200)
      watch.cancel()
      // Parsing alone takes longer than that.
      let longest = try await watch.value
      #expect(longest < .seconds(1))
    }
  }

  /// A request whose client leaves while it waits for a thread is not parsed any more.
  @Test func whatWaitsIsGivenUp() async throws {
    let workers = BlockedWorkers()
    let service = ScriptedService()
    try await TestServer.run(service, workers: workers.threads) { server in
      await workers.block()
      let connection = try server.connect()
      try connection.write(TestServer.request("POST", "/v1/completions", body: #"{"prompt":"a"}"#))
      try await Task.sleep(for: .milliseconds(100))
      connection.shut()
      for _ in 0..<1000 {
        if try await server.metric("ra_http_disconnects_total") == 1 { break }
        try await Task.sleep(for: .milliseconds(10))
      }
      workers.release()
      #expect(try await server.post("/v1/completions", #"{"prompt":"b"}"#).status == 200)
      #expect(service.requests.count == 1)
    }
  }
}

/// Threads that are all busy until they are released.
private final class BlockedWorkers: Sendable {
  let threads = WorkerThreads(count: 2)
  private let gate = DispatchSemaphore(value: 0)
  private let busy = Atomic(0)

  /// Returns when no thread is free.
  func block() async {
    for _ in 0..<2 {
      Task {
        try await threads.run(size: 0) { [self] _ in
          busy.wrappingAdd(1, ordering: .releasing)
          gate.wait()
        }
      }
    }
    while busy.load(ordering: .acquiring) < 2 { await Task.yield() }
  }

  func release() { for _ in 0..<2 { gate.signal() } }
}

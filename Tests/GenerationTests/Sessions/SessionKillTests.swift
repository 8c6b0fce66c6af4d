// A process that writes to a session until it is killed, and what must be true afterwards. Not tests by themselves:
// scripts/kill-sessions runs them in turn.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import Testing

extension GenerationTests {
  @Suite struct SessionKillTests {
    static let path = ProcessInfo.processInfo.environment["RA_TEST_KILL_SESSION"]
    static let role = ProcessInfo.processInfo.environment["RA_TEST_KILL_ROLE"]

    private func report(_ text: String) { FileHandle.standardError.write(Data("\(text)\n".utf8)) }

    /// Reads a document with checkpoints at every batch, then answers in turns of five tokens, and tells what is safe.
    @Test(.enabled(if: path != nil && role == "write"))
    func writeUntilKilled() throws {
      let path = try #require(Self.path)
      let host = try GuestHost(
        model: TestModel.load(), pool: ThreadPool(threadCount: 1), batchCapacity: 32)
      let tokens = try TestText.tokens("alice.txt", 2000, model: host.model)
      let session: Session
      if FileManager.default.fileExists(atPath: path) {
        session = try Session.open(path, host: host, access: .write)
      } else {
        session = try Session.create(at: path, host: host, policy: .retrieval(earlyIndex))
      }
      report("opened \(session.tokenCount)")
      func tell(_ done: Int) { report("saved \(done)") }
      if session.tokenCount == 0, session.pendingTokens.isEmpty {
        try session.ingest(Array(tokens[..<500]), checkpointInterval: 0)
      } else if !session.pendingTokens.isEmpty {
        try session.resumeIngest(checkpointInterval: 0)
      }
      tell(session.tokenCount)
      while session.tokenCount < 1900 {
        for token in tokens[session.tokenCount..<session.tokenCount + 5] {
          _ = try session.runner.decode(token)
        }
        try session.save()
        tell(session.tokenCount)
      }
    }

    /// Whatever happened: the session opens, every checksum is right, and the tokens are those of the text.
    @Test(.enabled(if: path != nil && role == "check"))
    func checkAfterwards() throws {
      let path = try #require(Self.path)
      guard FileManager.default.fileExists(atPath: path) else {
        report("tokens 0")
        return
      }
      try Session.verify(at: path)
      let host = try GuestHost(model: TestModel.load(), pool: ThreadPool(threadCount: 1))
      _ = try Session.open(path, host: host)
      let start = ContinuousClock.now
      let session = try Session.open(path, host: host)
      report("opened in \(ContinuousClock.now - start)")
      let tokens = try TestText.tokens("alice.txt", 2000, model: host.model)
      #expect(
        session.tokens + session.pendingTokens
          == Array(tokens[..<max(session.tokenCount + session.pendingTokens.count, 0)]))
      if session.tokenCount > 0 { _ = try session.fork().decode(tokens[session.tokenCount]) }
      report("tokens \(session.tokenCount)")
    }
  }
}

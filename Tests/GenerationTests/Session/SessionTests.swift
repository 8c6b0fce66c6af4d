// Sessions of a real model: the same to the bit after reopening, interrupted or not.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import Testing

extension GenerationTests {
  @Suite struct SessionTests {
    let host: GuestHost
    let tokens: [Int32]

    init() throws {
      host = try SharedHost.load()
      tokens = try TestText.tokens("alice.txt", 1000, model: host.model)
    }

    @Test(arguments: [AttentionPolicy.exact, .retrieval(earlyIndex)])
    func reopenedSessionsGoOnToTheBit(policy: AttentionPolicy) throws {
      let folder = try SessionFolder()
      let reference = try GuestRunner(host: host, policy: policy, plannedTokens: 4096)
      _ = try reference.prefill(Array(tokens[..<500]), progress: nil)
      do {
        let session = try Session.create(at: folder.path("a"), host: host, policy: policy)
        #expect(session.tokenCount == 0)
        try session.ingest(
          Array(tokens[..<500]),
          documents: [
            SessionDocument(name: "one", firstToken: 0, tokenCount: 200),
            SessionDocument(name: "two", firstToken: 200, tokenCount: 300),
          ])
        session.attributes["note"] = "x"
        try session.save()
      }
      let expected = try reference.answers(tokens[500..<524])
      do {
        let session = try Session.open(folder.path("a"), host: host, access: .write)
        #expect(session.tokens == Array(tokens[..<500]))
        #expect(session.documents.map(\.tokens) == [0..<200, 200..<500])
        #expect(session.attributes == ["note": "x"])
        #expect(session.pendingTokens.isEmpty)
        #expect(try session.runner.answers(tokens[500..<512]) == Array(expected[..<12]))
        try session.save()
        #expect(session.description.tokenCount == 512)
      }
      let session = try Session.open(folder.path("a"), host: host)
      #expect(session.tokenCount == 512)
      #expect(try session.runner.answers(tokens[512..<524]) == Array(expected[12...]))
      // Past an insertion, which learns from what was saved.
      let more = Array(tokens[524..<680])
      let found = try Array(session.runner.prefill(more, progress: nil).last)
      #expect(try found == Array(reference.prefill(more, progress: nil).last))
      #expect((session.runner.engine.indexedTokenCount > 200) == (policy != .exact))
      try Session.verify(at: folder.path("a"))
    }

    @Test func interruptedIngestCanBeResumed() async throws {
      let folder = try SessionFolder()
      let path = folder.path("a")
      let tokens = Array(tokens[..<1000])
      let reference = try GuestRunner(host: host, policy: .retrieval(earlyIndex), plannedTokens: 4096)
      let expected = try Array(reference.prefill(tokens, progress: nil).last)
      nonisolated(unsafe) let shared = host
      let task = Task {
        let session = try Session.create(at: path, host: shared, policy: .retrieval(earlyIndex))
        try session.ingest(
          tokens, documents: [SessionDocument(name: "a", firstToken: 0, tokenCount: 1000)],
          checkpointInterval: 0
        ) { done, total in
          #expect(total == 1000)
          if done == 512 { withUnsafeCurrentTask { $0?.cancel() } }
        }
      }
      await #expect(throws: CancellationError.self) { try await task.value }
      let description = try Session.verify(at: path)
      #expect(description.tokenCount == 512)
      #expect(description.pendingTokenCount == 488)
      #expect(description.documents.map(\.tokens) == [0..<1000])
      let session = try Session.open(path, host: host, access: .write)
      #expect(session.pendingTokens == Array(tokens[512...]))
      #expect(throws: SessionError.self) { try session.ingest([1, 2]) }
      var read: [Int] = []
      let found = try Array(session.resumeIngest { done, _ in read.append(done) }.last)
      #expect(read == [256, 488])
      #expect(found == expected)
      #expect(session.description.pendingTokenCount == 0)
      #expect(session.tokens == tokens)
    }

    @Test func forksAndPrefixesAreIndependent() throws {
      let folder = try SessionFolder()
      let session = try Session.create(
        at: folder.path("a"), host: host, policy: .retrieval(earlyIndex))
      try session.ingest(Array(tokens[..<600]))
      let fork = try session.fork()
      let answer = try fork.answers(tokens[700..<710])
      let again = try session.fork()
      #expect(try again.answers(tokens[700..<710]) == answer)
      #expect(session.tokenCount == 600)
      // A prompt that leaves the context in the middle of what is indexed.
      let prompt = Array(tokens[..<400] + tokens[800..<900])
      #expect(try fork.keepPrefix(of: prompt) == 400)
      #expect(fork.tokens == Array(prompt[..<400]))
      let found = try Array(fork.prefill(Array(prompt[400...]), progress: nil).last)
      #expect(fork.engine.indexedTokenCount > 0)
      let exact = try GuestRunner(host: host, policy: .exact, plannedTokens: 1024)
      let expected = try Array(exact.prefill(prompt, progress: nil).last)
      #expect(LogitComparison.divergence(expected, found) < Tolerance.sameAttention)
      let following = tokens[900..<916]
      let divergence = try meanDivergence(exact.answers(following), fork.answers(following))
      #expect(divergence < Tolerance.retrieval)
      // The whole prompt again: its last token is read for its logits.
      #expect(try again.keepPrefix(of: Array(tokens[..<600])) == 599)
      #expect(try again.keepPrefix(of: [tokens[0], -5, 3]) == 1)
      #expect(try again.keepPrefix(of: [0x7fff]) == 0)
      // A fork that is worth keeping.
      do {
        let kept = try Session.create(at: folder.path("b"), from: fork)
        #expect(kept.tokens == fork.tokens)
      }
      try Session.verify(at: folder.path("b"))
      let kept = try Session.open(folder.path("b"), host: host)
      let next = tokens[916..<922]
      #expect(try kept.runner.answers(next) == fork.answers(next))
    }

    /// Every layer's rows go back to the file after each use.
    @Test func contextsOverTheLimitAnswerTheSame() throws {
      let folder = try SessionFolder()
      let reference = try GuestRunner(host: host, policy: .retrieval(earlyIndex), plannedTokens: 4096)
      let expected = try Array(reference.prefill(Array(tokens[..<800]), progress: nil).last)
      let session = try Session.create(
        at: folder.path("a"), host: host, policy: .retrieval(earlyIndex), memoryLimit: 8 << 20)
      let found = try Array(session.ingest(Array(tokens[..<800])).last)
      #expect(found == expected)
      #expect(session.runner.engine.storeByteCount > 4 * (8 << 20))
      #expect(session.description.tokenCount == 800)
      #expect(try session.runner.answers(tokens[800..<806]) == reference.answers(tokens[800..<806]))
      #expect(throws: SessionError.self) {
        _ = try Session.open(folder.path("a"), host: host, memoryLimit: 0)
      }
    }
  }
}

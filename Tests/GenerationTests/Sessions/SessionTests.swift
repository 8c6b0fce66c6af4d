// Sessions of a real model: the same to the bit after reopening, interrupted or not.

import AttentionKernels
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
      _ = try reference.prefill(Array(tokens[..<300]), progress: nil)
      do {
        let session = try Session.create(at: folder.path("a"), host: host, policy: policy)
        #expect(session.tokenCount == 0)
        try session.ingest(
          Array(tokens[..<300]),
          documents: [
            SessionDocument(name: "one", firstToken: 0, tokenCount: 120),
            SessionDocument(name: "two", firstToken: 120, tokenCount: 180),
          ])
        session.attributes["note"] = "x"
        try session.save()
      }
      let expected = try reference.answers(tokens[300..<316])
      do {
        let session = try Session.open(folder.path("a"), host: host, access: .write)
        #expect(session.tokens == Array(tokens[..<300]))
        #expect(session.documents.map(\.tokens) == [0..<120, 120..<300])
        #expect(session.attributes == ["note": "x"])
        #expect(session.pendingTokens.isEmpty)
        #expect(try session.runner.answers(tokens[300..<308]) == Array(expected[..<8]))
        try session.save()
        #expect(session.description.tokenCount == 308)
      }
      let session = try Session.open(folder.path("a"), host: host)
      #expect(session.tokenCount == 308)
      #expect(try session.runner.answers(tokens[308..<316]) == Array(expected[8...]))
      // Past an insertion, which learns from what was saved.
      let more = Array(tokens[316..<400])
      let found = try Array(session.runner.prefill(more, progress: nil).last)
      #expect(try found == Array(reference.prefill(more, progress: nil).last))
      #expect((session.runner.engine.indexedTokenCount > 100) == (policy != .exact))
      try Session.verify(at: folder.path("a"))
    }

    /// A session keeps its format, whatever a host uses for new contexts.
    @Test func rowsInEightBitsStayInEightBits() throws {
      let folder = try SessionFolder()
      let format = KeyValueFormat(keys: .int8, values: .int8)
      let eightBits = try GuestHost(
        model: host.model, pool: host.pool, batchCapacity: 256, format: format)
      let reference = try GuestRunner(host: eightBits, policy: .retrieval(earlyIndex), plannedTokens: 4096)
      _ = try reference.prefill(Array(tokens[..<300]), progress: nil)
      let expected = try reference.answers(tokens[300..<308])
      do {
        let session = try Session.create(
          at: folder.path("a"), host: eightBits, policy: .retrieval(earlyIndex))
        try session.ingest(
          Array(tokens[..<300]),
          documents: [SessionDocument(name: "one", firstToken: 0, tokenCount: 300)])
      }
      #expect(try SessionDescription(at: folder.path("a")).format == format)
      let session = try Session.open(folder.path("a"), host: host, access: .write)
      #expect(session.runner.engine.shape.format == format)
      #expect(try session.runner.answers(tokens[300..<308]) == expected)
      try session.save()
      #expect(session.description.format == format)
      let kept = try Session.create(at: folder.path("b"), from: session.fork())
      #expect(kept.description.format == format)
      let rows = session.runner.engine.storeByteCount
      #expect(rows == 308 * host.shape.layers.count * 3 * (2 * 68 + 4))
    }

    @Test func interruptedIngestCanBeResumed() async throws {
      let folder = try SessionFolder()
      let path = folder.path("a")
      let tokens = Array(tokens[..<600])
      let reference = try GuestRunner(host: host, policy: .retrieval(earlyIndex), plannedTokens: 4096)
      let expected = try Array(reference.prefill(tokens, progress: nil).last)
      nonisolated(unsafe) let shared = host
      let task = Task {
        let session = try Session.create(at: path, host: shared, policy: .retrieval(earlyIndex))
        try session.ingest(
          tokens, documents: [SessionDocument(name: "a", firstToken: 0, tokenCount: 600)],
          checkpointInterval: 0
        ) { done, total in
          #expect(total == 600)
          if done == 512 { withUnsafeCurrentTask { $0?.cancel() } }
        }
      }
      await #expect(throws: CancellationError.self) { try await task.value }
      let description = try Session.verify(at: path)
      #expect(description.tokenCount == 512)
      #expect(description.pendingTokenCount == 88)
      #expect(description.documents.map(\.tokens) == [0..<600])
      let session = try Session.open(path, host: host, access: .write)
      #expect(session.pendingTokens == Array(tokens[512...]))
      #expect(throws: SessionError.self) { try session.ingest([1, 2]) }
      var read: [Int] = []
      let found = try Array(session.resumeIngest { done, _ in read.append(done) }.last)
      #expect(read.last == 88)
      #expect(read == read.sorted() && read.count { $0 == 88 } == 1)
      #expect(found == expected)
      #expect(session.description.pendingTokenCount == 0)
      #expect(session.tokens == tokens)
    }

    @Test func forksAndPrefixesAreIndependent() throws {
      let folder = try SessionFolder()
      let session = try Session.create(
        at: folder.path("a"), host: host, policy: .retrieval(earlyIndex))
      try session.ingest(Array(tokens[..<450]))
      let fork = try session.fork()
      let answer = try fork.answers(tokens[700..<704])
      let again = try session.fork()
      #expect(try again.answers(tokens[700..<704]) == answer)
      #expect(session.tokenCount == 450)
      // A prompt that leaves the context in the middle of what is indexed.
      let prompt = Array(tokens[..<330] + tokens[800..<860])
      #expect(try fork.keepPrefix(of: prompt) == 330)
      #expect(fork.tokens == Array(prompt[..<330]))
      let found = try Array(fork.prefill(Array(prompt[330...]), progress: nil).last)
      #expect(fork.engine.indexedTokenCount > 0)
      let exact = try GuestRunner(host: host, policy: .exact, plannedTokens: 1024)
      let expected = try Array(exact.prefill(prompt, progress: nil).last)
      #expect(LogitComparison.divergence(expected, found) < Tolerance.sameAttention)
      let following = tokens[860..<868]
      let divergence = try meanDivergence(exact.answers(following), fork.answers(following))
      #expect(divergence < Tolerance.retrieval)
      // The whole prompt again: its last token is read for its logits.
      #expect(try again.keepPrefix(of: Array(tokens[..<450])) == 449)
      #expect(try again.keepPrefix(of: [tokens[0], -5, 3]) == 1)
      #expect(try again.keepPrefix(of: [0x7fff]) == 0)
      // A fork that is worth keeping.
      do {
        let kept = try Session.create(at: folder.path("b"), from: fork)
        #expect(kept.tokens == fork.tokens)
      }
      try Session.verify(at: folder.path("b"))
      let kept = try Session.open(folder.path("b"), host: host)
      let next = tokens[868..<872]
      #expect(try kept.runner.answers(next) == fork.answers(next))
    }

    /// Every layer's rows go back to the file after each use.
    @Test func contextsOverTheLimitAnswerTheSame() throws {
      let folder = try SessionFolder()
      let reference = try GuestRunner(host: host, policy: .retrieval(earlyIndex), plannedTokens: 4096)
      let expected = try Array(reference.prefill(Array(tokens[..<500]), progress: nil).last)
      let session = try Session.create(
        at: folder.path("a"), host: host, policy: .retrieval(earlyIndex), memoryLimit: 4 << 20)
      let found = try Array(session.ingest(Array(tokens[..<500])).last)
      #expect(found == expected)
      #expect(session.runner.engine.storeByteCount > 2 * (4 << 20))
      #expect(session.description.tokenCount == 500)
      #expect(try session.runner.answers(tokens[500..<504]) == reference.answers(tokens[500..<504]))
      #expect(throws: SessionError.self) {
        _ = try Session.open(folder.path("a"), host: host, memoryLimit: 0)
      }
    }
  }
}

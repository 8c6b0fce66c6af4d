// Contexts beyond the training: attention of ours against the host's with the same scaling, and sessions that keep it.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import Testing

extension GenerationTests {
  @Suite struct ScaledRopeTests {
    private let pool: ThreadPool

    init() throws { pool = try ThreadPool(threadCount: 2, poll: 0) }

    private func load(_ path: String, _ scaling: RopeScaling?) throws -> LlamaModel {
      var options = LlamaModel.Options()
      options.ropeScaling = scaling
      return try LlamaModel.load(path: path, options: options)
    }

    /// Mean KL of exact attention, and of retrieval, from the host's.
    private func divergences(
      _ model: LlamaModel, context: Int, following: Int
    ) throws -> (exact: Double, retrieval: Double) {
      let tokens = try TestText.tokens("persuasion.txt", context + following, model: model)
      func logits(_ runner: any SequenceRunner) throws -> [[Float]] {
        try runner.logits(context: Array(tokens[..<context]), following: tokens[context...])
      }
      func guest(_ policy: AttentionPolicy) throws -> GuestRunner {
        try GuestRunner(model: model, pool: pool, policy: policy, plannedTokens: tokens.count)
      }
      var settings = RetrievalSettings()
      settings.minimumIndexedCount = 512
      let host = try logits(HostRunner(model: model, pool: pool, contextLength: tokens.count))
      return (
        meanDivergence(host, try logits(guest(.exact))),
        meanDivergence(host, try logits(guest(.retrieval(settings))))
      )
    }

    @Test func `Exact attention and retrieval follow the host with YaRN`() throws {
      let model = try load(TestModel.path(), RopeScaling(method: .yarn, factor: 2))
      #expect(model.contextLimit == 16_384)
      let found = try divergences(model, context: 1000, following: 8)
      #expect(found.exact < Tolerance.sameAttention)
      #expect(found.retrieval < Tolerance.retrieval)
    }

    /// Behind the 8192 tokens that the model was trained for.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["RA_TEST_LONG"] != nil))
    func `They do so beyond the training`() throws {
      let model = try load(TestModel.path(), RopeScaling(method: .yarn, factor: 2))
      let found = try divergences(model, context: 8400, following: 12)
      #expect(found.exact < Tolerance.sameAttention)
      #expect(found.retrieval < 2 * Tolerance.retrieval)
    }

    @Test func `A session belongs to its scaling`() throws {
      let scratch = try ScratchDirectory()
      let path = try scratch.write(TinyModel.llama(context: 256).build())
      let folder = try SessionFolder()
      let tokens = (0..<400).map { Int32(3 + $0 * 11 % 250) }
      func host(_ scaling: RopeScaling?) throws -> GuestHost {
        try GuestHost(model: load(path, scaling), pool: pool, batchCapacity: 64)
      }
      let scaling = RopeScaling(method: .yarn, factor: 2)
      let expected: [[Float]]
      do {
        let session = try Session.create(at: folder.path("a"), host: host(scaling), policy: .exact)
        try session.ingest(Array(tokens[..<380]))
        expected = try session.fork().answers(tokens[380...])
      }
      let description = try SessionDescription(at: folder.path("a"))
      #expect(
        description.ropeScaling == RopeScaling(method: .yarn, factor: 2, originalContextLength: 256))
      #expect(
        try Session.open(folder.path("a"), host: host(description.ropeScaling)).runner.answers(tokens[380...])
          == expected)
      // What the file says already is the same when it is given.
      _ = try Session.open(
        folder.path("a"), host: host(RopeScaling(method: .yarn, factor: 2, originalContextLength: 256)))
      let others: [(RopeScaling?, String)] = [
        (nil, "the file's own"), (RopeScaling(method: .yarn, factor: 4), "yarn by 4.0 from 256 tokens"),
        (RopeScaling(method: .linear, factor: 2), "linear by 2.0"),
        (RopeScaling(method: .yarn, factor: 2, originalContextLength: 128), "yarn by 2.0 from 128 tokens"),
      ]
      for (other, name) in others {
        #expect(
          throws: SessionError.otherModel(
            path: folder.path("a"), property: "scaling of RoPE", expected: "yarn by 2.0 from 256 tokens",
            found: name)
        ) { try Session.open(folder.path("a"), host: host(other)) }
      }
      // And the other way round.
      do {
        let session = try Session.create(at: folder.path("b"), host: host(nil), policy: .exact)
        try session.ingest(Array(tokens[..<100]))
      }
      #expect(try SessionDescription(at: folder.path("b")).ropeScaling == nil)
      #expect(throws: SessionError.self) { try Session.open(folder.path("b"), host: host(scaling)) }
      _ = try Session.open(folder.path("b"), host: host(nil))
    }
  }
}

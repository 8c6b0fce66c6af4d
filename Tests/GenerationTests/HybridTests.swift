// Models with recurrent layers: their states go on, go back, go with forks and sessions, and survive failures.

import Foundation
import LlamaHost
import RetrievalAttention
import Testing

@testable import Generation

extension GenerationTests {
  @Suite struct HybridTests {
    let scratch: ScratchDirectory
    let model: LlamaModel
    let pool: ThreadPool
    let report: TakeoverReport
    private static let batch = 128

    init() throws {
      scratch = try ScratchDirectory()
      model = try LlamaModel.load(path: scratch.write(TinyModel.jamba(context: 8192).build()))
      pool = try ThreadPool(threadCount: 1, poll: 0)
      report = try model.takeover(pool: pool)
    }

    private func tokens(_ count: Int, seed: UInt64 = 1) -> [Int32] {
      var generator = SplitMix(state: seed)
      return (0..<count).map { _ in Int32(3 + generator.next() % 256) }
    }

    private func host(sequences: Int = 1) throws -> GuestHost {
      try GuestHost(
        model: model, pool: pool, batchCapacity: Self.batch, outputCapacity: 8, sequenceCapacity: sequences)
    }

    private func runner(_ host: GuestHost, policy: AttentionPolicy = .exact) throws -> GuestRunner {
      try GuestRunner(host: host, policy: policy, plannedTokens: 4096)
    }

    private func read(_ tokens: [Int32], _ runner: any SequenceRunner) throws -> [Float] {
      Array(try runner.prefill(tokens, progress: nil).last)
    }

    /// What a context of its own tells after `tokens`.
    private func fresh(_ tokens: [Int32]) throws -> [Float] { try read(tokens, runner(host())) }

    @Test func theProbeFindsTheAttentionLayer() throws {
      #expect(report.isSupported, "\(report)")
      #expect(report.isHybrid)
      #expect(report.layers.map(\.number) == [1])
    }

    @Test func exactAttentionIsThatOfTheHost() throws {
      let tokens = tokens(700)
      let context = try HostContext(model: model, pool: pool, contextLength: 1024, batchCapacity: Self.batch)
      let expected = Array(try context.evaluate(tokens, startPosition: 0).last)
      let runner = try runner(host())
      _ = try read(Array(tokens.dropLast()), runner)
      let forgetful = try runner.fork()
      let found = Array(try runner.decode(tokens[699]).last)
      #expect(LogitComparison.divergence(expected, found) < 1e-4)
      // Without the states of the tokens before it would not be.
      forgetful.context.recurrent.state.restore(RecurrentSnapshot(position: 699, bytes: []))
      let lost = Array(try forgetful.decode(tokens[699]).last)
      #expect(LogitComparison.divergence(expected, lost) > 0.001)
    }

    /// The host's own context, with recurrent layers beside attention and alone.
    @Test(arguments: [TinyModel.jamba(context: 2048), .mamba(context: 2048)])
    func theHostGoesBackToTheEndOfAPrompt(_ tiny: TinyModel) throws {
      let model = try LlamaModel.load(path: scratch.write(tiny.build(), name: "host.gguf"))
      let runner = try hostRunner(model)
      let (prompt, following) = (tokens(150), tokens(5, seed: 3))
      func answers() throws -> [[Float]] { try following.map { Array(try runner.decode($0).last) } }
      _ = try read(prompt, runner)
      let expected = try answers()
      try runner.truncate(to: prompt.count)
      #expect(try answers() == expected)
      #expect(throws: LlamaError.self) { try runner.truncate(to: 152) }
      // A batch that is cancelled leaves nothing.
      try runner.truncate(to: prompt.count)
      runner.isCancelled = { true }
      #expect(throws: CancellationError.self) { try read(tokens(64, seed: 9), runner) }
      runner.isCancelled = nil
      #expect(runner.tokens == prompt)
      #expect(try answers() == expected)
      // A prompt that goes on from there, and one that parts from it before.
      let next = prompt + tokens(40, seed: 5)
      #expect(try runner.keepPrefix(of: next) == prompt.count)
      let found = try read(Array(next[prompt.count...]), runner)
      let other = Array(prompt[..<60]) + tokens(20, seed: 6)
      #expect(try runner.keepPrefix(of: other) == 0)
      #expect(try read(other, runner) == read(other, hostRunner(model)))
      #expect(LogitComparison.divergence(try read(next, hostRunner(model)), found) < 1e-5)
    }

    private func hostRunner(_ model: LlamaModel) throws -> HostRunner {
      try HostRunner(model: model, pool: pool, contextLength: 512, batchCapacity: 64)
    }

    @Test func retrievalAnswersAsExactAttentionDoes() throws {
      let (tokens, following) = (tokens(3000), tokens(24, seed: 3))
      let expected = try runner(host()).logits(context: tokens, following: following[...])
      let found = try runner(host(), policy: .retrieval(.init())).logits(
        context: tokens, following: following[...])
      #expect(meanDivergence(expected, found) < 0.02)
    }

    /// States cannot be cut: drafts that were wrong are read away by a copy of the states before them.
    @Test(arguments: [0, 2, 5]) func draftsThatWereWrongLeaveNoStates(right: Int) throws {
      let (prompt, following) = (tokens(700), tokens(7, seed: 3))
      let (plain, drafted) = (try runner(host()), try runner(host()))
      for runner in [plain, drafted] { _ = try read(prompt, runner) }
      let expected = try following[...right].map { Array(try plain.decode($0).last) }
      let drafts = Array(following.dropFirst().prefix(right) + tokens(5 - right, seed: 8))
      let logits = try drafted.decode(following[0], drafts: drafts)
      for (row, expected) in expected.enumerated() {
        #expect(LogitComparison.divergence(expected, Array(logits[row])) < 1e-4)
      }
      try drafted.keepDrafts(right)
      #expect(drafted.tokens == plain.tokens)
      let next = try [plain, drafted].map { Array(try $0.decode(following[6]).last) }
      #expect(LogitComparison.divergence(next[0], next[1]) < 1e-4)
      #expect(drafted.context.recurrent.state.position == drafted.tokenCount)
    }

    @Test func aCancelledBatchLeavesTheStatesAsTheyWere() throws {
      let (first, second) = (tokens(300), tokens(100, seed: 4))
      let host = try host()
      let runner = try runner(host)
      _ = try read(first, runner)
      host.context.isCancelled = { true }
      #expect(throws: CancellationError.self) { try runner.prefill(second, progress: nil) }
      host.context.isCancelled = nil
      #expect(runner.tokenCount == 300)
      #expect(try read(second, runner) == whole([first, second]))
    }

    /// What one context tells after texts that are read one after another.
    private func whole(_ texts: [[Int32]]) throws -> [Float] {
      let runner = try runner(host())
      return try texts.map { try read($0, runner) }.last ?? []
    }

    @Test func anEditedTextIsReadAgainFromTheLastCopyOn() throws {
      let runner = try runner(host())
      let text = tokens(3000)
      _ = try read(text, runner)
      let edited = Array(text[..<2500]) + tokens(400, seed: 5)
      #expect(try runner.keepPrefix(of: edited) == 2048)
      #expect(runner.tokens == Array(text[..<2048]))
      #expect(try read(Array(edited[2048...]), runner) == fresh(edited))
      // A turn that continues reads nothing again.
      #expect(try runner.keepPrefix(of: edited + tokens(50, seed: 6)) == 2900)
    }

    @Test func turnsGoBackToWhereTheLastQuestionBegan() throws {
      let runner = try runner(host())
      let document = tokens(500)
      _ = try read(document, runner)
      let question = tokens(40, seed: 7)
      _ = try read(question, runner)
      for token in tokens(20, seed: 8) { _ = try runner.decode(token) }
      let next = tokens(30, seed: 9)
      _ = try read(next, runner)
      // The last question is asked in other words: what was read before it stays.
      let asked = Array(runner.tokens[..<560]) + tokens(25, seed: 10)
      #expect(try runner.keepPrefix(of: asked) == 560)
      let (found, context) = (try read(tokens(25, seed: 10), runner), try self.runner(host()))
      _ = try read(document, context)
      _ = try read(question, context)
      for token in tokens(20, seed: 8) { _ = try context.decode(token) }
      #expect(try found == read(tokens(25, seed: 10), context))
      #expect(throws: GenerationError.noStateKept(position: 570, nearest: 560)) {
        try runner.truncate(to: 570)
      }
    }

    /// However short its last batch is.
    @Test func theEndOfAPromptIsAlwaysAPlaceToGoBackTo() throws {
      let runner = try runner(host())
      _ = try read(tokens(3 * Self.batch + 4), runner)
      let answers = try (0..<2).map { _ in
        let answer = try tokens(5, seed: 14).map { Array(try runner.decode($0).last) }
        try runner.truncate(to: 3 * Self.batch + 4)
        return answer
      }
      #expect(answers[0] == answers[1])
    }

    @Test func forksGoTheirOwnWays() throws {
      let runner = try runner(host())
      let (text, left, right) = (tokens(300), tokens(60, seed: 11), tokens(60, seed: 12))
      _ = try read(text, runner)
      let fork = try runner.fork()
      #expect(try read(left, fork) == whole([text, left]))
      #expect(try read(right, runner) == whole([text, right]))
      #expect(Array(try fork.decode(7).last) == Array(try continued([text, left], 7)))
    }

    private func continued(_ texts: [[Int32]], _ token: Int32) throws -> [Float] {
      let runner = try runner(host())
      for text in texts { _ = try read(text, runner) }
      return Array(try runner.decode(token).last)
    }

    /// More contexts than the host has room for, with parts of different length in one batch.
    @Test func contextsTakeTurnsInTheHost() throws {
      let runner = try BatchRunner(host: host(sequences: 2))
      let texts = (0..<3).map { tokens(90, seed: 20 + UInt64($0)) }
      let contexts = try texts.map { _ in try runner.makeContext(policy: .exact, capacity: 1024) }
      var found: [Int: [Float]] = [:]
      func evaluate(_ parts: [(index: Int, range: Range<Int>)]) throws {
        let logits = try runner.evaluate(
          parts.map {
            .init(context: contexts[$0.index], tokens: texts[$0.index][$0.range], outputs: .last)
          })
        for (row, part) in parts.enumerated() { found[part.index] = Array(logits[row]) }
      }
      try evaluate([(0, 0..<60), (1, 0..<31)])
      try evaluate([(2, 0..<80), (1, 31..<32)])
      try evaluate([(1, 32..<33), (0, 60..<89)])
      try evaluate([(0, 89..<90), (2, 80..<81)])
      try evaluate([(2, 81..<90), (1, 33..<90)])
      for index in texts.indices {
        let expected = try fresh(texts[index])
        #expect(LogitComparison.divergence(expected, try #require(found[index])) < 1e-4)
      }
    }

    @Test func sessionsKeepTheStates() throws {
      let path = scratch.url.appendingPathComponent("text.session").path
      let (text, edited) = (tokens(2500), tokens(2400) + tokens(100, seed: 13))
      do {
        let session = try Session.create(at: path, host: host(), policy: .exact, plannedTokens: 4096)
        try session.ingest(text)
      }
      let session = try Session.open(path, host: host())
      #expect(Array(try session.runner.decode(5).last) == (try continued([text], 5)))
      // The copies on the way are there, too.
      #expect(try session.runner.keepPrefix(of: edited) == 2048)
      #expect(try read(Array(edited[2048...]), session.runner) == fresh(edited))
      try Session.verify(at: path)
    }

    @Test func copiesStayWithinTheirBudget() throws {
      let runner = try runner(host())
      _ = try read(tokens(2048), runner)
      var history = runner.context.recurrent
      #expect(history.checkpoints.map(\.position) == [1024, 1920, 2048])
      let size = try history.state.snapshot().bytes.count
      history.budget = 3 * size
      for position in stride(from: 4096, through: 20_480, by: 2048) {
        history.state.skip(to: position)
        history.markEnd()
      }
      #expect(history.checkpoints.count == 3)
      #expect(history.byteCount <= history.budget)
      #expect(history.checkpoints.last?.position == 20_480)
      // The nearer the end, the denser.
      let positions = history.checkpoints.map(\.position)
      #expect(positions[2] - positions[1] <= positions[1] - positions[0])
      #expect(history.place(atMost: positions[1] + 5) == positions[1])
      history.budget = 2 * size
      #expect(history.checkpoints.count == 2)
    }
  }
}

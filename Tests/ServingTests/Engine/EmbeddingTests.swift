import Foundation
import LlamaHost
import Serving
import Testing

/// Models of random weights: what they say means nothing, but it must be the same for the same text.
@Suite struct EmbeddingSchedulerTests {
  private func scheduler(
    pooling: UInt32, as kind: Pooling? = nil, _ change: (inout SchedulerSettings) -> Void = { _ in }
  ) async throws -> EmbeddingScheduler {
    let scratch = try ScratchDirectory()
    let model = try LlamaModel.load(
      path: scratch.write(TinyModel.bert(context: 32, pooling: pooling).build()))
    var settings = SchedulerSettings()
    settings.threads = 1
    change(&settings)
    return try await EmbeddingScheduler.start(model: model, pooling: kind, settings: settings)
  }

  @Test(arguments: [1, 2, 3] as [UInt32])
  func textsBecomeVectors(pooling: UInt32) async throws {
    let scheduler = try await scheduler(pooling: pooling)
    #expect(scheduler.model.contextLength == 32)
    #expect(scheduler.model.details?.abilities == [.embedding])
    let vectors = try await scheduler.embed([.text("one"), .text("two"), .text("one")])
    #expect(vectors.map(\.vector.count) == [64, 64, 64])
    // Three bytes between a beginning and an end.
    #expect(vectors.map(\.tokens) == [5, 5, 5])
    #expect(vectors[0].vector == vectors[2].vector)
    #expect(vectors[0].vector != vectors[1].vector)
    let tokens = try await scheduler.tokenize("one", addSpecial: true, parseSpecial: false)
    #expect(try await scheduler.embed([.tokens(tokens)]) == [vectors[0]])
    let isFinite = vectors[0].vector.allSatisfy { $0.isFinite }
    #expect(isFinite)
    let statistics = await scheduler.statistics()
    #expect(statistics.completed == 2 && statistics.promptTokens == 20)
    await scheduler.drain(until: .now)
    await #expect(throws: ServingError.draining) { _ = try await scheduler.embed([.text("a")]) }
  }

  @Test func requestsAtTheSameTimeGetTheirOwn() async throws {
    let scheduler = try await scheduler(pooling: 1)
    let words = (0..<24).map { "w\($0)" }
    let alone = try await scheduler.embed(words.map { .text($0) }).map(\.vector)
    try await withThrowingTaskGroup(of: (Int, [Float]).self) { group in
      for (index, word) in words.enumerated() {
        group.addTask { (index, try await scheduler.embed([.text(word)])[0].vector) }
      }
      for try await (index, vector) in group { #expect(vector == alone[index]) }
    }
    await scheduler.drain(until: .now + .seconds(5))
  }

  @Test func documentsAreScored() async throws {
    let scheduler = try await scheduler(pooling: 4)
    #expect(scheduler.model.details?.abilities == [.reranking])
    let rankings = try await scheduler.rank(["a", "bb", "a"], query: "q")
    #expect(rankings[0] == rankings[2])
    #expect(rankings[0].score != rankings[1].score)
    // Query and document, each with an end, behind a beginning.
    #expect(rankings.map(\.tokens) == [5, 6, 5])
    await #expect(throws: ServingError.self) { _ = try await scheduler.embed([.text("a")]) }
    await scheduler.drain(until: .now)
  }

  @Test func whatCannotBeServedIsRefused() async throws {
    let scheduler = try await scheduler(pooling: 1)
    for inputs: [EmbeddingInput] in [
      [.tokens([])], [.tokens([-1])], [.tokens([1 << 20])], [.text(String(repeating: "x", count: 40))],
    ] {
      do {
        _ = try await scheduler.embed(inputs)
        Issue.record("\(inputs) was taken")
      } catch ServingError.invalidParameter("input", let message) {
        #expect(!message.isEmpty)
      }
    }
    for work in [
      { _ = try await scheduler.rank(["a"], query: "b") },
      { _ = try await scheduler.complete(CompletionRequest(prompt: .text("a"))) },
      { _ = try await scheduler.prompt(of: ChatRequest([]), addGenerationPrompt: true) },
    ] as [() async throws -> Void] {
      do {
        try await work()
        Issue.record("it was served")
      } catch ServingError.unsupported(let message) {
        #expect(message.contains("model") || message.contains("server"))
      }
    }
    #expect(await scheduler.sessions().isEmpty)
    await #expect(throws: ServingError.noSessions) {
      _ = try await scheduler.createSession(name: "a", text: "b")
    }
    await scheduler.drain(until: .now)
  }

  @Test func modelsThatCannotAreRefused() async throws {
    let scratch = try ScratchDirectory()
    let model = try LlamaModel.load(path: scratch.write(TinyModel.llama(context: 32).build()))
    for pooling in [nil, .rank] as [Pooling?] {
      await #expect(throws: LlamaError.self) {
        _ = try await EmbeddingScheduler.start(model: model, pooling: pooling, settings: SchedulerSettings())
      }
    }
    // A model that generates has vectors, too, when it is told how to make them.
    let scheduler = try await EmbeddingScheduler.start(
      model: model, pooling: .last, settings: SchedulerSettings())
    #expect(try await scheduler.embed([.text("abc")])[0].vector.count == 64)
    await scheduler.drain(until: .now)
    await #expect(throws: ServingError.noSessions) {
      var settings = SchedulerSettings()
      settings.sessionFolder = scratch.url.path
      _ = try await EmbeddingScheduler.start(model: model, pooling: .last, settings: settings)
    }
  }

  /// Who leaves gives up what is left of a long list.
  @Test func leavingEndsALongList() async throws {
    let scheduler = try await scheduler(pooling: 1)
    let task = Task { try await scheduler.embed((0..<100_000).map { .text("text \($0)") }) }
    try await Task.sleep(for: .milliseconds(500))
    task.cancel()
    await #expect(throws: CancellationError.self) { _ = try await task.value }
    #expect(try await scheduler.embed([.text("a")]).count == 1)
    await scheduler.drain(until: .now + .seconds(5))
  }
}

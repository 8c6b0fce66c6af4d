// Shape and labels of benchmark results, and contexts made of copies. No times: those are the machine's affair.

import Benchmarking
import Evaluation
import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import TestSupport
import Testing

/// One at a time: evaluations on the same cores slow each other down.
@Suite(.serialized) struct BenchmarkTests {
  let model: LlamaModel
  // One thread: no waiting for another one that the system has put aside.
  let pool: ThreadPool

  init() throws {
    model = try TestModel.load()
    pool = try ThreadPool(threadCount: 1, poll: 0)
  }

  private var decodeSettings: DecodeBenchmark.Settings {
    var settings = DecodeBenchmark.Settings()
    settings.depths = [96, 0, 96]
    settings.tokens = 3
    settings.rounds = 2
    return settings
  }

  private func text(_ count: Int) throws -> [Int32] { try BenchmarkText.tokens(count: count, model: model) }

  @Test func generatedTextIsLongEnoughAndTheSameEachTime() throws {
    let tokens = try text(500)
    #expect(tokens.count >= 500)
    #expect(try text(500) == tokens)
  }

  @Test func decodeReportsEachAttentionAtEachDepth() throws {
    let settings = decodeSettings
    let benchmark = try DecodeBenchmark(
      model: model, pool: pool, tokens: text(DecodeBenchmark.requiredTokens(settings)), settings: settings)
    var told: [String] = []
    try benchmark.run(onDepth: { told += $0.map { "\($0.depth) \($0.policy)" } })
    #expect(told == ["0 host", "0 exact", "0 retrieval", "96 host", "96 exact", "96 retrieval"])
    #expect(benchmark.results.map { "\($0.depth) \($0.policy)" } == told)
    for result in benchmark.results {
      #expect(result.tokens == 3)
      #expect(!result.synthetic)
      #expect(result.millisecondsPerToken > 0)
      #expect(abs(result.millisecondsPerToken * result.tokensPerSecond - 1000) < 1e-6)
      let spread = result.spread
      #expect(spread.median == result.millisecondsPerToken)
      #expect(
        [spread.minimum, spread.lowerQuartile, spread.median, spread.upperQuartile, spread.maximum]
          == [spread.minimum, spread.lowerQuartile, spread.median, spread.upperQuartile, spread.maximum]
          .sorted())
      let isHost = result.policy == "host"
      #expect((result.configuration != nil) == isHost)
      #expect((result.bytesPerToken == nil) == isHost)
      // Without an index the output is the exact one.
      if result.policy == "retrieval" { #expect(try #require(result.outputError).high < 1e-5) }
      #expect((result.memory == nil) == (result.policy == "host"))
      #expect(try #require(result.peakResidentBytes) > result.memory?.store ?? 0)
      #expect((result.stages == nil) == isHost)
      if let stages = result.stages {
        #expect(stages.named.allSatisfy { $0.milliseconds > -0.1 }, "\(stages)")
        #expect(stages.host > 0 && stages.exact > 0 && stages.centroids == 0)
      }
      // Without an index both of ours read everything.
      if !isHost { #expect(result.keysReadWithStatic == 1) }
    }
  }

  @Test func jsonHasTheDocumentedNames() throws {
    var settings = decodeSettings
    settings.depths = [8]
    settings.attentions = [.exact]
    let benchmark = try DecodeBenchmark(model: model, pool: pool, tokens: text(16), settings: settings)
    try benchmark.run()
    let object = try JSONSerialization.jsonObject(with: JSONEncoder().encode(benchmark.results))
    let row = try #require((object as? [[String: Any]])?.first)
    #expect(
      row.keys.sorted() == [
        "bytesPerToken", "depth", "keysRead", "keysReadWithStatic", "memory", "millisecondsPerToken",
        "peakResidentBytes", "policy", "spread", "stages", "synthetic", "tokens", "tokensPerSecond",
      ])
  }

  @Test func prefillReportsTheBetterHostAndTheShareOfTheIndex() throws {
    var settings = PrefillBenchmark.Settings()
    settings.lengths = [64, 32]
    let benchmark = try PrefillBenchmark(model: model, pool: pool, tokens: text(64), settings: settings)
    try benchmark.run()
    #expect(benchmark.results.map(\.length) == [32, 32, 32, 64, 64, 64])
    for length in [32, 64] {
      let rows = benchmark.results.filter { $0.length == length }
      #expect(Set(rows.map(\.policy)) == ["host", "host-other", "retrieval"])
      let host = try #require(rows.first { $0.policy == "host" })
      let other = try #require(rows.first { $0.policy == "host-other" })
      #expect(host.tokensPerSecond >= other.tokensPerSecond)
      #expect(host.configuration != other.configuration)
      // Too short for an index.
      #expect(rows.first { $0.policy == "retrieval" }?.indexShare == 0)
    }
  }

  @Test func settingsThatMakeNoSenseAreRefused() throws {
    func refusal(_ change: (inout DecodeBenchmark.Settings) -> Void) -> GenerationError? {
      var settings = decodeSettings
      change(&settings)
      do {
        _ = try DecodeBenchmark(model: model, pool: pool, tokens: [1, 2, 3], settings: settings)
        return nil
      } catch {
        return error as? GenerationError
      }
    }
    #expect(
      refusal { $0.depths = [] }
        == .invalidCount(name: "number of depths", value: 0, requirement: "positive"))
    #expect(
      refusal { $0.depths = [0, -1] }
        == .invalidCount(name: "depth", value: -1, requirement: "in 0...\(TokenCounts.maximum)"))
    #expect(
      refusal { $0.tokens = 0 }
        == .invalidCount(name: "tokens", value: 0, requirement: "in 1...\(DecodeBenchmark.maximumTokens)"))
    #expect(refusal { $0.rounds = 0 } == .invalidCount(name: "rounds", value: 0, requirement: "positive"))
    #expect(refusal { _ in } == .textTooShort(tokens: 3, required: 100))
  }

  @Test func cancellationKeepsWhatWasMeasured() async throws {
    let tokens = try text(128)
    let settings = decodeSettings
    let (depths, error) = try await Task.detached { [model] in
      let pool = try ThreadPool(threadCount: 1, poll: 0)
      let benchmark = try DecodeBenchmark(model: model, pool: pool, tokens: tokens, settings: settings)
      do {
        try benchmark.run(onPhase: { phase in
          // In the middle of the second depth.
          if case .decode(depth: 96, done: 2, total: _) = phase { withUnsafeCurrentTask { $0?.cancel() } }
        })
        return (benchmark.results.map(\.depth), "none")
      } catch {
        return (benchmark.results.map(\.depth), "\(type(of: error))")
      }
    }.value
    #expect(error == "CancellationError")
    #expect(depths == [0, 0, 0, 96])
  }

  @Test func hostFillingMovesOnAndLeavesTheModelIntact() throws {
    let tokens = try text(64)
    let plain = try HostRunner(model: model, pool: pool, contextLength: 1024)
    let expected = Array(try plain.prefill(tokens, progress: nil).last)
    let filled = try HostRunner(model: model, pool: pool, contextLength: 1024, allowsFilling: true)
    _ = try filled.prefill(Array(tokens.prefix(20)), progress: nil)
    // More than one batch, so that a graph is used again while it is switched off.
    try filled.fill(to: 1020)
    #expect(filled.tokenCount == 1020)
    _ = try filled.decode(tokens[20])
    try filled.truncate(to: 0)
    // All operations are back: the same numbers come out.
    #expect(Array(try filled.prefill(tokens, progress: nil).last) == expected)
    #expect(throws: LlamaError.self) { try plain.fill(to: 100) }
  }
}

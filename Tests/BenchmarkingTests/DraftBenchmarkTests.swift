// What the benchmark of drafts asks, and what it tells of the answers. No times.

import Benchmarking
import Evaluation
import Foundation
import Generation
import LlamaHost
import TestSupport
import Testing

@Suite(.serialized) struct DraftBenchmarkTests {
  let model: LlamaModel
  let pool: ThreadPool

  init() throws {
    model = try TestModel.load()
    pool = try ThreadPool(threadCount: 1, poll: 0)
  }

  private func run(_ change: (inout DraftBenchmark.Settings) -> Void) throws -> [DraftResult] {
    var settings = DraftBenchmark.Settings()
    settings.depths = [512]
    settings.tasks = [.quote, .prose]
    settings.tokens = 32
    settings.rounds = 1
    settings.isRaw = true
    change(&settings)
    let benchmark = try DraftBenchmark(
      model: model, pool: pool, text: BuiltInText.persuasion, settings: settings)
    try benchmark.run()
    return benchmark.results
  }

  @Test func givenAnswersAreForeseenWhereTheyRepeat() throws {
    let results = try run { $0.tasks = DraftTask.allCases }
    #expect(results.map(\.task) == DraftTask.allCases.flatMap { [$0, $0] })
    #expect(results.map(\.way) == DraftTask.allCases.flatMap { _ in [.single, .drafts] })
    for result in results {
      #expect(!result.isExact && !result.isGenerated && !result.synthetic)
      #expect((480...560).contains(result.depth))
      #expect(result.millisecondsPerToken > 0)
      #expect(result.sameTokens == nil)
      if result.way == .single { #expect(result.proposed == 0 && result.accepted == 0) }
      if result.task != .sentence { #expect(result.tokens == 32) }
    }
    func drafted(_ task: DraftTask) throws -> DraftResult {
      try #require(results.first { $0.task == task && $0.way == .drafts })
    }
    let (quote, prose) = (try drafted(.quote), try drafted(.prose))
    #expect(quote.accepted > 16, "\(quote)")
    #expect(quote.steps <= quote.tokens - quote.accepted)
    #expect(prose.accepted < 8, "\(prose)")
    #expect(try drafted(.code).accepted > 8)
    #expect(try drafted(.sentence).answer.contains("The password of the silver lantern is quivelo."))
  }

  @Test func generatedAnswersOfExactAttentionAreTheSame() throws {
    let results = try run { $0.isExact = true }
    #expect(results.map(\.sameTokens) == results.map(\.tokens))
    #expect(results.map(\.isGenerated) == [true, true, true, true])
  }

  @Test func copiesFillADocument() throws {
    let results = try run {
      $0.depths = [1500]
      $0.syntheticPeriod = 300
      $0.tasks = [.sentence]
      $0.tokens = 2
    }
    #expect(results.map(\.depth) == [1500, 1500])
    #expect(results.map(\.synthetic) == [true, true])
  }

  @Test func settingsThatMakeNoSenseAreRefused() {
    func refusal(_ change: (inout DraftBenchmark.Settings) -> Void) -> GenerationError? {
      do {
        _ = try run(change)
        return nil
      } catch {
        return error as? GenerationError
      }
    }
    #expect(
      refusal { $0.depths = [100] }
        == .invalidCount(
          name: "depth", value: 100, requirement: "in 128...\(TokenCounts.maximum)"))
    #expect(refusal { $0.tokens = 0 } == .invalidCount(name: "tokens", value: 0, requirement: "positive"))
    #expect(refusal { $0.rounds = -1 } == .invalidCount(name: "rounds", value: -1, requirement: "positive"))
    #expect(throws: GenerationError.self) {
      _ = try DraftBenchmark(model: model, pool: pool, text: " \n")
    }
  }
}

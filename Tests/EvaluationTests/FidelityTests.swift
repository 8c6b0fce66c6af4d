// A small measurement, and the arithmetic of divergence and perplexity on logits made by hand.

import Evaluation
import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import TestSupport
import Testing

@Suite(.serialized) struct FidelityTests {
  @Test func divergenceByHand() {
    var (a, b) = (LogitRecord(), LogitRecord())
    // Distributions (1/2, 1/2) and (3/4, 1/4); logits may be shifted by a constant.
    let first: [Float] = [5, 5]
    let second: [Float] = [log(Float(3)), 0]
    a.append(first)
    b.append(second)
    let expected = 0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25)
    let divergence = Divergence(reference: a, other: b)
    #expect(abs(divergence.meanKL - expected) < 1e-6)
    #expect(divergence.p99KL == divergence.meanKL)
    #expect(divergence.top1 == 1)
    // One more step, equal in both but for the best token.
    let third: [Float] = [0, 1]
    let fourth: [Float] = [1, 0]
    a.append(third)
    b.append(fourth)
    let both = Divergence(reference: a, other: b)
    #expect(both.top1 == 0.5)
    #expect(both.p99KL > both.meanKL)
    #expect(Divergence(reference: a, other: a).meanKL == 0)
    #expect(Divergence(reference: LogitRecord(), other: LogitRecord()).meanKL.isNaN)
  }

  @Test func perplexityByHand() {
    var record = LogitRecord()
    let uniform: [Float] = [7, 7, 7, 7]
    let sure: [Float] = [200, 0, 0, 0]
    record.append(uniform)
    #expect(abs(record.perplexity(of: [2]) - 4) < 1e-9)
    record.append(sure)
    // A certain token adds nothing: the geometric mean of 4 and 1.
    #expect(abs(record.perplexity(of: [2, 0]) - 2) < 1e-6)
    #expect(LogitRecord().perplexity(of: []).isNaN)
  }

  @Test func measuresASmallContext() throws {
    let model = try TestModel.load()
    let pool = try ThreadPool(threadCount: 2, poll: 0)
    var settings = RetrievalSettings()
    settings.minimumIndexedCount = 512
    var phases: Set<String> = []
    let measurement = try FidelityMeasurement(
      model: model, pool: pool, tokens: try TestText.tokens("alice.txt", 1009, model: model),
      settings: FidelityMeasurement.Settings(
        contextTokens: 1000, decodeTokens: 8, policy: .retrieval(settings))
    ) { phase in
      switch phase {
      case .prefill(let done, let total):
        #expect(done <= total)
        phases.insert("prefill")
      case .hostPrefill: phases.insert("hostPrefill")
      case .decode(let policy, _, let total):
        #expect(total == 8)
        phases.insert(policy)
      }
    }
    let report = try measurement.measure(against: .exact)
    #expect(phases == ["prefill", "hostPrefill", "exact", "host", "retrieval"])
    #expect(report.policy == "retrieval")
    #expect(report.reference == "exact")
    #expect(report.context == 1000)
    #expect(report.tokens == 8)
    #expect(report.meanKL >= 0 && report.meanKL < 0.1)
    #expect(report.p99KL >= report.meanKL)
    #expect((0...1).contains(report.top1))
    #expect(report.keysRead > 0 && report.keysRead < report.keysReadWithStatic)
    #expect(report.bytesPerToken > 0)
    // Ours reads the same text, so it cannot be far more surprised by it.
    #expect(report.perplexity > 1 && report.perplexity < 2 * report.referencePerplexity)
    // The same measurement again; one that reads every key, exact attention itself but for rounding; and one that
    // reads none.
    let again = try measurement.measure(against: .exact)
    #expect(again.meanKL == report.meanKL)
    var search = settings.search
    search.tolerance = 0
    let exact = try measurement.measure(against: .exact, search: search)
    search.tolerance = 1e9
    let blind = try measurement.measure(against: .exact, search: search)
    #expect(exact.meanKL < 0.5 * blind.meanKL)
    #expect(exact.keysRead > blind.keysRead)
    search.tolerance = 0
    #expect(exact.tolerance == 0)
    let host = try measurement.measure(against: .host, search: search)
    #expect(host.meanKL < 0.1)
    // The report is what --json writes.
    let decoded = try JSONDecoder().decode(FidelityReport.self, from: JSONEncoder().encode(report))
    #expect(decoded.meanKL == report.meanKL)
  }

  @Test func refusesBadCounts() throws {
    let model = try TestModel.load()
    let pool = try ThreadPool(threadCount: 1, poll: 0)
    func measure(_ context: Int, _ decode: Int) throws {
      _ = try FidelityMeasurement(
        model: model, pool: pool, tokens: [1, 2, 3, 4, 5],
        settings: FidelityMeasurement.Settings(contextTokens: context, decodeTokens: decode, policy: .exact))
    }
    #expect(throws: GenerationError.textTooShort(tokens: 5, required: 6)) { try measure(3, 2) }
    #expect(throws: GenerationError.invalidCount(name: "context", value: 0, requirement: "positive")) {
      try measure(0, 1)
    }
    #expect(throws: GenerationError.invalidCount(name: "tokens", value: -1, requirement: "positive")) {
      try measure(3, -1)
    }
  }
  @Test func aCurveComparesStepByStep() throws {
    let model = try TestModel.load()
    let pool = try ThreadPool(threadCount: 2, poll: 0)
    let tokens = try TestText.tokens("alice.txt", 541, model: model)
    var retrieval = RetrievalSettings()
    (retrieval.minimumIndexedCount, retrieval.windowCount, retrieval.insertionCount) = (256, 128, 32)
    func curve(_ policy: AttentionPolicy) throws -> FidelityCurve {
      try FidelityCurve(
        model: model, pool: pool, tokens: tokens,
        settings: .init(contextTokens: 500, decodeTokens: 40, blockTokens: 16, policy: policy))
    }
    let found = try curve(.retrieval(retrieval))
    #expect(found.blocks.map(\.firstToken) == [0, 16, 32])
    #expect(found.blocks.map(\.tokens) == [16, 16, 8])
    for block in found.blocks {
      #expect(block.meanKL > 0 && block.meanKL < 0.1)
      #expect(block.isolatedKL < 0.1)
      #expect(try #require(block.noiseKL) < 0.1)
      #expect(abs(block.loss - block.exactLoss) < 0.2)
      #expect((0...1).contains(block.top1))
      #expect(block.keysReadWithStatic > 0 && block.keysReadWithStatic < 1)
    }
    // Exact attention loses nothing, whether keys are its own or were taken back and read again.
    for block in try curve(.exact).blocks {
      #expect(block.meanKL == 0)
      #expect(block.isolatedKL < 0.02)
      #expect(block.top1 == 1)
    }
    #expect(throws: GenerationError.textTooShort(tokens: 541, required: 701)) {
      try FidelityCurve(
        model: model, pool: pool, tokens: tokens,
        settings: .init(contextTokens: 500, decodeTokens: 200, blockTokens: 64, policy: .exact))
    }
    #expect(throws: GenerationError.invalidCount(name: "curve", value: 0, requirement: "positive")) {
      try FidelityCurve(
        model: model, pool: pool, tokens: tokens,
        settings: .init(contextTokens: 500, decodeTokens: 40, blockTokens: 0, policy: .exact))
    }
  }
}

// What is remembered of how long reading took.

import Foundation
import RetrievalAttention
import TestSupport
import Testing

@testable import Generation

@Suite struct ReadingRatesTests {
  private let law = ReadingLaw(first: 2e-3, growth: 4e-7)

  @Test func aLawIsTheSumOfItsTokens() {
    let sum = (1000..<3000).reduce(0.0) { $0 + law.first + law.growth * (Double($1) + 0.5) }
    #expect(abs(law.seconds(1000..<3000) - sum) < 1e-9)
    #expect(law.seconds(7..<7) == 0)
  }

  /// Behind the depth where keys are chosen a token sees a fifth of those that are added.
  @Test func chosenKeysCostLess() throws {
    let depth = ReadingDepth(chosenFrom: 4096)
    func cost(_ position: Int) -> Double {
      let n = Double(position) + 0.5
      return law.first + law.growth * (n < 4096 ? n : 4096 + 0.2 * (n - 4096))
    }
    func sum(_ range: Range<Int>) -> Double { range.reduce(0) { $0 + cost($1) } }
    for range in [100..<4000, 3000..<9000, 5000..<9000] {
      #expect(abs(law.seconds(range, depth: depth) / sum(range) - 1) < 1e-6)
    }
    var estimate = ReadingEstimate(growth: 1e-4, depth: depth)
    for done in stride(from: 512, through: 8192, by: 512) {
      estimate.add(done: Double(done), seconds: sum(0..<done))
    }
    let left = try #require(estimate.secondsLeft(total: 32_768))
    #expect(abs(left / sum(8192..<32_768) - 1) < 0.02)
    #expect(ReadingDepth(.exact) == ReadingDepth())
    #expect(ReadingDepth(.retrieval(RetrievalSettings())) == depth)
    var exact = RetrievalSettings()
    exact.prefillTolerance = 0
    #expect(ReadingDepth(.retrieval(exact)) == ReadingDepth())
  }

  @Test func whatWasMeasuredIsThereTheNextTime() throws {
    let folder = try TemporaryFolder()
    let path = folder.url("deeper/rates.json").path
    var rates = ReadingRates(path: path)
    #expect(rates["a"] == nil)
    rates.add(law, tokens: 4096, for: "a")
    rates.add(law, tokens: ReadingRates.leastTokens - 1, for: "short")
    rates.add(ReadingLaw(first: .nan, growth: 0), tokens: 4096, for: "no number")
    rates.add(ReadingLaw(first: 0, growth: 1), tokens: 4096, for: "nothing")
    let again = ReadingRates(path: path)
    #expect(again["a"] == law)
    for key in ["short", "no number", "nothing"] { #expect(again[key] == nil) }
  }

  /// A machine that has become twice as slow is known after a few texts.
  @Test func newMeasurementsCount() throws {
    let folder = try TemporaryFolder()
    var rates = ReadingRates(path: folder.url("rates.json").path)
    rates.add(law, tokens: 1 << 20, for: "a")
    for _ in 0..<12 { rates.add(ReadingLaw(first: 4e-3, growth: 8e-7), tokens: 2048, for: "a") }
    let found = try #require(rates["a"])
    #expect(abs(found.first / 4e-3 - 1) < 0.05)
    #expect(abs(found.growth / 8e-7 - 1) < 0.05)
  }

  @Test(arguments: ["", "{", #"{"a": 3}"#, #"{"a": {"law": {"first": -1, "growth": 0}, "tokens": 5}}"#])
  func aDamagedFileIsEmpty(contents: String) throws {
    let folder = try TemporaryFolder()
    let path = folder.url("rates.json").path
    try Data(contents.utf8).write(to: URL(fileURLWithPath: path))
    var rates = ReadingRates(path: path)
    #expect(rates["a"] == nil)
    rates.add(law, tokens: 4096, for: "a")
    #expect(ReadingRates(path: path)["a"] == law)
  }

  /// Where texts go on, their depth counts.
  @Test func anEstimateKnowsWhereItBegins() throws {
    var estimate = ReadingEstimate(growth: 1e-4, from: 8192)
    for done in stride(from: 512, through: 8192, by: 512) {
      estimate.add(done: Double(done), seconds: law.seconds(8192..<8192 + done))
    }
    let left = try #require(estimate.secondsLeft(total: 24576))
    #expect(abs(left / law.seconds(16384..<32768) - 1) < 0.02)
    let found = try #require(estimate.law)
    #expect(abs(found.seconds(0..<32768) / law.seconds(0..<32768) - 1) < 0.05)
    #expect(abs(try #require(estimate.rate) * law.seconds(8192..<16384) / 8192 - 1) < 1e-6)
  }
}

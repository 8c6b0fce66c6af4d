// Search and metrics against plain arithmetic.

import Foundation
import Testing

@testable import Evidence

@Suite struct BaselineTests {
  @Test func wordsOfText() {
    #expect(
      SegmentSearch.words(of: "It's 3.5 KM, Ärger—e\u{301}tat 塔は高い") == [
        "it", "s", "3", "5", "km", "ärger", "e\u{301}tat", "塔", "は", "高", "い",
      ])
    #expect(SegmentSearch.words(of: " .,").isEmpty)
  }

  /// The formula, without an index.
  private func plainScores(_ query: [String], _ passages: [[String]], k1: Double, b: Double) -> [Double] {
    let mean = Double(passages.map(\.count).reduce(0, +)) / Double(passages.count)
    var scores: [Double] = []
    for passage in passages {
      var score = 0.0
      for word in Set(query) {
        let n = Double(passages.count { $0.contains(word) })
        let f = Double(passage.count { $0 == word })
        guard f > 0 else { continue }
        let odds: Double = (Double(passages.count) - n + 0.5) / (n + 0.5)
        let relativeLength: Double = Double(passage.count) / mean
        let saturation: Double = f + k1 * (1 - b + b * relativeLength)
        score += log(1 + odds) * f * (k1 + 1) / saturation
      }
      scores.append(score)
    }
    return scores
  }

  @Test(arguments: [(1.2, 0.75), (0, 0.75), (2, 0), (0.9, 1)])
  func searchIsTheFormula(_ k1: Double, _ b: Double) throws {
    var random = Random(state: 7)
    let vocabulary = ["red", "green", "blue", "old", "new", "house", "tree"]
    let passages = (0..<30).map { _ in
      (0..<Int.random(in: 1...9, using: &random)).map { _ in vocabulary.randomElement(using: &random) ?? "" }
    }
    let sources = try EvidenceSources([
      document(passages.map { "- " + $0.joined(separator: " ") }.joined(separator: "\n"))
    ])
    #expect(sources.segments.count == 30)
    let search = SegmentSearch(sources, k1: k1, b: b)
    for query in [["red"], ["old", "HOUSE", "old"], ["tree", "blue", "nothing"]] {
      let expected = plainScores(query.map { $0.lowercased() }, passages, k1: k1, b: b)
      let matches = search.best(for: query.joined(separator: ", "), limit: 30)
      #expect(Set(matches.map(\.segment)) == Set(expected.indices.filter { expected[$0] > 0 }))
      for match in matches { #expect(isClose(match.score, expected[match.segment])) }
      for pair in zip(matches, matches.dropFirst()) { #expect(pair.0.score >= pair.1.score) }
      #expect(search.best(for: query.joined(separator: " "), limit: 2) == Array(matches.prefix(2)))
    }
    #expect(search.best(for: "red", limit: -1).isEmpty)
    #expect(search.best(for: "").isEmpty)
    #expect(SegmentSearch(try EvidenceSources([])).best(for: "red").isEmpty)
  }

  @Test func searchFindsTheSentence() throws {
    let sources = try EvidenceSources([document(cityText)])
    let best = try #require(SegmentSearch(sources).best(for: "When was the tower built?").first)
    #expect(sources.text(ofSegment: best.segment) == "The tower was built in 1648.")
  }

  private func figures(_ score: EvidenceScore) -> [Double] { [score.precision, score.recall, score.f1] }

  @Test func scoresByHand() throws {
    // Passages at 0..<3, 4..<7, 8..<11, 12..<15.
    let sources = try EvidenceSources([document("Aa. Bb. Cc. Dd."), document("Ee. Ff.", at: 500)])
    func score(_ cited: [(Int, Range<Int>)], _ known: [(Int, Range<Int>)]) -> EvidenceScore {
      EvidenceScore(
        cited: cited.map { .init(document: $0.0, bytes: $0.1) },
        known: known.map { .init(document: $0.0, bytes: $0.1) },
        in: sources)
    }
    // Cited are passages 0, 1 and 2, one of them twice; known are 2 and 3.
    let some = score([(0, 0..<7), (0, 5..<6), (0, 10..<12)], [(0, 8..<15)])
    #expect(some == score([(0, 0..<11)], [(0, 9..<13)]))
    #expect(some.cited == 3)
    #expect(some.known == 2)
    #expect(some.found == 1)
    #expect(isClose(some.precision, 1.0 / 3))
    #expect(some.recall == 0.5)
    #expect(isClose(some.f1, 0.4))
    #expect(figures(score([(1, 0..<3)], [(0, 0..<3)])) == [0, 0, 0])
    #expect(figures(score([], [(0, 0..<3)])) == [0, 0, 0])
    #expect(figures(score([], [])) == [1, 1, 1])
    #expect(figures(score([(1, 4..<7)], [])) == [0, 1, 0])
    // Blanks between passages, places outside and documents that do not exist are no passage.
    #expect(score([(0, 3..<4), (0, 90..<99), (7, 0..<3), (0, 1..<1)], []).cited == 0)
  }

  @Test func meansHaveIntervals() throws {
    let same = try #require(BootstrapMean([0.5, 0.5, 0.5]))
    #expect([same.mean, same.low, same.high] == [0.5, 0.5, 0.5])
    #expect(same.count == 3)
    let half = (0..<100).map { Double($0 % 2) }
    let mean = try #require(BootstrapMean(half))
    #expect(mean.mean == 0.5)
    // The mean of 100 fair coins has a standard deviation of 0.05; 1.96 of them are 0.098.
    #expect(isClose(mean.low, 0.402, within: 0.015))
    #expect(isClose(mean.high, 0.598, within: 0.015))
    #expect(try #require(BootstrapMean(half)) == mean)
    let wide = try #require(BootstrapMean(half, confidence: 0.5))
    #expect(wide.low > mean.low)
    #expect(wide.high < mean.high)
    #expect(BootstrapMean([]) == nil)
    #expect(BootstrapMean([Double.nan]) == nil)
    #expect(BootstrapMean([1, 2], confidence: 7, resamples: -1) != nil)
  }

  @Test func quotationsAreFound() throws {
    let text = "The old house is red. Its owner, Ann, sold it in May for 300 pounds! Yes. A tree stood there."
    let sources = try EvidenceSources([document(text)])
    let quotes = QuotedSegments(sources)
    func quoted(_ answer: String) -> [String] {
      quotes.quoted(in: answer).map { sources.text(document: $0.document, bytes: $0.bytes) }
    }
    #expect(quoted("It says: \"its owner Ann sold it in May\".").map { $0.prefix(9) } == ["Its owner"])
    #expect(quoted(text).count == 3, "a single word is no quotation")
    #expect(quoted("Ann sold the house for 300 pounds.").isEmpty)
    #expect(quoted("Yes.").isEmpty)
    #expect(quoted("").isEmpty)
  }
}

// An answer in pieces gives what the whole gives.

import Testing

@testable import Evidence

@Suite struct StreamTests {
  private static let text = """
    Dr. Müller found 3.5 m of water… The 塔 was built in 1648。It fell. \u{1F600} "Why?" he asked.

    1. First, the library burned.
    2. Then nothing

    ```swift
    let a = 1
    ```
    | a | b |
    The end
    """

  /// Tokens of one to four bytes, which divide characters, with random weights.
  private func answer(_ sources: EvidenceSources, seed: UInt64) -> AnswerTrace {
    var random = Random(state: seed)
    let bytes = Array(Self.text.utf8)
    var tokens: [AnswerTrace.Token] = []
    var start = 0
    while start < bytes.count {
      let end = min(bytes.count, start + Int.random(in: 0...4, using: &random))
      let weights = (0..<3).map { _ in
        (0..<4).map { _ in
          PositionWeight(
            position: .random(in: 90...170, using: &random), weight: .random(in: 0...0.3, using: &random))
        }
      }
      tokens.append(.init(bytes: start..<end, weights: weights))
      start = end
    }
    return AnswerTrace(text: Self.text, headWeights: [1, 0.5, 0], tokens: tokens)
  }

  @Test(arguments: 1...10)
  func piecesGiveTheWhole(_ seed: UInt64) throws {
    let sources = try EvidenceSources([document(cityText)])
    let answer = answer(sources, seed: seed)
    let whole = try AnswerEvidence(sources, of: answer)
    let bytes = Array(Self.text.utf8)
    var stream = try EvidenceStream(sources, headWeights: answer.headWeights)
    var found: [SentenceEvidence] = []
    for token in answer.tokens {
      let complete = try stream.append(bytes[token.bytes], weights: token.weights)
      for sentence in complete {
        // A sentence comes as soon as a word, a line end or the next line's beginning stands behind it.
        #expect(token.bytes.upperBound - sentence.answerBytes.upperBound <= 16)
      }
      found += complete
      #expect(stream.sentences == found)
    }
    let early = found.count
    found += try stream.finish()
    #expect(found == whole.sentences)
    #expect(stream.evidence == whole)
    #expect(found.count - early == 1)
    #expect(whole.citations.contains { $0.score > 0 })
  }

  @Test func sentencesOfTheText() throws {
    let sources = try EvidenceSources([document(cityText)])
    let bytes = Array(Self.text.utf8)
    let sentences = try AnswerEvidence(sources, of: answer(sources, seed: 1)).sentences
    #expect(
      sentences.map { String(decoding: bytes[$0.answerBytes], as: UTF8.self) } == [
        "Dr. Müller found 3.5 m of water…", "The 塔 was built in 1648。", "It fell.",
        "\u{1F600} \"Why?\" he asked.",
        "1. First, the library burned.", "2. Then nothing", "```swift", "let a = 1", "```", "| a | b |",
        "The end",
      ])
    #expect(
      sentences.map(\.isCode) == [false, false, false, false, false, false, true, true, true, false, false])
  }

  @Test func textWithoutTokens() throws {
    let sources = try EvidenceSources([document(cityText)])
    let tower = try sources.position(of: "tower")
    var stream = try EvidenceStream(sources, headWeights: [1])
    #expect(try stream.append("Prefilled text. ").isEmpty)
    let first = try stream.append("The tower.", weights: [[.init(position: tower, weight: 0.5)]])
    #expect(first.map(\.tokenCount) == [0])
    #expect(try stream.append("", weights: [[.init(position: tower, weight: 1)]]).isEmpty)
    #expect(try stream.append("\n", weights: [[.init(position: tower, weight: 1)]]).isEmpty)
    let last = try stream.finish()
    #expect(last.map(\.tokenCount) == [1])
    #expect(last.first?.readings == [.init(segment: 3, strength: 0.5)])
  }
}

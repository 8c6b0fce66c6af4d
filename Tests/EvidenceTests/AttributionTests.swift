// Traces whose evidence is known, because they were made so.

import Testing

@testable import Evidence

/// Sixteen heads: three copy, one sinks into a word, the others are noise.
private struct MadeTrace {
  var sources: EvidenceSources
  var random: Random

  init(_ documents: [SourceDocument], settings: EvidenceSettings = .init(), seed: UInt64 = 1) throws {
    sources = try EvidenceSources(documents, settings: settings)
    random = Random(state: seed)
  }

  /// - Parameter needle: what the copying heads look at while `word` is written.
  mutating func weights(needle: UInt32?, sink: UInt32) -> [[PositionWeight]] {
    let positions = sources.documents.flatMap { Array($0.positions) }
    return (0..<16).map { head in
      // Half of the weight is somewhere else: the template, the question, the answer.
      var list = (0..<20).map { _ in
        PositionWeight(
          position: UInt32(positions.randomElement(using: &random) ?? 0),
          weight: Float.random(in: 0...0.02, using: &random))
      }
      if head == 3 {
        list.append(PositionWeight(position: sink, weight: Float.random(in: 0.4...0.6, using: &random)))
      } else if head < 3, let needle {
        list.append(PositionWeight(position: needle, weight: 0.5))
      }
      return list
    }
  }
}

@Suite struct AttributionTests {
  @Test(arguments: EvidenceSettings.Pooling.allCases, 1...8)
  func aNeedleIsFoundAmongSinksAndNoise(_ pooling: EvidenceSettings.Pooling, _ seed: UInt64) throws {
    var settings = EvidenceSettings()
    settings.pooling = pooling
    var made = try MadeTrace([document(cityText)], settings: settings, seed: seed)
    let sink = try made.sources.position(of: "market")
    let copied = ["tower", "built", "1648"]
    let answer = try trace(
      "The tower there was built in the year 1648.",
      headWeights: Array(repeating: 1, count: 16)
    ) { word, _ in
      let needle = try copied.first { word.contains($0) }.map { try made.sources.position(of: $0) }
      return made.weights(needle: needle, sink: sink)
    }
    let evidence = try AnswerEvidence(made.sources, of: answer)
    #expect(evidence.sentences.count == 1)
    let citation = try #require(evidence.citations.first)
    #expect(evidence.citations.count == 1)
    #expect(citation.quote == "The tower was built in 1648.")
    #expect(made.sources.text(document: 0, bytes: citation.documentBytes) == citation.quote)
    #expect(citation.answerBytes == 0..<answer.text.utf8.count)
    #expect(citation.score > 0.1 && citation.score <= 1 && citation.strength >= settings.minimumStrength)
  }

  @Test(arguments: 1...8)
  func nothingIsCitedWhereNothingStandsOut(_ seed: UInt64) throws {
    var made = try MadeTrace([document(cityText)], seed: seed)
    let sink = try made.sources.position(of: "market")
    var answer = trace(
      "Yes, of course. I am glad to help you with that.", headWeights: Array(repeating: 1, count: 16)
    ) { _, _ in made.weights(needle: nil, sink: sink) }
    // Three tokens alone could not tell a sink from evidence.
    answer.background = (0..<8).map { _ in made.weights(needle: nil, sink: sink) }
    let evidence = try AnswerEvidence(made.sources, of: answer)
    #expect(evidence.sentences.count == 2)
    #expect(evidence.citations.isEmpty)
  }

  /// As where an answer follows from two: the question has read the first, the answer reads the second.
  @Test(arguments: [
    (asks: ["fire", "library", "1702"], answers: true, cited: 2), (["tower", "built", "1648"], true, 1),
    ([], true, 1),
    (["fire", "library", "1702"], false, 0),
  ])
  func theQuestionsPassageIsCitedToo(asks: [String], answers: Bool, cited: Int) throws {
    var made = try MadeTrace([document(cityText)])
    let sink = try made.sources.position(of: "market")
    let copied = answers ? try made.sources.position(of: "1648") : nil
    var answer = trace("It was built in 1648. It is old.", headWeights: Array(repeating: 1, count: 16)) {
      word, _ in
      made.weights(needle: word.contains("1648") || word.contains("built") ? copied : nil, sink: sink)
    }
    answer.background = (0..<8).map { _ in made.weights(needle: nil, sink: sink) }
    let read = try asks.map { try made.sources.position(of: $0) }
    answer.question = (0..<5).map { made.weights(needle: $0 < read.count ? read[$0] : nil, sink: sink) }
    let evidence = try AnswerEvidence(made.sources, of: answer)
    #expect(evidence.citations.count == cited, "\(evidence.citations.map(\.quote))")
    #expect(evidence.citations.contains { $0.quote.contains("1702") } == (cited == 2))
    #expect(evidence.citations.allSatisfy { $0.answerBytes == evidence.sentences[0].answerBytes })
  }

  @Test func sentencesHavePassagesOfTheirOwnInTheirDocuments() throws {
    let second = "Tea comes from the hills. It is picked in April.\nThe best is white."
    var made = try MadeTrace([document(cityText), document(second, name: "tea.md", at: 1000)])
    let sink = try made.sources.position(of: "market")
    let answer = try trace(
      "The library burned in 1702. Tea is picked in April. I hope this helps.",
      headWeights: Array(repeating: 1, count: 16)
    ) { word, _ in
      var needle: UInt32?
      if word.contains("library") || word.contains("1702") { needle = try made.sources.position(of: "1702") }
      if word.contains("picked") { needle = try made.sources.position(of: "picked", document: 1) }
      if word.contains("April") { needle = try made.sources.position(of: "April", document: 1) }
      return made.weights(needle: needle, sink: sink)
    }
    let evidence = try AnswerEvidence(made.sources, of: answer)
    #expect(
      evidence.sentences.map { $0.citations.map(\.quote) } == [
        ["A fire burned the library in 1702."], ["It is picked in April."], [],
      ])
    #expect(evidence.citations.map(\.document) == [0, 1])
    #expect(evidence.sentences.map(\.tokenCount) == [5, 5, 4])
    // Strengths of the whole answer are means over its tokens.
    let expected = evidence.sentences.reduce(into: [Int: Double]()) { sums, sentence in
      for reading in sentence.readings {
        sums[reading.segment, default: 0] += reading.strength * Double(sentence.tokenCount) / 14
      }
    }
    #expect(evidence.readings.count == expected.count)
    for reading in evidence.readings {
      #expect(isClose(reading.strength, expected[reading.segment] ?? -1))
    }
  }

  /// Two tokens, one head, a background prior of one: all of it by hand.
  @Test func strengthAndScoreByHand() throws {
    let sources = try EvidenceSources([document("One two. Three four. Five six. Seven eight.")])
    let (two, three) = (try sources.position(of: "two"), try sources.position(of: "Three"))
    let answer = AnswerTrace(
      text: "A b.", headWeights: [2],
      tokens: [
        .init(
          bytes: 0..<1, weights: [[.init(position: two, weight: 0.5), .init(position: three, weight: 0.4)]]),
        .init(bytes: 1..<4, weights: [[.init(position: two, weight: 0.125)]]),
      ])
    let sentence = try #require(try AnswerEvidence(sources, of: answer).sentences.first)
    // One other token and one of the prior: 0.5 - 0.125 / 2 and nothing, since 0.125 - 0.5 / 2 is below 0.
    #expect(sentence.readings.map(\.segment) == [0, 1])
    let strengths = [0.21875, 0.2]
    for (reading, strength) in zip(sentence.readings, strengths) {
      #expect(isClose(reading.strength, strength, within: 1e-7))
    }
    let total = strengths[0] + strengths[1]
    // Neighbors are joined; of four passages an even share is a quarter.
    #expect(sentence.citations.count == 1)
    #expect(sentence.citations[0].quote == "One two. Three four.")
    let first: Double = (strengths[0] / total - 0.25) / 0.75
    let second: Double = (strengths[1] / total - 0.25) / 0.75
    #expect(isClose(sentence.citations[0].score, first + second, within: 1e-6))
    #expect(isClose(sentence.citations[0].strength, total, within: 1e-6))
  }

  @Test func poolingDiffersInLongPassages() throws {
    let text = "Some words of it are read a little each. One word much."
    func weights(_ sources: EvidenceSources) throws -> [[PositionWeight]] {
      let first = sources.documents[0].firstPosition
      var list = (0..<9).map { PositionWeight(position: UInt32(first + $0), weight: 0.05) }
      list.append(PositionWeight(position: try sources.position(of: "much"), weight: 0.3))
      return [list]
    }
    for (pooling, best) in [(EvidenceSettings.Pooling.largest, 1), (.sum, 0)] {
      var settings = EvidenceSettings()
      settings.pooling = pooling
      let sources = try EvidenceSources([document(text)], settings: settings)
      let answer = AnswerTrace(
        text: "x", headWeights: [1], tokens: [.init(bytes: 0..<1, weights: try weights(sources))])
      let readings = try AnswerEvidence(sources, of: answer).readings
      #expect(readings.max { $0.strength < $1.strength }?.segment == best)
      let strength = pooling == .sum ? 0.45 : 0.05
      #expect(isClose(readings.first?.strength, strength, within: 1e-6))
    }
  }

  @Test func onlyNeighborsOfOneDocumentAreJoined() throws {
    var settings = EvidenceSettings()
    settings.passagesPerSentence = 4
    settings.minimumScore = 0.15
    let sources = try EvidenceSources(
      [
        document("Ab cd. Ef gh. Ij kl.", at: 10), document("Mn op. Qr st.", at: 50),
        document("Uv wx yz", at: 90),
      ],
      settings: settings)
    let weights = try [("Ab", 0), ("Ij", 0), ("Mn", 1), ("Qr", 1)].map {
      PositionWeight(position: try sources.position(of: $0.0, document: $0.1), weight: 0.25)
    }
    let answer = AnswerTrace(text: "x", headWeights: [1], tokens: [.init(bytes: 0..<1, weights: [weights])])
    let quotes = try AnswerEvidence(sources, of: answer).citations.map(\.quote)
    // A quarter each, where an even spread over six passages gives a sixth.
    #expect(quotes == [])
    // The joined pair has twice the score, the others follow in the order of the documents.
    settings.minimumScore = 0.02
    let lower = try EvidenceSources(sources.documents, settings: settings)
    #expect(
      try AnswerEvidence(lower, of: answer).citations.map(\.quote) == ["Mn op. Qr st.", "Ab cd.", "Ij kl."])
    settings.passagesPerSentence = 0
    let none = try EvidenceSources(sources.documents, settings: settings)
    #expect(try AnswerEvidence(none, of: answer).citations.isEmpty)
  }

  @Test func whatDoesNotCount() throws {
    let text = "First words here. Some stop . and\nmore."
    let sources = try EvidenceSources([document(text, at: 0)])
    // The first four positions of the context, tokens of punctuation, and positions of no document.
    #expect((0..<10).map { sources.segment(ofPosition: $0) } == [nil, nil, nil, nil, 1, nil, 1, 1, nil, nil])
    #expect(sources.segment(ofPosition: -1) == nil)
    var settings = EvidenceSettings()
    settings.countsPunctuation = true
    settings.ignoredPositions = 0
    let all = try EvidenceSources([document(text, at: 0)], settings: settings)
    #expect((0..<9).map { all.segment(ofPosition: $0) } == [0, 0, 0, 1, 1, 1, 1, 1, nil])
    // Weights of these positions, and those below the least, are nothing.
    let answer = AnswerTrace(
      text: "x", headWeights: [1],
      tokens: [
        .init(
          bytes: 0..<1,
          weights: [
            [
              .init(position: 0, weight: 0.9), .init(position: .max, weight: 0.9),
              .init(position: 4, weight: 0.004),
            ]
          ])
      ])
    #expect(try AnswerEvidence(sources, of: answer).readings.isEmpty)
  }

  @Test func stepsOfTheBackgroundAreTakenAway() throws {
    let sources = try EvidenceSources([document(cityText)])
    let sink = try sources.position(of: "market")
    var answer = AnswerTrace(
      text: "42", headWeights: [1],
      tokens: [.init(bytes: 0..<2, weights: [[.init(position: sink, weight: 0.5)]])])
    // A single token has no background of its own.
    #expect(try AnswerEvidence(sources, of: answer).citations.count == 1)
    answer.background = Array(repeating: [[.init(position: sink, weight: 0.5)]], count: 100)
    #expect(try AnswerEvidence(sources, of: answer).citations.isEmpty)
  }

  @Test func whatIsWrongIsNamed() throws {
    let sources = try EvidenceSources([document(cityText)])
    #expect(throws: EvidenceError.noOffsets(document: "a")) {
      try SourceDocument(name: "a", text: "x", firstPosition: 0, tokenOffsets: [])
    }
    for offsets in [[0, 5], [2, 1], [-1, 1]] {
      #expect(throws: EvidenceError.self) {
        try SourceDocument(name: "a", text: "abc", firstPosition: 0, tokenOffsets: offsets)
      }
    }
    for first in [-1, Int(UInt32.max), Int.max] {
      #expect(throws: EvidenceError.badPositions(document: "a", first: first, count: 1)) {
        try SourceDocument(name: "a", text: "abc", firstPosition: first, tokenOffsets: [0, 3])
      }
    }
    #expect(throws: EvidenceError.overlappingDocuments("b", "a")) {
      try EvidenceSources([document("x y z", name: "a", at: 12), document("x y z", name: "b", at: 10)])
    }
    for weights in [[], [0], [-1, 2], [.nan], [.infinity]] as [[Double]] {
      #expect(throws: EvidenceError.self) { try EvidenceStream(sources, headWeights: weights) }
    }
    var stream = try EvidenceStream(sources, headWeights: [1])
    #expect(throws: EvidenceError.wrongHeadCount(2, expected: 1)) {
      try stream.append("a", weights: [[], []])
    }
    #expect(throws: EvidenceError.badWeight(-1, position: 3)) {
      try stream.append("a", weights: [[.init(position: 3, weight: -1)]])
    }
    #expect(throws: EvidenceError.self) {
      try stream.append("a", weights: [[.init(position: 3, weight: .nan)]])
    }
    // What failed left nothing behind.
    #expect(stream.evidence.text.isEmpty)
    _ = try stream.finish()
    #expect(throws: EvidenceError.finished) { try stream.append("a", weights: [[]]) }
    #expect(throws: EvidenceError.finished) { try stream.finish() }
    for range in [2..<1 + 3, 0..<9] {
      let tokens = [AnswerTrace.Token(bytes: 1..<3, weights: [[]]), .init(bytes: range, weights: [[]])]
      #expect(throws: EvidenceError.badTokenRange(range, token: 1, answerBytes: 5)) {
        try AnswerEvidence(sources, of: AnswerTrace(text: "abcde", headWeights: [1], tokens: tokens))
      }
    }
  }

  @Test func emptyThings() throws {
    let nothing = try EvidenceSources([])
    let answer = AnswerTrace(
      text: "Yes.", headWeights: [1],
      tokens: [.init(bytes: 0..<4, weights: [[.init(position: 9, weight: 1)]])])
    #expect(try AnswerEvidence(nothing, of: answer).citations.isEmpty)
    let blank = try EvidenceSources([document("", at: 5), document(" \n ", at: 20)])
    #expect(blank.segments.isEmpty)
    #expect(try AnswerEvidence(blank, of: answer).sentences.count == 1)
    let empty = AnswerTrace(text: "", headWeights: [1], tokens: [])
    #expect(try AnswerEvidence(blank, of: empty) == AnswerEvidence(text: "", sentences: []))
  }
}

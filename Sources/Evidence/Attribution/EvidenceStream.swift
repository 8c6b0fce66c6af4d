// An answer that is being written: each sentence's citations as soon as the sentence is complete.

/// Takes an answer token by token and tells what its sentences came from.
///
///     var stream = try EvidenceStream(sources, headWeights: [1, 1, 0.5])
///     for token in tokens {
///       for sentence in try stream.append(token.text, weights: token.weights) { show(sentence.citations) }
///     }
///     for sentence in try stream.finish() { show(sentence.citations) }
///
/// A sentence is complete when what follows cannot change where it ends, which takes a word or a line end behind it.
/// The background that is taken away from a sentence's weights is that of the tokens up to its end. So the sentences
/// are the same however the answer was divided into pieces, and the same as those of ``AnswerEvidence/init(_:of:)``.
public struct EvidenceStream: Sendable {
  private let sources: EvidenceSources
  private let headWeights: [Double]
  private var bytes: [UInt8] = []
  private var scanner: SegmentScanner
  /// Tokens behind the last complete sentence.
  private var waiting: [CountedToken] = []
  private var background: Background
  /// What the question read most, until it is cited.
  private var asked: Citation?
  private var isFinished = false
  /// All sentences that are complete.
  public private(set) var sentences: [SentenceEvidence] = []

  /// A token with the weights that count.
  private struct CountedToken {
    var bytes: Range<Int>
    var weights: [[SegmentWeight]]
  }

  /// - Parameter headWeights: how much each head counts, from 0 on, relative to each other.
  /// - Throws: ``EvidenceError/badHeadWeights(_:)``
  public init(_ sources: EvidenceSources, headWeights: [Double]) throws(EvidenceError) {
    let sum = headWeights.reduce(0, +)
    guard headWeights.allSatisfy({ $0 >= 0 }), sum > 0, sum.isFinite else {
      throw .badHeadWeights(headWeights)
    }
    self.sources = sources
    self.headWeights = headWeights.map { $0 / sum }
    scanner = SegmentScanner(style: .prose, longest: sources.settings.longestSegment)
    background = Background(headCount: headWeights.count, settings: sources.settings)
  }

  /// Adds a step whose attention has nothing to do with the answer to the background.
  ///
  /// - Parameter weights: `[head][position weight]`.
  /// - Throws: ``EvidenceError`` for weights that are none, or another number of heads.
  public mutating func addBackground(weights: [[PositionWeight]]) throws(EvidenceError) {
    background.add(try counted(weights))
  }

  /// Takes note of what the question read: its passage is cited with the first sentence that cites any.
  ///
  /// - Parameter weights: `[token][head][position weight]`, of the tokens of the question.
  /// - Throws: ``EvidenceError`` for weights that are none, or another number of heads.
  public mutating func addQuestion(weights: [[[PositionWeight]]]) throws(EvidenceError) {
    var background = Background(headCount: headWeights.count, settings: sources.settings)
    var tokens: [[[SegmentWeight]]] = []
    for token in weights { tokens.append(try counted(token)) }
    for token in tokens { background.add(token) }
    let readings = background.readings(of: tokens, headWeights: headWeights)
    let best = CitationChoice(sources).citations(answerBytes: 0..<0, readings: readings).first
    asked = best.flatMap { $0.score >= sources.settings.minimumQuestionScore ? $0 : nil }
  }

  /// Adds a token of the answer.
  ///
  /// - Parameters:
  ///   - text: what it adds to the answer; a token that completes no character adds nothing and does not count.
  ///   - weights: `[head][position weight]` of the step that chose the token, no position twice.
  /// - Returns: the sentences that this token completes, none as a rule.
  /// - Throws: ``EvidenceError`` for weights that are none, another number of heads, and behind ``finish()``.
  public mutating func append(
    _ text: String, weights: [[PositionWeight]]
  ) throws(EvidenceError) -> [SentenceEvidence] {
    try append(Array(text.utf8)[...], weights: weights)
  }

  /// Adds text that no token counts for, as what a program puts in front of an answer.
  ///
  /// - Throws: ``EvidenceError/finished``
  public mutating func append(_ text: String) throws(EvidenceError) -> [SentenceEvidence] {
    try append(Array(text.utf8)[...], weights: nil)
  }

  /// Ends the answer.
  ///
  /// - Returns: the sentences that were not complete, one as a rule.
  /// - Throws: ``EvidenceError/finished`` when called again.
  public mutating func finish() throws(EvidenceError) -> [SentenceEvidence] {
    guard !isFinished else { throw .finished }
    isFinished = true
    return complete()
  }

  /// The answer as far as it was given, with the sentences that are complete.
  public var evidence: AnswerEvidence {
    AnswerEvidence(text: String(decoding: bytes, as: UTF8.self), sentences: sentences)
  }

  /// Adds bytes, which may end within a character.
  mutating func append(
    _ piece: ArraySlice<UInt8>, weights: [[PositionWeight]]?
  ) throws(EvidenceError) -> [SentenceEvidence] {
    guard !isFinished else { throw .finished }
    let start = bytes.count
    if let weights {
      let token = CountedToken(bytes: start..<start + piece.count, weights: try counted(weights))
      if !EvidenceSources.isBlank(piece) { waiting.append(token) }
    }
    bytes += piece
    return complete()
  }

  private mutating func complete() -> [SentenceEvidence] {
    let known = sentences.count
    var wasCode = scanner.fence != nil
    while let range = scanner.next(bytes, isFinal: isFinished) {
      let isCode = wasCode || scanner.fence != nil
      wasCode = scanner.fence != nil
      let count = waiting.prefix { $0.bytes.lowerBound < range.upperBound }.count
      let tokens = waiting.prefix(count).map(\.weights)
      waiting.removeFirst(count)
      for token in tokens { background.add(token) }
      let readings = background.readings(of: tokens, headWeights: headWeights)
      let citations = CitationChoice(sources).citations(answerBytes: range, readings: readings)
      sentences.append(
        SentenceEvidence(
          answerBytes: range, isCode: isCode, tokenCount: tokens.count, readings: readings,
          citations: withQuestion(citations, answerBytes: range)))
    }
    return Array(sentences[known...])
  }

  /// A sentence's citations with the question's, if that is still to be cited and none of these.
  private mutating func withQuestion(_ citations: [Citation], answerBytes: Range<Int>) -> [Citation] {
    guard var added = asked, !citations.isEmpty else { return citations }
    asked = nil
    let isThere = citations.contains {
      $0.document == added.document && $0.documentBytes.overlaps(added.documentBytes)
    }
    guard !isThere else { return citations }
    added.answerBytes = answerBytes
    return citations + [added]
  }

  /// The weights that count, with the passages that they fall into.
  private func counted(_ weights: [[PositionWeight]]) throws(EvidenceError) -> [[SegmentWeight]] {
    guard weights.count == headWeights.count else {
      throw .wrongHeadCount(weights.count, expected: headWeights.count)
    }
    var result: [[SegmentWeight]] = []
    result.reserveCapacity(weights.count)
    for head in weights {
      var list: [SegmentWeight] = []
      for entry in head {
        guard entry.weight >= 0, entry.weight.isFinite else {
          throw .badWeight(entry.weight, position: entry.position)
        }
        guard Double(entry.weight) >= sources.settings.smallestWeight else { continue }
        guard let segment = sources.segment(ofPosition: Int(entry.position)) else { continue }
        list.append(
          SegmentWeight(position: entry.position, segment: Int32(clamping: segment), weight: entry.weight))
      }
      result.append(list)
    }
    return result
  }
}

extension AnswerEvidence {
  /// What a whole answer came from.
  ///
  /// - Throws: ``EvidenceError`` for ranges of tokens that do not ascend within the answer, and weights that are none.
  public init(_ sources: EvidenceSources, of trace: AnswerTrace) throws(EvidenceError) {
    var stream = try EvidenceStream(sources, headWeights: trace.headWeights)
    for step in trace.background { try stream.addBackground(weights: step) }
    if !trace.question.isEmpty { try stream.addQuestion(weights: trace.question) }
    let bytes = Array(trace.text.utf8)
    var done = 0
    for (number, token) in trace.tokens.enumerated() {
      guard token.bytes.lowerBound >= done, token.bytes.upperBound <= bytes.count else {
        throw .badTokenRange(token.bytes, token: number, answerBytes: bytes.count)
      }
      if token.bytes.lowerBound > done {
        _ = try stream.append(bytes[done..<token.bytes.lowerBound], weights: nil)
      }
      _ = try stream.append(bytes[token.bytes], weights: token.weights)
      done = token.bytes.upperBound
    }
    if done < bytes.count { _ = try stream.append(bytes[done...], weights: nil) }
    _ = try stream.finish()
    self = stream.evidence
  }
}

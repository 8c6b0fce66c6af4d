// What sentences of an answer came from.

/// A passage that a sentence of an answer came from.
public struct Citation: Sendable, Equatable, Codable {
  /// The sentence: UTF-8 bytes of the answer.
  public var answerBytes: Range<Int>
  /// Index into ``EvidenceSources/documents``.
  public var document: Int
  /// The passage, or several that follow each other: UTF-8 bytes of the document's text.
  public var documentBytes: Range<Int>
  /// The passage as it stands in the document, line ends included.
  public var quote: String
  /// What the passage has of the attention to documents beyond an even spread, 0...1.
  public var score: Double
  /// The attention of all heads that the passage's best positions have, 0...1, on average over the sentence's tokens.
  public var strength: Double

  /// A citation.
  public init(
    answerBytes: Range<Int>, document: Int, documentBytes: Range<Int>, quote: String, score: Double,
    strength: Double
  ) {
    self.answerBytes = answerBytes
    self.document = document
    self.documentBytes = documentBytes
    self.quote = quote
    self.score = score
    self.strength = strength
  }
}

/// What one sentence of an answer read, and where it came from.
public struct SentenceEvidence: Sendable, Equatable, Codable {
  /// How much of a passage a sentence read.
  public struct Reading: Sendable, Equatable, Codable {
    /// Index into ``EvidenceSources/segments``.
    public var segment: Int
    /// As in ``Citation/strength``.
    public var strength: Double

    /// What was read of a passage.
    public init(segment: Int, strength: Double) {
      self.segment = segment
      self.strength = strength
    }
  }

  /// The sentence: UTF-8 bytes of the answer.
  public var answerBytes: Range<Int>
  /// Whether it is a line of code, or one of the fences around it.
  public var isCode: Bool
  /// Tokens that count: those of blanks and without text do not.
  public var tokenCount: Int
  /// The passages that anything was read of, in the order of the documents.
  public var readings: [Reading]
  /// Best first; empty where nothing stands out.
  public var citations: [Citation]

  /// What a sentence read.
  public init(
    answerBytes: Range<Int>, isCode: Bool = false, tokenCount: Int, readings: [Reading], citations: [Citation]
  ) {
    self.answerBytes = answerBytes
    self.isCode = isCode
    self.tokenCount = tokenCount
    self.readings = readings
    self.citations = citations
  }
}

/// An answer with what its sentences came from.
public struct AnswerEvidence: Sendable, Equatable, Codable {
  /// The answer.
  public var text: String
  /// Its sentences, or lines of code, in order.
  public var sentences: [SentenceEvidence]

  /// An answer with what its sentences came from.
  public init(text: String, sentences: [SentenceEvidence]) {
    self.text = text
    self.sentences = sentences
  }

  /// The citations of all sentences, in the order of the answer.
  public var citations: [Citation] { sentences.flatMap(\.citations) }

  /// What the whole answer read: strengths averaged over all of its tokens that count, in the order of the documents.
  public var readings: [SentenceEvidence.Reading] {
    let tokens = sentences.reduce(0) { $0 + $1.tokenCount }
    guard tokens > 0 else { return [] }
    var sums: [Int: Double] = [:]
    for sentence in sentences {
      for reading in sentence.readings {
        sums[reading.segment, default: 0] += reading.strength * Double(sentence.tokenCount)
      }
    }
    return sums.sorted { $0.key < $1.key }.map { .init(segment: $0.key, strength: $0.value / Double(tokens)) }
  }
}

// Citations for programs.

/// An answer's citations with offsets in every unit that clients count in; all ends are exclusive.
///
/// Names are those of Anthropic's `char_location` where it has one: turned into snake case, ``Span/startCharIndex`` is
/// `start_char_index` and counts Unicode scalars, as Python does.
public struct EvidenceRecord: Sendable, Equatable, Codable {
  /// A part of a text.
  public struct Span: Sendable, Equatable, Codable {
    /// UTF-8 bytes.
    public var startByte, endByte: Int
    /// UTF-16 units.
    public var startUtf16, endUtf16: Int
    /// Unicode scalars.
    public var startCharIndex, endCharIndex: Int

    /// The bytes of a text in all units.
    public init(_ bytes: Range<Int>, in offsets: TextOffsets) {
      let (start, end) = (offsets.place(ofByte: bytes.lowerBound), offsets.place(ofByte: bytes.upperBound))
      (startByte, endByte) = (start.byte, end.byte)
      (startUtf16, endUtf16) = (start.utf16, end.utf16)
      (startCharIndex, endCharIndex) = (start.scalar, end.scalar)
    }
  }

  /// A citation.
  public struct Entry: Sendable, Equatable, Codable {
    /// The number of the mark in the answer, from 1 on.
    public var number: Int
    /// The sentence of the answer.
    public var answer: Span
    /// Index of the document, from 0 on.
    public var documentIndex: Int
    /// Its name.
    public var documentTitle: String
    /// The place in words, such as "line 12"; nil where it is not known.
    public var place: String?
    /// The passage in the document.
    public var source: Span
    /// The passage's text.
    public var citedText: String
    /// As in ``Citation/score``.
    public var score: Double
    /// As in ``Citation/strength``.
    public var strength: Double

    /// A citation in all units; nil for a document that does not exist.
    ///
    /// - Parameter answer: offsets of the answer, or of as much of it as is there.
    public init?(
      _ citation: Citation, number: Int, answer: TextOffsets, sources: EvidenceSources,
      places: (any DocumentPlaces)? = nil
    ) {
      guard sources.documents.indices.contains(citation.document) else { return nil }
      self.number = number
      self.answer = Span(citation.answerBytes, in: answer)
      documentIndex = citation.document
      documentTitle = sources.documents[citation.document].name
      place = (places ?? LinePlaces(sources))
        .place(ofByte: citation.documentBytes.lowerBound, document: citation.document)
      source = Span(citation.documentBytes, in: sources.offsets[citation.document])
      citedText = citation.quote
      score = citation.score
      strength = citation.strength
    }
  }

  /// Names of the documents.
  public var documents: [String]
  /// In the order of the answer's sentences, best first within one.
  public var citations: [Entry]

  /// All citations of an answer.
  public init(_ evidence: AnswerEvidence, sources: EvidenceSources, places: (any DocumentPlaces)? = nil) {
    documents = sources.documents.map(\.name)
    let answer = TextOffsets(evidence.text)
    var numbers = CitationNumbers()
    citations = evidence.citations.compactMap { citation in
      Entry(citation, number: numbers.number(of: citation), answer: answer, sources: sources, places: places)
    }
  }
}

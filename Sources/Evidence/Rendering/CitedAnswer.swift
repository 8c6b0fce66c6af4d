// An answer with numbers behind its sentences, and what the numbers stand for.

/// Numbers passages in the order in which they are first cited, from 1 on; the same passage has the same number.
public struct CitationNumbers: Sendable {
  private var numbers: [EvidenceSources.Segment: Int] = [:]
  /// A citation of each number, first number first.
  public private(set) var cited: [Citation] = []

  /// No numbers yet.
  public init() {}

  /// The number of the passage that is cited.
  public mutating func number(of citation: Citation) -> Int {
    let passage = EvidenceSources.Segment(document: citation.document, bytes: citation.documentBytes)
    if let number = numbers[passage] { return number }
    cited.append(citation)
    numbers[passage] = cited.count
    return cited.count
  }
}

/// An answer as text, with marks such as `[1]` behind its sentences and a list of passages.
///
///     The bridge was opened in 1932. [1] Trains crossed it first. [2][3]
///
///     [1] history.txt, line 12: "It was opened to traffic in March 1932."
///     ...
public struct CitedAnswer: Sendable {
  /// The answer with its marks. Those of code between fences stand in a line behind the fence.
  public let text: String
  /// The passages, a line each; empty where nothing is cited.
  public let list: String

  /// - Parameters:
  ///   - places: how places are described; nil describes them by lines.
  ///   - longestQuote: quotes are cut behind so many characters.
  public init(
    _ evidence: AnswerEvidence, sources: EvidenceSources, places: (any DocumentPlaces)? = nil,
    longestQuote: Int = 240
  ) {
    let places = places ?? LinePlaces(sources)
    var numbers = CitationNumbers()
    let bytes = Array(evidence.text.utf8)
    var marked: [UInt8] = []
    var done = 0
    var waiting: [Int] = []
    for (index, sentence) in evidence.sentences.enumerated() {
      let end = sentence.answerBytes.upperBound
      guard end >= done, end <= bytes.count else { continue }
      marked += bytes[done..<end]
      done = end
      for citation in sentence.citations {
        let number = numbers.number(of: citation)
        if !waiting.contains(number) { waiting.append(number) }
      }
      let next = index + 1 < evidence.sentences.count ? evidence.sentences[index + 1] : nil
      guard !waiting.isEmpty, !(sentence.isCode && next?.isCode == true) else { continue }
      let marks = waiting.map { "[\($0)]" }.joined()
      marked += Array(((sentence.isCode ? "\n" : " ") + marks).utf8)
      waiting = []
    }
    marked += bytes[done...]
    text = String(decoding: marked, as: UTF8.self)
    list = numbers.cited.enumerated().map { index, citation in
      let quote = Self.shortened(citation.quote, to: longestQuote)
      return "[\(index + 1)] \(Self.title(of: citation, sources: sources, places: places)): \"\(quote)\""
    }.joined(separator: "\n")
  }

  /// The document's name, and the place where it is known.
  static func title(of citation: Citation, sources: EvidenceSources, places: any DocumentPlaces) -> String {
    let names = sources.documents.map(\.name)
    let name =
      names.indices.contains(citation.document) ? names[citation.document] : "document \(citation.document)"
    let place = places.place(ofByte: citation.documentBytes.lowerBound, document: citation.document)
    return place.map { "\(name), \($0)" } ?? name
  }

  /// A quote in one line and of few characters.
  static func shortened(_ quote: String, to count: Int) -> String {
    let line = quote.split { $0.isWhitespace }.joined(separator: " ")
    guard line.count > max(1, count) else { return line }
    return line.prefix(max(1, count) - 1) + "…"
  }
}

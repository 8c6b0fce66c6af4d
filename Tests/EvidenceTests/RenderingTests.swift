// Citations as text, as data and as a page.

import Foundation
#if canImport(FoundationXML)
  import FoundationXML
#endif
import Testing

@testable import Evidence

private struct Pages: DocumentPlaces {
  func place(ofByte offset: Int, document: Int) -> String? { document == 0 ? "page \(offset / 10 + 1)" : nil }
}

@Suite struct RenderingTests {
  /// Two documents with characters of one to four bytes.
  private static let texts = ["Zoë sagt: 塔は高い。😀 Go & see <b>it</b>. End.", "Plain \"text\" here. More."]

  private func sources() throws -> EvidenceSources {
    try EvidenceSources([
      document(Self.texts[0], name: "a<1>.txt"), document(Self.texts[1], name: "b.txt", at: 300),
    ])
  }

  private func evidence(_ sources: EvidenceSources) throws -> AnswerEvidence {
    let text = "Größe 😀 ist so. Nothing. And <i>more</i>."
    let (go, plain) = (try sources.position(of: "Go"), try sources.position(of: "\"text", document: 1))
    return try AnswerEvidence(
      sources,
      of: trace(text, headWeights: [1]) { word, _ in
        if word.contains("Gr") { return [[.init(position: go, weight: 0.9)]] }
        if word.contains("more") {
          return [[.init(position: plain, weight: 0.6), .init(position: go, weight: 0.6)]]
        }
        return [[]]
      })
  }

  @Test func offsetsCountEveryUnit() throws {
    var texts = Self.texts + ["", "a\nb\n", "\u{1F600}\n"]
    texts.append(String(repeating: "aé塔😀\n", count: 900))
    for text in texts {
      let offsets = TextOffsets(text)
      var (byte, utf16, scalar, line) = (0, 0, 0, 1)
      func expected() -> TextPlace { TextPlace(byte: byte, utf16: utf16, scalar: scalar, line: line) }
      for character in text.unicodeScalars {
        // Within the character, too, the place is its beginning.
        for inner in 0..<character.utf8.count { #expect(offsets.place(ofByte: byte + inner) == expected()) }
        byte += character.utf8.count
        utf16 += character.utf16.count
        scalar += 1
        if character == "\n" { line += 1 }
      }
      #expect(offsets.place(ofByte: byte) == expected())
      #expect(offsets.place(ofByte: .max) == expected())
      #expect(offsets.place(ofByte: -5) == TextPlace(byte: 0, utf16: 0, scalar: 0, line: 1))
    }
  }

  @Test func marksAndList() throws {
    let sources = try sources()
    let cited = CitedAnswer(try evidence(sources), sources: sources)
    #expect(cited.text == "Größe 😀 ist so. [1] Nothing. And <i>more</i>. [2][1]")
    #expect(
      cited.list == """
        [1] a<1>.txt, line 1: "😀 Go & see <b>it</b>."
        [2] b.txt, line 1: "Plain "text" here."
        """)
    let pages = CitedAnswer(try evidence(sources), sources: sources, places: Pages(), longestQuote: 8)
    #expect(pages.list == "[1] a<1>.txt, page 3: \"😀 Go & …\"\n[2] b.txt: \"Plain \"…\"")
  }

  @Test func marksOfCodeStandBehindTheFence() throws {
    let sources = try EvidenceSources([document(cityText)])
    let tower = try sources.position(of: "tower")
    let text = "See:\n```\nbuilt = 1648\nx = 1\n```\nDone."
    let answer = trace(text, headWeights: [1]) { word, _ in
      [word.contains("1648") ? [.init(position: tower, weight: 0.9)] : []]
    }
    let cited = CitedAnswer(try AnswerEvidence(sources, of: answer), sources: sources)
    #expect(cited.text == "See:\n```\nbuilt = 1648\nx = 1\n```\n[1]\nDone.")
    let silent = CitedAnswer(AnswerEvidence(text: "Hi.", sentences: []), sources: sources)
    #expect(silent.text == "Hi." && silent.list.isEmpty)
  }

  @Test func recordsCutTheTextsInEveryUnit() throws {
    let sources = try sources()
    let evidence = try evidence(sources)
    let record = EvidenceRecord(evidence, sources: sources, places: Pages())
    #expect(record.documents == ["a<1>.txt", "b.txt"])
    #expect(record.citations.map(\.number) == [1, 2, 1])
    #expect(record.citations.map(\.documentIndex) == [0, 1, 0])
    #expect(record.citations.map(\.place) == ["page 3", nil, "page 3"])
    for entry in record.citations {
      for (span, text) in [(entry.source, Self.texts[entry.documentIndex]), (entry.answer, evidence.text)] {
        let bytes = String(decoding: Array(text.utf8)[span.startByte..<span.endByte], as: UTF8.self)
        let units = Array(text.utf16)[span.startUtf16..<span.endUtf16]
        let scalars = Array(text.unicodeScalars)[span.startCharIndex..<span.endCharIndex]
        #expect(String(decoding: units, as: UTF16.self) == bytes)
        #expect(String(String.UnicodeScalarView(scalars)) == bytes)
        if span == entry.source { #expect(bytes == entry.citedText) }
      }
    }
    #expect(record.citations[0].source.startCharIndex == 15)
    #expect(record.citations[0].source.startUtf16 == 15)
    #expect(record.citations[0].source.endUtf16 == record.citations[0].source.endCharIndex + 1)
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    let json = String(decoding: try encoder.encode(record), as: UTF8.self)
    for key in ["start_char_index", "cited_text", "document_index", "document_title", "start_utf16"] {
      #expect(json.contains("\"\(key)\""))
    }
    #expect(try JSONDecoder().decode(EvidenceRecord.self, from: JSONEncoder().encode(record)) == record)
    let wrong = Citation(
      answerBytes: 0..<1, document: 9, documentBytes: 0..<1, quote: "", score: 0, strength: 0)
    #expect(EvidenceRecord.Entry(wrong, number: 1, answer: TextOffsets("a"), sources: sources) == nil)
  }

  /// The texts of a page's elements, as an XML parser reads them.
  private final class Page: NSObject, XMLParserDelegate {
    var text = ""
    var elements: [String: Int] = [:]
    var identifiers: [String] = []
    var targets: [String] = []
    private var open: [String] = []

    init(_ html: String) throws {
      super.init()
      let parser = XMLParser(data: Data(html.utf8))
      parser.delegate = self
      guard parser.parse() else { throw TestFailure(text: "\(parser.parserError.debugDescription)") }
    }

    func parser(
      _: XMLParser, didStartElement name: String, namespaceURI _: String?, qualifiedName _: String?,
      attributes: [String: String]
    ) {
      elements[name, default: 0] += 1
      open.append(name)
      if let id = attributes["id"] { identifiers.append(id) }
      if let target = attributes["href"] { targets.append(target) }
    }

    func parser(_: XMLParser, didEndElement _: String, namespaceURI _: String?, qualifiedName _: String?) {
      open.removeLast()
    }

    func parser(_: XMLParser, foundCharacters text: String) {
      if open.last != "sup", !open.contains("sup"), !open.contains("style") { self.text += text }
    }
  }

  @Test func thePageHoldsTheTextsAndNoMarkupOfTheirs() throws {
    let sources = try sources()
    let evidence = try evidence(sources)
    let html = ReadingMap(evidence, sources: sources, title: "A & <B>", question: "What's \"it\"?").html
    let page = try Page(html)
    for text in Self.texts { #expect(page.text.contains(text)) }
    #expect(page.text.contains("A & <B>") && page.text.contains("What's \"it\"?"))
    #expect(page.elements["b"] == nil && page.elements["script"] == nil && page.elements["link"] == nil)
    #expect(page.elements["input"] == evidence.sentences.count + 1)
    #expect(Set(page.identifiers).count == page.identifiers.count)
    // Links lead to places within the page, and nothing is fetched from elsewhere.
    for target in page.targets {
      #expect(target.first == "#" && page.identifiers.contains(String(target.dropFirst())))
    }
    #expect(!html.contains("http:") || html.components(separatedBy: "http").count == 2)
    #expect(!html.contains("url(") && !html.contains("@import") && !html.contains("src="))
    // Each passage that a sentence read has a rule that colors it.
    for (index, sentence) in evidence.sentences.enumerated() {
      for reading in sentence.readings where reading.strength > 0.01 {
        #expect(page.identifiers.contains("g\(reading.segment)"))
        let rules = html.split(separator: "\n").filter { $0.hasPrefix("body:has(#s\(index):checked)") }
        #expect(
          rules.contains { $0.contains("#g\(reading.segment))") || $0.contains("#g\(reading.segment),") })
      }
    }
  }

  @Test func charactersThatPagesMustNotHold() throws {
    let text = "Nul \0 bell \u{7} next \u{85} last \u{FFFF} end.\r\nForm\u{0C}feed."
    let sources = try EvidenceSources([document(text)])
    let page = try Page(
      ReadingMap(AnswerEvidence(text: "\0<", sentences: []), sources: sources, title: "t").html)
    #expect(page.text.contains("Nul \u{FFFD} bell \u{FFFD} next \u{FFFD} last \u{FFFD} end.\nForm\nfeed."))
  }

  @Test func longDocumentsAreShownAroundWhatWasRead() throws {
    let sentences = (0..<20_000).map { "Sentence number \($0) is here. " }
    let sources = try EvidenceSources([document(sentences.joined())])
    #expect(sources.segments.count == 20_000)
    let positions = try [5000, 5010, 15_000].map { try sources.position(of: " \($0) is") }
    let answer = AnswerTrace(
      text: "x", headWeights: [1],
      tokens: [.init(bytes: 0..<1, weights: [positions.map { .init(position: $0, weight: 0.3) }])])
    let html = ReadingMap(try AnswerEvidence(sources, of: answer), sources: sources, title: "Long").html
    let text = try Page(html).text
    for number in [4992, 5000, 5018, 14_992, 15_008] {
      #expect(text.contains("Sentence number \(number) is"))
    }
    for number in [0, 4991, 5019, 14_991, 15_009, 19_999] {
      #expect(!text.contains("Sentence number \(number) is"))
    }
    #expect(text.contains("4992 passages left out") && text.contains("9973 passages left out"))
    #expect(text.contains("4991 passages left out"))
    let none = ReadingMap(AnswerEvidence(text: "x", sentences: []), sources: sources, title: "Long").html
    #expect(try Page(none).text.contains("20000 passages left out"))
  }
}

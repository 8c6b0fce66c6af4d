// A page that shows documents with what an answer read of them.

/// A map of reading: the documents, darker where the answer read more, for the whole answer or a sentence of it.
///
/// One HTML page that needs no other file and no script: sentences are radio buttons, so keys choose them, too, and
/// style rules color what the chosen one read. Light and dark, for screens of every width.
public struct ReadingMap: Sendable {
  /// Documents of more bytes than this are shown around what was read, and the rest is counted. Browsers take long to
  /// lay out longer pages.
  public static let longestDocument = 400_000

  let evidence: AnswerEvidence
  let sources: EvidenceSources
  let places: any DocumentPlaces
  let title: String
  let question: String
  let heat: Heat

  /// - Parameters:
  ///   - title: heads the page.
  ///   - question: what was asked; nothing is shown for an empty one.
  ///   - places: how places are described; nil describes them by lines.
  public init(
    _ evidence: AnswerEvidence, sources: EvidenceSources, title: String, question: String = "",
    places: (any DocumentPlaces)? = nil
  ) {
    self.evidence = evidence
    self.sources = sources
    self.title = title
    self.question = question
    self.places = places ?? LinePlaces(sources)
    heat = Heat(evidence)
  }

  /// The page.
  public var html: String {
    var numbers = CitationNumbers()
    let answer = answerSection(&numbers)
    return """
      <!DOCTYPE html>
      <html lang="en" xmlns="http://www.w3.org/1999/xhtml">
      <head>
      <meta charset="utf-8"/>
      <meta name="viewport" content="width=device-width, initial-scale=1"/>
      <title>\(Self.escaped(title))</title>
      <style>
      \(Self.style)
      \(heat.rules)
      </style>
      </head>
      <body>
      <div class="answer">
      <h1>\(Self.escaped(title))</h1>
      \(question.isEmpty ? "" : "<p class=\"question\">\(Self.escaped(question))</p>\n")\(answer)
      \(sourceList(numbers))
      </div>
      <main>
      \(documentSections(numbers))
      </main>
      </body>
      </html>

      """
  }

  /// The answer, a radio button a sentence, with links to what is cited.
  private func answerSection(_ numbers: inout CitationNumbers) -> String {
    let bytes = Array(evidence.text.utf8)
    var body = ""
    var done = 0
    for (index, sentence) in evidence.sentences.enumerated() {
      let range = sentence.answerBytes
      guard range.lowerBound >= done, range.upperBound <= bytes.count else { continue }
      body += Self.escaped(String(decoding: bytes[done..<range.lowerBound], as: UTF8.self))
      let text = Self.escaped(String(decoding: bytes[range], as: UTF8.self))
      body +=
        "<label><input type=\"radio\" name=\"s\" id=\"s\(index)\" class=\"one\"/><span>\(text)</span></label>"
      for citation in sentence.citations {
        let number = numbers.number(of: citation)
        body += "<a class=\"n\" href=\"#c\(number)\" aria-label=\"source \(number)\">\(number)</a>"
      }
      done = range.upperBound
    }
    body += Self.escaped(String(decoding: bytes[done...], as: UTF8.self))
    return """
      <fieldset>
      <legend>Answer</legend>
      <label class="all"><input type="radio" name="s" id="all" checked="checked"/><span>Whole answer</span></label>
      <div class="text">\(body)</div>
      </fieldset>
      <p class="scale" aria-hidden="true">read less <i></i> more</p>
      """
  }

  private func sourceList(_ numbers: CitationNumbers) -> String {
    guard !numbers.cited.isEmpty else {
      return "<p class=\"note\">No passage stands out in what was read.</p>"
    }
    let items = numbers.cited.enumerated().map { index, citation in
      let title = CitedAnswer.title(of: citation, sources: sources, places: places)
      let quote = CitedAnswer.shortened(citation.quote, to: 160)
      return """
        <li><a href="#c\(index + 1)">\(Self.escaped(title))</a> <q>\(Self.escaped(quote))</q></li>
        """
    }
    return "<ol>\n\(items.joined(separator: "\n"))\n</ol>"
  }

  /// Text for a page: markup loses its meaning, and characters that pages must not hold are replaced.
  static func escaped(_ text: String) -> String {
    var result = ""
    result.unicodeScalars.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "\r": continue
      case "\u{0C}": result += "\n"
      case "\n", "\t": result.unicodeScalars.append(scalar)
      default:
        let isControl =
          scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || scalar.value & 0xFFFE == 0xFFFE
        result.unicodeScalars.append(isControl ? "\u{FFFD}" : scalar)
      }
    }
    return result
  }
}

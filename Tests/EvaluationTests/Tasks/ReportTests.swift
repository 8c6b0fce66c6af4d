// The report is one well-formed page that asks nobody for anything, and its numbers are those of the results.

import Evaluation
import Foundation
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite struct ReportTests {
  private func results() throws -> EvaluationResults {
    var results = EvaluationResults(header: try ResultSupport.header())
    for attention in ["retrieval", "a<b>&\\\"c'", "exact"] {
      for length in [4096, 2048] {
        results.fidelity.append(
          try ResultSupport.fidelity(
            length: length, attention: attention, meanKL: attention == "exact" ? 0 : 0.01))
        for question in 0..<4 {
          for task in ["niah_single_1", "cwe"] {
            results.answers.append(
              try ResultSupport.answer(
                task: task, length: length, attention: attention, question: question,
                depth: task == "cwe" ? nil : Double(question) / 4,
                score: attention == "retrieval" && question == 0 ? 0 : 1, answer: "</td><script>&"))
          }
        }
      }
    }
    results.fidelity.append(try ResultSupport.fidelity(attention: "host", meanKL: 0.002, hasHeads: false))
    return results
  }

  /// Counts elements and collects what could lead outside.
  private final class Reader: NSObject, XMLParserDelegate {
    var elements: [String: Int] = [:]
    var links: [String] = []
    var text = ""
    var titles: [String] = []

    func parser(
      _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
      attributes: [String: String]
    ) {
      elements[name, default: 0] += 1
      for (key, value) in attributes {
        if ["src", "href", "xlink:href", "data", "action", "srcset"].contains(key) { links.append(value) }
        if key == "title" { titles.append(value) }
      }
    }

    func parser(_ parser: XMLParser, foundCharacters string: String) { text += string }
  }

  private func read(_ html: String) throws -> Reader {
    let parser = XMLParser(data: Data(html.utf8))
    let reader = Reader()
    parser.delegate = reader
    let isWellFormed = parser.parse()
    try #require(isWellFormed, "\(String(describing: parser.parserError)), line \(parser.lineNumber)")
    return reader
  }

  @Test func isOneWellFormedPage() throws {
    let html = EvaluationReport(try results()).html
    let reader = try read(html)
    #expect(reader.links.isEmpty)
    for name in ["script", "link", "img", "iframe", "object"] { #expect(reader.elements[name] == nil) }
    #expect(!html.contains("url(") && !html.contains("@import"))
    // The only address is the name of the language.
    #expect(html.components(separatedBy: "://").count == 2)
    // Four panels for each length, two maps for each attention but exact, markers of the legend.
    #expect(reader.elements["svg"] == 8 + 6 + 4)
    #expect(reader.text.contains("a<b>&\"c'"))
    #expect(reader.text.contains("</td><script>&"))
    #expect(reader.text.contains("noise floor"))
  }

  @Test func emptyResultsAreAPageToo() throws {
    let reader = try read(EvaluationReport(EvaluationResults(header: try ResultSupport.header())).html)
    #expect(reader.text.contains("tiny.gguf"))
    #expect(reader.elements["table"] == nil && reader.elements["svg"] == nil)
  }

  @Test func summaryByHand() throws {
    let summary = EvaluationSummary(try results(), order: ["exact", "unknown", "retrieval"])
    #expect(summary.attentions == ["exact", "retrieval", "a<b>&\"c'", "host"])
    #expect(summary.lengths == [2048, 4096])
    let row = try #require(summary.rows.first { $0.attention == "retrieval" && $0.length == 4096 })
    #expect(row.questions == 8)
    #expect(row.tasks == ["niah_single_1": 0.75, "cwe": 0.75])
    #expect(row.accuracy == 0.75)
    #expect(row.meanKL == 0.01)
    #expect(row.perplexityDifference == 0.25)
    #expect(row.bytesPerToken == 2_097_152)
    #expect(abs((row.outputError ?? 0) - 0.0505) < 1e-12)
    #expect(row.recoveredMass == 0.7)
    let host = try #require(summary.rows.first { $0.attention == "host" })
    #expect(host.accuracy == nil && host.questions == 0)
    #expect(summary.table.contains("retrieval"))
    #expect(summary.table.split(separator: "\n").count { $0.hasPrefix("cwe") } == 2)
  }

  /// Every task counts alike: four wrong answers of one weigh as much as one right answer of the other.
  @Test func accuracyIsTheMeanOverTasks() throws {
    var results = EvaluationResults(header: try ResultSupport.header())
    for question in 0..<4 {
      results.answers.append(try ResultSupport.answer(task: "kv_retrieval", question: question, score: 0))
    }
    results.answers.append(try ResultSupport.answer(task: "vt", depth: nil, score: 1))
    #expect(EvaluationSummary(results).rows.map(\.accuracy) == [0.5])
  }

  @Test func heatMapsHaveTheirCells() throws {
    let reader = try read(EvaluationReport(try results()).html)
    // Each question stands alone in its cell: 4 depths, 2 lengths, 3 attentions.
    #expect(reader.titles.count { $0.hasPrefix("1 answers") } == 24)
    #expect(reader.titles.count { $0.hasPrefix("0 answers") } == 0)
  }

  /// Where first and last tokens are the whole context, nothing is chosen, and the report says so.
  @Test func shortContextsSayWhyMethodsCoincide() throws {
    var results = EvaluationResults(header: try ResultSupport.header())
    for (length, share) in [(512, 1.0), (4096, 0.2)] {
      for attention in ["exact", "retrieval", "streaming"] {
        var record = try ResultSupport.fidelity(length: length, attention: attention, meanKL: 0)
        record.keysReadWithStatic = share
        results.fidelity.append(record)
      }
    }
    let summary = EvaluationSummary(results)
    #expect(summary.coincidences.count == 1)
    let sentence = try #require(summary.coincidences.first)
    #expect(sentence.hasPrefix("At 512 tokens retrieval and streaming read all keys"))
    #expect(summary.table.hasPrefix(sentence))
  }

  private struct Box {
    var left, right, top, bottom: Double

    func holds(_ x: Double, _ y: Double) -> Bool { x > left && x < right && y > top && y < bottom }

    func isApart(from other: Box) -> Bool {
      right <= other.left || other.right <= left || bottom <= other.top || other.bottom <= top
    }
  }

  /// No text covers a marker, another text or the frame.
  @Test func namesOfMarkersHaveRoomOfTheirOwn() {
    var markers: [(x: Double, y: Double)] = []
    for number in 0..<12 { markers.append((Double(60 + number * 53 % 260), Double(40 + number * 37 % 170))) }
    let labels = PlotLabels(left: 46, right: 340, top: 26, bottom: 226, markers: markers)
    let texts = markers.indices.map { String(repeating: "n", count: 3 + $0) }
    var boxes: [Box] = []
    for (text, place) in zip(texts, labels.places(texts)) {
      guard let place else { continue }
      boxes.append(
        Box(left: place.x, right: place.x + Double(text.count) * 5, top: place.y - 7, bottom: place.y))
    }
    #expect(boxes.count >= 8)
    for (number, box) in boxes.enumerated() {
      #expect(box.left >= 46 && box.right <= 340 && box.top >= 26 && box.bottom <= 226)
      #expect(!markers.contains { box.holds($0.x, $0.y) })
      #expect(boxes[(number + 1)...].allSatisfy { box.isApart(from: $0) })
    }
  }

  /// Where all are at one place only as many names are written as fit around it.
  @Test func crowdedNamesAreLeftOut() {
    let markers = [(x: Double, y: Double)](repeating: (100, 100), count: 20)
    let labels = PlotLabels(left: 0, right: 200, top: 0, bottom: 200, markers: markers)
    let places = labels.places([String](repeating: "retrieval", count: 20))
    let written = places.count { $0 != nil }
    #expect(written >= 4 && written < 20)
  }

  private func verdict(_ differences: [Double], reference: String = "exact") throws -> EvaluationVerdict? {
    var results = EvaluationResults(header: try ResultSupport.header())
    for (sample, difference) in differences.enumerated() {
      results.answers.append(try ResultSupport.answer(attention: reference, sample: sample, score: 0.5))
      results.answers.append(
        try ResultSupport.answer(attention: "retrieval", sample: sample, score: 0.5 + difference))
    }
    return EvaluationSummary(results).verdicts.first
  }

  /// Twenty questions and more, and an interval that tells something.
  @Test func verdictsSayNoMoreThanTheAnswers() throws {
    #expect(try verdict([Double](repeating: 0, count: 30))?.finding == .same)
    #expect(try verdict([Double](repeating: 0, count: 19))?.finding == .tooFew)
    #expect(
      try verdict([Double](repeating: -0.5, count: 10) + [Double](repeating: 0, count: 20))?.finding == .worse
    )
    #expect(
      try verdict([Double](repeating: 0.5, count: 15) + [Double](repeating: 0, count: 15))?.finding == .better
    )
    // One lost and one won of twenty: anything may be true.
    let open = try #require(try verdict([-0.5, 0.5] + [Double](repeating: 0, count: 18), reference: "host"))
    #expect(open.finding == .open && open.reference == "host")
    #expect(
      open.sentence.contains("do not tell") && open.sentence.contains("0.500 against 0.500 on 20 questions"))
    #expect(open.sentence.contains("100.0 % of the bytes"))
    #expect(try verdict([])?.finding == nil)
    let report = EvaluationReport(try results())
    #expect(report.summary.verdicts.map(\.attention) == ["retrieval", "a<b>&\"c'"])
    #expect(try read(report.html).text.contains("Too few questions to judge retrieval by"))
    #expect(report.summary.table.hasPrefix(report.summary.verdicts[0].sentence))
  }

  @Test func passagesAreShownBesideAnswers() throws {
    var answer = try ResultSupport.answer(attention: "retrieval", score: 0)
    answer.passages = [ReadPassage(quote: "The <key> is 12.", depth: 0.25, score: 0.5)]
    var other = try ResultSupport.answer(attention: "retrieval", sample: 1)
    other.passages = []
    var results = EvaluationResults(header: try ResultSupport.header())
    results.answers = [other, answer]
    let text = try read(EvaluationReport(results).html).text
    #expect(text.contains("The <key> is 12.") && text.contains("at 25 %") && text.contains("none stands out"))
    results.answers = [try ResultSupport.answer()]
    #expect(try !read(EvaluationReport(results).html).text.contains("What answers were read from"))
    let decoded = try JSONDecoder().decode(AnswerRecord.self, from: JSONEncoder().encode(answer))
    #expect(decoded == answer)
  }
}

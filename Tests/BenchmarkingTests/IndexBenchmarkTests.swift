// The benchmark of indexes on random vectors. No times: those are the machine's affair.

import Benchmarking
import Foundation
import NumpyFile
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

private func settings(_ kinds: [String]) -> IndexBenchmark.Settings {
  var settings = IndexBenchmark.Settings()
  settings.kinds = kinds
  settings.sink = 8
  settings.window = 32
  settings.segment = 150
  settings.recallCount = 10
  settings.timedQueries = 3
  settings.evictedBytes = 0
  settings.sweep.k = [10]
  settings.sweep.tolerance = [0]
  return settings
}

@Suite struct IndexBenchmarkTests {
  private let capture: SyntheticCapture
  /// From the sink to the window of the first query.
  private let candidates = 400 + 1 - 32 - 8

  init() throws { capture = try SyntheticCapture() }

  private func report(_ settings: IndexBenchmark.Settings) throws -> IndexBenchmarkReport {
    let benchmark = try IndexBenchmark(
      input: IndexBenchmarkInput(directory: capture.path), settings: settings)
    try benchmark.run()
    return benchmark.report
  }

  @Test func readingEverythingHasNoErrorAndFindsAll() throws {
    let report = try report(settings(["exact", "clusters"]))
    #expect(report.points.map(\.index) == ["exact", "clusters"])
    for point in report.points {
      #expect(point.recall == 1)
      // f32 sums in another order; outputs are of size 0.1 to 1.
      #expect(point.meanError < 1e-5)
      #expect(point.meanError <= point.worstHeadError)
      #expect(point.p95Error < 1e-5)
      #expect(point.microsecondsPerQuery > 0)
    }
    let exact = try #require(report.points.first)
    #expect(exact.keysScored == 1)
    // Keys and values in f16, read once for the group.
    #expect(exact.bytesPerQuery == Double(candidates * 2 * 2 * 16) / 2)
    #expect(exact.indexBytes == 0)
    // An index that is to read everything looks at no centroid on the way.
    #expect(report.points[1].keysScored == 1)
    #expect(report.points[1].bytesPerQuery == exact.bytesPerQuery)
    #expect(report.points[1].indexBytes > 0)
  }

  @Test func headerTellsTheConditions() throws {
    let header = try report(settings(["exact"])).header
    #expect(header.heads == 2)
    #expect(header.headDimension == 16)
    #expect(header.groupSize == 2)
    #expect(header.candidates == candidates)
    #expect(header.queries == 8)
    #expect(header.timedQueries == 3)
    #expect(header.trainingQueries == 20)
    #expect(header.input == "none.gguf, noise.txt, 400 tokens, layers 3,5")
    #expect(!header.interrupted)
  }

  @Test func topKMatchesTheDefinition() throws {
    var settings = settings(["exact-top-k"])
    settings.sweep.k = [1, 10, 1000]
    let points = try report(settings).points
    #expect(points.map(\.parameters) == [["k": 1], ["k": 10], ["k": 1000]])
    for (point, k) in zip(points, [1, 10, candidates]) {
      #expect(abs(point.meanError - capture.topKError(k: k, sink: 8, window: 32)) < 1e-4)
      #expect(point.bytesPerQuery == Double(candidates * 2 * 16) / 2 + Double(k * 2 * 16))
    }
    // Two query heads read one row each, and rarely those of the other's ten.
    #expect(points[0].recall >= 0.1 && points[0].recall < 0.2)
    #expect(points[1].recall == 1)
    #expect(points[0].meanError > points[1].meanError)
  }

  @Test func recallOfASingleHeadIsExact() throws {
    let d = SyntheticCapture.dimension
    let queries = Array(capture.heads[0].queries.prefix(SyntheticCapture.decoded * d))
    try capture.write("single.npy", [SyntheticCapture.decoded, d], queries)
    let files = HeadFiles(
      keys: capture.file("layer3.head0.keys.npy"), values: capture.file("layer3.head0.values.npy"),
      queries: capture.file("single.npy"), queryPositions: capture.file("queryPositions.npy"))
    var settings = settings(["exact-top-k", "clusters"])
    settings.sweep.k = [4]
    let benchmark = try IndexBenchmark(input: IndexBenchmarkInput(files: files), settings: settings)
    try benchmark.run()
    #expect(benchmark.report.header.trainingQueries == 0)
    #expect(abs(benchmark.report.points[0].recall - 0.4) < 1e-12)
    #expect(benchmark.report.points[1].recall == 1)
  }

  /// A query whose own key is not among the rows sees all of them, as the last row's own query does.
  @Test func aQueryMayStandBehindTheLastKey() throws {
    let d = SyntheticCapture.dimension
    let rows = SyntheticCapture.context + SyntheticCapture.decoded
    try capture.write("one.npy", [1, d], Array(capture.heads[0].queries.prefix(d)))
    func report(position: Int) throws -> IndexBenchmarkReport {
      try capture.write("position.npy", [Int32(position)])
      let files = HeadFiles(
        keys: capture.file("layer3.head0.keys.npy"), values: capture.file("layer3.head0.values.npy"),
        queries: capture.file("one.npy"), queryPositions: capture.file("position.npy"))
      let benchmark = try IndexBenchmark(
        input: IndexBenchmarkInput(files: files), settings: settings(["exact", "exact-top-k"]))
      try benchmark.run()
      return benchmark.report
    }
    let (last, next) = (try report(position: rows - 1), try report(position: rows))
    #expect(next.header.candidates == rows - 32 - 8)
    #expect(next.header.candidates == last.header.candidates)
    #expect(next.points.map(\.meanError) == last.points.map(\.meanError))
    #expect(next.points[0].meanError < 1e-5)
    #expect(
      throws: CaptureError.invalid(
        path: capture.file("position.npy"), name: "a position", value: "\(rows + 1)",
        requirement: "that of one of the \(rows) tokens, or the next")
    ) { try report(position: rows + 1) }
  }

  @Test func rotationOfAllElementsIsTheDefault() throws {
    func files(_ keys: String) -> HeadFiles {
      HeadFiles(
        keys: capture.file(keys), values: capture.file("layer3.head0.values.npy"),
        queries: capture.file("layer3.head0.queries.npy"),
        queryPositions: capture.file("queryPositions.npy"),
        trainingQueries: capture.file("layer3.head0.trainingQueries.npy"),
        trainingPositions: capture.file("trainingPositions.npy"))
    }
    var settings = settings(["clusters"])
    settings.sweep.tolerance = [1e-2]
    let errors = try [0, SyntheticCapture.dimension, 8].map { dimensions in
      let rope = CaptureRope(layout: .half, base: 10_000, dimensions: dimensions)
      let benchmark = try IndexBenchmark(
        input: IndexBenchmarkInput(files: files("layer3.head0.keys.npy"), rope: rope), settings: settings)
      try benchmark.run()
      return benchmark.report.points[0].meanError
    }
    #expect(errors[0] == errors[1])
    #expect(errors[0] != errors[2])
    try capture.write("odd.npy", [3], [Float](repeating: 1, count: 60 * 3))
    let odd = HeadFiles(
      keys: capture.file("odd.npy"), values: capture.file("odd.npy"), queries: capture.file("oddQuery.npy"),
      queryPositions: capture.file("oddPosition.npy"))
    try capture.write("oddQuery.npy", [1, 3], [1, 1, 1])
    try capture.write("oddPosition.npy", [Int32(59)])
    let rope = CaptureRope(layout: .half, base: 10_000, dimensions: 0)
    let benchmark = try IndexBenchmark(input: IndexBenchmarkInput(files: odd, rope: rope), settings: settings)
    #expect(
      throws: IndexBenchmarkError.invalidSetting(
        name: "rope", value: "dimensions 3", requirement: "even, in 2...3")
    ) { try benchmark.run() }
  }

  @Test func reportsOfOtherRowsAreRefusedBeforeARun() throws {
    let other = try report(settings(["exact"]))
    let input = try IndexBenchmarkInput(directory: capture.path)
    try IndexBenchmark(input: input, settings: settings(["exact"])).expectMergeable(other)
    var wider = settings(["exact"])
    wider.window = 33
    #expect(throws: IndexBenchmarkError.cannotMerge(field: "window", ours: 33, theirs: 32)) {
      try IndexBenchmark(input: input, settings: wider).expectMergeable(other)
    }
    let half = try IndexBenchmarkInput(directory: capture.path, layers: [3])
    #expect(throws: IndexBenchmarkError.cannotMerge(field: "heads", ours: 1, theirs: 2)) {
      try IndexBenchmark(input: half, settings: settings(["exact"])).expectMergeable(other)
    }
  }

  @Test func layersAndHeadsCanBeChosen() throws {
    let input = try IndexBenchmarkInput(directory: capture.path, layers: [5], heads: [0])
    #expect(input.headCount == 1)
    #expect(throws: CaptureError.self) { try IndexBenchmarkInput(directory: capture.path, layers: [4]) }
    #expect(throws: CaptureError.self) { try IndexBenchmarkInput(directory: capture.path, heads: [1]) }
  }

  @Test func badSettingsAreRefused() throws {
    let input = try IndexBenchmarkInput(directory: capture.path)
    #expect(throws: IndexBenchmarkError.unknownKind("tree", known: IndexCatalog.names)) {
      try IndexBenchmark(input: input, settings: settings(["exact", "tree"]))
    }
    for change: (inout IndexBenchmark.Settings) -> Void in [
      { $0.recallCount = 0 }, { $0.sink = -1 }, { $0.window = 0 }, { $0.segment = 0 }, { $0.kinds = [] },
      { $0.timedQueries = 0 }, { $0.evictedBytes = -1 }, { $0.sweep.k = [0] },
      { $0.sweep.tolerance = [.nan] },
    ] {
      var settings = settings(["exact"])
      change(&settings)
      #expect(throws: IndexBenchmarkError.self) { try IndexBenchmark(input: input, settings: settings) }
    }
    var wide = settings(["exact"])
    wide.window = 393
    let benchmark = try IndexBenchmark(input: input, settings: wide)
    #expect(
      throws: IndexBenchmarkError.nothingToIndex(head: "layer 3, head 0", visible: 401, sink: 8, window: 393)
    ) { try benchmark.run() }
    #expect(benchmark.report.points.isEmpty)
    #expect(benchmark.report.header.interrupted)
  }
}

@Suite struct IndexBenchmarkReportTests {
  private let report: IndexBenchmarkReport

  init() throws {
    let capture = try SyntheticCapture()
    let benchmark = try IndexBenchmark(
      input: IndexBenchmarkInput(directory: capture.path), settings: settings(IndexCatalog.names))
    try benchmark.run()
    report = benchmark.report
  }

  @Test func jsonHasTheDocumentedNames() throws {
    let object = try JSONSerialization.jsonObject(with: JSONEncoder().encode(report))
    let document = try #require(object as? [String: Any])
    #expect(Set(document.keys) == ["header", "points"])
    let header = try #require(document["header"] as? [String: Any])
    #expect(
      Set(header.keys) == [
        "input", "heads", "headDimension", "groupSize", "candidates", "queries", "timedQueries",
        "trainingQueries", "k", "sink", "window", "segment", "threads", "simd", "evictedBytes", "interrupted",
      ])
    let points = try #require(document["points"] as? [[String: Any]])
    #expect(points.count == report.points.count)
    for point in points {
      #expect(
        Set(point.keys) == [
          "index", "parameters", "recall", "meanError", "p95Error", "worstHeadError", "keysScored",
          "bytesPerQuery", "microsecondsPerQuery", "buildSeconds", "indexBytes", "timeScope",
        ])
    }
  }

  @Test func otherReportsAreMergedWhenTheyFit() throws {
    var merged = report
    var other = report
    other.points = [report.points[0]]
    other.points[0].index = "faiss"
    try merged.merge(other)
    #expect(merged.points.map(\.index) == report.points.map(\.index) + ["faiss"])
    other.header.window = 64
    #expect(throws: IndexBenchmarkError.cannotMerge(field: "window", ours: 32, theirs: 64)) {
      try merged.merge(other)
    }
  }

  @Test func reportsAreReadBack() throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("ra-\(UUID().uuidString).json")
    defer { try? FileManager.default.removeItem(at: file) }
    try JSONEncoder().encode(report).write(to: file)
    #expect(try IndexBenchmarkReport(contentsOf: file.path) == report)
    try Data("{}".utf8).write(to: file)
    #expect(throws: IndexBenchmarkError.self) { try IndexBenchmarkReport(contentsOf: file.path) }
    #expect(throws: IndexBenchmarkError.self) { try IndexBenchmarkReport(contentsOf: "/nowhere/x.json") }
  }

  @Test func thePlotIsWellFormedAndHasEveryPointTwice() throws {
    var report = report
    report.points[0].index = "a<b & \"c\""
    report.points[1].microsecondsPerQuery = 0
    report.points[1].bytesPerQuery = .infinity
    report.header.input = "model \u{1}<x>"
    let reader = ElementCounter()
    let parser = XMLParser(data: Data(report.svg.utf8))
    parser.delegate = reader
    #expect(parser.parse(), "\(String(describing: parser.parserError))")
    #expect(reader.counts["svg"] == 1)
    // A marker with a title for each point in each panel.
    #expect(reader.counts["title"] == 2 * report.points.count)
    #expect(reader.texts.contains { $0.contains("a<b & \"c\"") })
    #expect(!report.svg.contains("nan") && !report.svg.contains("inf"))
  }

  @Test func aPlotOfNothingIsWellFormed() throws {
    var report = report
    report.points = []
    #expect(XMLParser(data: Data(report.svg.utf8)).parse())
  }
}

private final class ElementCounter: NSObject, XMLParserDelegate {
  var counts: [String: Int] = [:]
  var texts: [String] = []

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
    attributes: [String: String] = [:]
  ) {
    counts[name, default: 0] += 1
    texts.append("")
  }

  func parser(_ parser: XMLParser, foundCharacters string: String) {
    if !texts.isEmpty { texts[texts.count - 1] += string }
  }
}

import ArgumentParser
import Benchmarking
import Foundation
import RetrievalAttention

struct BenchIndexCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "index", abstract: "Recall, error, bytes and time of kinds of index on captured heads.",
    discussion: """
      Sink and window are attended to exactly, the rows between through each index. One thread. Before each timed \
      call the caches are emptied, since a decode step reads all weights between two visits to the same keys.

      Example: ra bench index --capture capture --index exact-top-k,clusters --k 100 --tolerance 1e-3,3e-3
      """)

  @OptionGroup(title: "Vectors") var vectors: IndexVectorOptions
  @OptionGroup(title: "Indexes") var indexes: IndexSweepOptions
  @OptionGroup var progress: ProgressOption

  @Option(help: ArgumentHelp("First rows, always attended to.", valueName: "rows"))
  var sink = IndexBenchmark.Settings().sink
  @Option(help: ArgumentHelp("Last rows, always attended to.", valueName: "rows"))
  var window = IndexBenchmark.Settings().window
  @Option(help: ArgumentHelp("Most rows inserted into an index at once.", valueName: "rows"))
  var segment = IndexBenchmark.Settings().segment
  @Option(
    help: ArgumentHelp("Insert so many rows last, all at once, and time it apart.", valueName: "rows"))
  var insert = 0
  @Option(
    help: ArgumentHelp(
      "Threads. Times of several would be those of each other's caches, so only 1 is possible.",
      valueName: "1"))
  var threads = 1
  @Option(help: ArgumentHelp("Recall is the share found of so many best rows.", valueName: "k"))
  var recallAt = IndexBenchmark.Settings().recallCount
  @Option(help: ArgumentHelp("Queries of each head that are timed.", valueName: "queries"))
  var timedQueries = IndexBenchmark.Settings().timedQueries
  @Option(
    help: ArgumentHelp(
      "Memory walked through before each timed call. (default: a quarter more than the largest cache)",
      valueName: "MiB"))
  var evict: Int?
  @Option(
    help: ArgumentHelp("Add the results in this JSON file, of the same vectors.", valueName: "file"),
    completion: .file())
  var merge: String?
  @Option(help: ArgumentHelp("Write a plot here.", valueName: "file.svg"), completion: .file())
  var plot: String?
  @Flag(help: "Write JSON.")
  var json = false

  func validate() throws {
    if threads != 1 {
      throw ValidationError("--threads is \(threads), but indexes are measured on 1 thread.")
    }
    if insert < 0 { throw ValidationError("--insert is \(insert), but must be zero or positive.") }
    if let evict, !(0...65536).contains(evict) {
      throw ValidationError("--evict is \(evict), but must be in 0...65536.")
    }
    try vectors.check()
  }

  func run() async throws {
    let command = self
    try await withInterruption { try command.measure() }
  }

  private func measure() throws {
    let console = progress.console
    var settings = indexes.settings
    settings.sink = sink
    settings.window = window
    settings.segment = segment
    settings.inserted = insert
    settings.recallCount = recallAt
    settings.timedQueries = timedQueries
    settings.evictedBytes = evict.map { $0 << 20 }
    let others = try merge.map { try IndexBenchmarkReport(contentsOf: $0) }
    let benchmark = try IndexBenchmark(input: vectors.input(), settings: settings)
    // Before minutes of work.
    if let others { try benchmark.expectMergeable(others) }
    let interrupted = try console.isInterrupted {
      try benchmark.run { progress in
        guard case .measured(let head, let index, let done, let total) = progress else { return }
        console.progress("\(head), \(index)", done: done, total: total, unit: "settings")
      }
    }
    var report = benchmark.report
    if let others, !interrupted { try report.merge(others) }
    if json { try console.json(report) } else { console.output(Self.table(report)) }
    if let plot { try write(report.svg, to: plot) }
    if interrupted { throw ExitCode.interrupted }
  }

  private func write(_ text: String, to path: String) throws {
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    } catch {
      throw ValidationError("cannot write \(path): \(error.localizedDescription)")
    }
  }

  static func table(_ report: IndexBenchmarkReport) -> String {
    let header = report.header
    let parameterWidth = max(10, report.points.map(\.parameterText.count).max() ?? 0)
    let inserts = report.points.contains { $0.insertSeconds != nil }
    let nameWidth = max(5, report.points.map(\.index.count).max() ?? 0)
    func row(_ columns: [String]) -> String {
      let widths = [-nameWidth, -parameterWidth, 7, 9, 9, 11, 7, 12, 10, 8, 10, 10]
      return aligned(zip(columns, widths).map { ($0, $1) })
    }
    var lines = [
      header.input,
      """
      \(header.heads) KV heads, \(header.groupSize) query heads each, dimension \(header.headDimension), \
      \(header.candidates) indexed rows, \(header.queries) queries, \(header.trainingQueries) training queries
      """,
      """
      sink \(header.sink), window \(header.window), segments of \(header.segment), \(header.simd), \
      \(header.threads) thread\(header.interrupted ? ", interrupted" : "")
      """, "",
      row(
        [
          "index", "parameters", "recall", "error", "p95", "worst head", "scored", "bytes/query", "us/query",
          "build s", "index",
        ] + (inserts ? ["insert ms"] : [])),
    ]
    for point in report.points {
      lines.append(
        row(
          [
            point.index, point.parameterText, String(format: "%.3f", point.recall),
            String(format: "%.4f", point.meanError), String(format: "%.4f", point.p95Error),
            String(format: "%.4f", point.worstHeadError), String(format: "%.1f %%", point.keysScored * 100),
            formatBytes(Int(point.bytesPerQuery)),
            String(format: "%.1f", point.microsecondsPerQuery) + (point.timeScope == .search ? "*" : " "),
            String(format: "%.2f", point.buildSeconds), formatBytes(Int(point.indexBytes)),
          ] + (inserts ? [point.insertSeconds.map { String(format: "%.1f", $0 * 1000) } ?? "-"] : [])))
    }
    lines += [
      "",
      "recall: of the \(header.k) best indexed rows of a query head, those read exactly; worst head: its mean error",
      "scored: keys scored for a group of query heads; build and index: for a KV head, keys and values not counted",
      """
      us/query: median for a query head, sink and window not counted, after walking through \
      \(formatBytes(header.evictedBytes)); \(header.timedQueries) queries of each head
      """,
    ]
    if report.points.contains(where: { $0.timeScope == .search }) {
      lines.append("*: the search alone, without attention to what it found")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

import ArgumentParser
import Benchmarking
import Evaluation
import Foundation
import Generation
import LlamaHost
import Platform
import RetrievalAttention

struct BenchSpeedCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "speed", abstract: "Decode and prefill at many depths, as a report with a plot.",
    discussion: """
      Measures decode steps and prompts with retrieval, exact attention and the host in one run. Contexts deeper than \
      what is read are made of copies of its keys and values: times are real, answers are not. DIR gets speed.md, \
      speed.json and speed.svg, written anew after each depth.

      Example: ra bench speed --model model.gguf --text book.txt --report speed
      """)

  @OptionGroup var modelOptions: ModelOptions
  @OptionGroup var options: BenchOptions
  @OptionGroup(title: "Retrieval") var retrieval: RetrievalOptions
  @OptionGroup var store: StoreOptions
  @OptionGroup var limit: ContextLimitOptions
  @OptionGroup var progress: ProgressOption

  @Option(
    help: ArgumentHelp("Where the report goes; made when it is missing.", valueName: "folder"),
    completion: .directory)
  var report: String

  @Option(help: ArgumentHelp("Tokens in the context of decode steps.", valueName: "tokens,..."))
  var depth = CommaSeparated([0, 4096, 8192, 32768, 131072])

  @Option(
    help: ArgumentHelp("Tokens of the context that are read; deeper ones are copies.", valueName: "tokens"))
  var period = 4096

  @Option(help: ArgumentHelp("Tokens of the prompts that are timed; none with 0.", valueName: "tokens,..."))
  var prefill = CommaSeparated([512, 4096, 8192])

  @Option(help: ArgumentHelp("Decode steps at each depth.", valueName: "tokens"))
  var tokens = 32

  @Option(
    help: ArgumentHelp(
      "Turns in which they are decoded, and in which prompts of up to 1024 tokens are read.",
      valueName: "turns"))
  var rounds = 4

  func validate() throws {
    for depth in depth.elements where !(0...TokenCounts.maximum).contains(depth) {
      throw ValidationError("--depth has \(depth), but must be in 0...\(TokenCounts.maximum).")
    }
    for length in prefill.elements where !(0...TokenCounts.maximum).contains(length) {
      throw ValidationError("--prefill has \(length), but must be in 0...\(TokenCounts.maximum).")
    }
    guard (1...DecodeBenchmark.maximumTokens).contains(tokens) else {
      throw ValidationError("--tokens is \(tokens), but must be in 1...\(DecodeBenchmark.maximumTokens).")
    }
    guard (1...TokenCounts.maximum).contains(period) else {
      throw ValidationError("--period is \(period), but must be in 1...\(TokenCounts.maximum).")
    }
    if rounds <= 0 { throw ValidationError("--rounds is \(rounds), but must be positive.") }
  }

  func run() async throws {
    let command = self
    try await withInterruption { try command.measure() }
  }

  private func measure() throws {
    let console = progress.console
    let folder = URL(fileURLWithPath: report, isDirectory: true)
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    } catch {
      throw ValidationError("cannot make \(report): \(failureReason(error))")
    }
    // Copies go beyond what the model was trained for; what is read does not.
    let longest = max(prefill.elements.max() ?? 0, min(period, depth.elements.max() ?? 0))
    let (model, pool) = try modelOptions.load(
      console, for: .tokens(max(longest, depth.elements.max() ?? 0) + tokens))
    try limit.check(tokens: longest, model: model, console)
    let attentions = try console.possible(
      [.host, .exact, .retrieval(try retrieval.settings())], of: model, pool,
      isForced: retrieval.firstGiven != nil)
    var result = SpeedReport(
      model: model, threads: pool.threadCount, text: options.textName, format: store.format)
    func save() throws { try write(result, to: folder) }
    result.interrupted = try console.isInterrupted {
      try measureDecode(attentions, model: model, pool: pool, console: console) {
        result.decode += $0
        try save()
      }
      try measurePrefill(attentions, model: model, pool: pool, console: console) {
        result.prefill += $0
        try save()
      }
    }
    try save()
    if options.json { try console.json(result) } else { console.output(result.markdown) }
    if result.interrupted { throw ExitCode.interrupted }
  }

  private func measureDecode(
    _ attentions: [EvaluatedAttention], model: LlamaModel, pool: ThreadPool, console: Console,
    onDepth: ([DecodeResult]) throws -> Void
  ) throws {
    var settings = DecodeBenchmark.Settings()
    settings.depths = depth.elements
    settings.tokens = tokens
    settings.rounds = rounds
    settings.isSynthetic = true
    settings.syntheticPeriod = period
    settings.attentions = attentions
    settings.format = store.format
    let input = try options.tokens(count: DecodeBenchmark.requiredTokens(settings), model: model)
    let benchmark = try DecodeBenchmark(model: model, pool: pool, tokens: input, settings: settings)
    var failure: (any Error)?
    try benchmark.run(onPhase: { console.progress($0) }) { results in
      do { try onDepth(results) } catch { failure = failure ?? error }
    }
    if let failure { throw failure }
  }

  private func measurePrefill(
    _ attentions: [EvaluatedAttention], model: LlamaModel, pool: ThreadPool, console: Console,
    onLength: ([PrefillResult]) throws -> Void
  ) throws {
    let lengths = prefill.elements.filter { $0 > 0 }
    guard let longest = lengths.max() else { return }
    var settings = PrefillBenchmark.Settings()
    settings.lengths = lengths
    settings.attentions = attentions
    settings.format = store.format
    settings.rounds = rounds
    settings.longestRepeated = 1024
    let input = try options.tokens(count: longest, model: model)
    let benchmark = try PrefillBenchmark(model: model, pool: pool, tokens: input, settings: settings)
    var failure: (any Error)?
    try benchmark.run(onPhase: { console.progress($0) }) { results in
      do { try onLength(results) } catch { failure = failure ?? error }
    }
    if let failure { throw failure }
  }

  private func write(_ result: SpeedReport, to folder: URL) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    let files = [
      ("speed.json", try encoder.encode(result)), ("speed.md", Data(result.markdown.utf8)),
      ("speed.svg", Data(result.svg.utf8)),
    ]
    for (name, data) in files {
      let file = folder.appendingPathComponent(name)
      do {
        try data.write(to: file, options: .atomic)
      } catch {
        throw ValidationError("cannot write \(file.path): \(failureReason(error))")
      }
    }
  }
}

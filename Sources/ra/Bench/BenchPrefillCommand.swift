import ArgumentParser
import Benchmarking
import Evaluation
import Foundation
import Generation
import LlamaHost

struct BenchPrefillCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prefill", abstract: "Speed of reading prompts of several lengths.",
    discussion: """
      Each prompt is read in a fresh context. The host reads it without and with flash attention; the faster of the \
      two is called the host's. Ours includes building the index, and reads once with chosen keys and once with all.

      Example: ra bench prefill --model model.gguf --depth 2048,8192 --text book.txt
      """)

  @OptionGroup var modelOptions: ModelOptions
  @OptionGroup var options: BenchOptions
  @OptionGroup(title: "Retrieval") var retrieval: RetrievalOptions
  @OptionGroup var store: StoreOptions
  @OptionGroup var limit: ContextLimitOptions
  @OptionGroup var progress: ProgressOption

  @Option(help: ArgumentHelp("Tokens of the prompts.", valueName: "tokens,..."))
  var depth = CommaSeparated([512, 2048, 8192])

  @Option(
    help: ArgumentHelp(
      "What to measure: host, or policies as ra attention list shows them.", valueName: "name,..."),
    completion: .attentions,
    transform: AttentionChoices.init(parsing:))
  var attention: AttentionChoices?

  @Option(help: ArgumentHelp("How often each prompt is read by each; the median counts.", valueName: "times"))
  var rounds = 1

  func validate() throws {
    for depth in depth.elements where !(1...TokenCounts.maximum).contains(depth) {
      throw ValidationError("--depth has \(depth), but must be in 1...\(TokenCounts.maximum).")
    }
    if rounds <= 0 { throw ValidationError("--rounds is \(rounds), but must be positive.") }
  }

  func run() async throws {
    let command = self
    try await withInterruption { try command.measure() }
  }

  private func measure() throws {
    let console = progress.console
    var settings = PrefillBenchmark.Settings()
    settings.lengths = depth.elements
    settings.rounds = rounds
    settings.attentions = try retrieval.evaluated(attention?.elements ?? [.retrieval, .host])
    if attention == nil { settings.attentions.insert(try allKeys(), at: 1) }
    settings.format = store.format
    let longest = depth.elements.max() ?? 0
    let (model, pool) = try modelOptions.load(console, for: .tokens(longest))
    try limit.check(tokens: longest, model: model, console)
    settings.attentions = try console.possible(
      settings.attentions, of: model, pool, isForced: attention != nil || retrieval.firstGiven != nil)
    let input = try options.tokens(count: longest, model: model)
    let benchmark = try PrefillBenchmark(model: model, pool: pool, tokens: input, settings: settings)
    let interrupted = try console.isInterrupted {
      try benchmark.run(onPhase: { console.progress($0) })
    }
    let report = BenchReport(
      model: model, pool: pool, text: options.textName, format: store.format, interrupted: interrupted,
      results: benchmark.results)
    if options.json { try console.json(report) } else { console.output(table(report)) }
    if interrupted { throw ExitCode.interrupted }
  }

  /// Retrieval whose prompts are read exactly.
  private func allKeys() throws -> EvaluatedAttention {
    var settings = try retrieval.settings()
    settings.prefillTolerance = 0
    return EvaluatedAttention(name: "all keys", policy: .retrieval(settings))
  }

  private func table(_ report: BenchReport<PrefillResult>) -> String {
    var lines = [
      report.heading,
      " tokens  attention    tokens/s   seconds  (min-max)        x host   index    keys  configuration",
    ]
    for result in report.results {
      let host = report.results.first { $0.policy == "host" && $0.length == result.length }
      let ratio = host.map { String(format: "%.2f", $0.seconds / result.seconds) } ?? "-"
      lines.append(
        aligned([
          ("\(result.length)", 7), (result.policy, -10), (String(format: "%.1f", result.tokensPerSecond), 9),
          (String(format: "%.2f", result.seconds), 9),
          (String(format: "(%.2f-%.2f)", result.spread.minimum, result.spread.maximum), -15), (ratio, 7),
          (result.indexShare.map { String(format: "%.1f %%", $0 * 100) } ?? "-", 7),
          (result.keysRead.map { String(format: "%.1f %%", $0 * 100) } ?? "-", 8),
          (result.configuration ?? "", -9),
        ]))
    }
    lines.append("\nx host: times faster than the host's faster configuration; index: its share of the time")
    lines.append("keys: share of the keys that were read for a token, of those that exact attention reads")
    return lines.joined(separator: "\n") + "\n"
  }
}

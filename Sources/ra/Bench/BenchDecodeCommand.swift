import ArgumentParser
import Benchmarking
import Evaluation
import Foundation
import Generation
import LlamaHost
import RetrievalAttention

struct BenchDecodeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decode", abstract: "Time of a decode step at several depths.",
    discussion: """
      Every attention decodes the same tokens after the same context, in turns of a few tokens, so that whatever \
      else the machine does hits all alike. The host runs as llama.cpp is fastest at depth: without flash attention, \
      with an f16 cache.

      Example: ra bench decode --model model.gguf --depth 0,8192 --text book.txt
      """)

  @OptionGroup var modelOptions: ModelOptions
  @OptionGroup var options: BenchOptions
  @OptionGroup(title: "Retrieval") var retrieval: RetrievalOptions
  @OptionGroup var store: StoreOptions
  @OptionGroup var limit: ContextLimitOptions
  @OptionGroup var progress: ProgressOption

  @Option(
    help: ArgumentHelp(
      """
      Tokens in the context; 0 is a context of one token. (default: 0,2048,8192, or as many as the model was \
      trained for)
      """, valueName: "tokens,..."))
  var depth: CommaSeparated<Int>?

  @Option(
    help: ArgumentHelp(
      "What to measure: host, or NAME[:key=value,...] of the policies that ra attention list shows.",
      discussion: "Each policy reads the context for itself. (default: retrieval,exact,host)",
      valueName: "name,..."),
    completion: .attentions,
    transform: AttentionChoices.init(parsing:))
  var attention: AttentionChoices?

  @Option(help: ArgumentHelp("Decode steps at each depth.", valueName: "tokens"))
  var tokens = 96

  @Option(help: ArgumentHelp("Turns in which they are decoded.", valueName: "turns"))
  var rounds = 4

  @Flag(
    help: ArgumentHelp(
      "Fill deep contexts with copies of the first tokens' keys and values, in seconds.",
      discussion: "Times are real, answers are not."))
  var synthetic = false

  @Option(help: ArgumentHelp("Tokens that --synthetic reads and then copies.", valueName: "tokens"))
  var syntheticPeriod = 4096

  func validate() throws {
    for depth in depth?.elements ?? [] where !(0...TokenCounts.maximum).contains(depth) {
      throw ValidationError("--depth has \(depth), but must be in 0...\(TokenCounts.maximum).")
    }
    guard (1...DecodeBenchmark.maximumTokens).contains(tokens) else {
      throw ValidationError("--tokens is \(tokens), but must be in 1...\(DecodeBenchmark.maximumTokens).")
    }
    guard (1...TokenCounts.maximum).contains(syntheticPeriod) else {
      throw ValidationError(
        "--synthetic-period is \(syntheticPeriod), but must be in 1...\(TokenCounts.maximum).")
    }
    if rounds <= 0 { throw ValidationError("--rounds is \(rounds), but must be positive.") }
    try retrieval.check(choices)
  }

  private var choices: [AttentionChoice] { attention?.elements ?? [.retrieval, .policy(.exact), .host] }

  func run() async throws {
    let command = self
    try await withInterruption { try command.measure() }
  }

  private func settings(trainedContext: Int) throws -> DecodeBenchmark.Settings {
    var settings = DecodeBenchmark.Settings()
    if let depth {
      settings.depths = depth.elements
    } else if trainedContext > tokens {
      settings.depths = settings.depths.map { min($0, trainedContext - tokens) }
    }
    settings.tokens = tokens
    settings.rounds = rounds
    settings.attentions = try retrieval.evaluated(choices)
    settings.format = store.format
    settings.isSynthetic = synthetic
    settings.syntheticPeriod = syntheticPeriod
    return settings
  }

  private func measure() throws {
    let console = progress.console
    let (model, pool) = try modelOptions.load(
      console, for: depth.map { .tokens(($0.elements.max() ?? 0) + tokens) } ?? .trained)
    var settings = try settings(trainedContext: model.contextLimit)
    settings.attentions = try console.possible(
      settings.attentions, of: model, pool, isForced: attention != nil || retrieval.firstGiven != nil)
    if !synthetic { try limit.check(tokens: (settings.depths.max() ?? 0) + tokens, model: model, console) }
    let input = try options.tokens(count: DecodeBenchmark.requiredTokens(settings), model: model)
    let benchmark = try DecodeBenchmark(model: model, pool: pool, tokens: input, settings: settings)
    let interrupted = try console.isInterrupted {
      try benchmark.run(onPhase: { console.progress($0) })
    }
    var report = BenchReport(
      model: model, pool: pool, text: options.textName, format: store.format, interrupted: interrupted,
      results: benchmark.results)
    if !interrupted { report.states = try benchmark.stateCosts() }
    if options.json { try console.json(report) } else { console.output(table(report)) }
    // The number by which shells know a program that Ctrl-C ended.
    if interrupted { throw ExitCode.interrupted }
  }

  private func table(_ report: BenchReport<DecodeResult>) -> String {
    // As wide as the longest name with settings.
    let width = max(9, report.results.map(\.policy.count).max() ?? 0)
    let padding = String(repeating: " ", count: width - 9)
    var lines = [
      report.heading,
      "  depth  attention\(padding)  ms/token      (quartiles)  tokens/s   x host  keys read   bytes/token",
    ]
    for result in report.results {
      let host = report.results.first { $0.policy == "host" && $0.depth == result.depth }
      let ratio =
        host.map { String(format: "%.2f", $0.millisecondsPerToken / result.millisecondsPerToken) } ?? "-"
      let quartiles = String(format: "(%.2f-%.2f)", result.spread.lowerQuartile, result.spread.upperQuartile)
      let keysRead = result.keysReadWithStatic.map { String(format: "%.1f %%", $0 * 100) } ?? "-"
      let bytes = result.bytesPerToken.map { formatBytes(Int($0)) } ?? "-"
      lines.append(
        aligned([
          ("\(result.depth)", 7), (result.policy, -width),
          (String(format: "%.2f", result.millisecondsPerToken), 9),
          (quartiles, 16), (String(format: "%.1f", result.tokensPerSecond), 9), (ratio, 8), (keysRead, 10),
          (bytes, 13), (result.synthetic ? "synthetic" : "", -9),
        ]))
    }
    lines += stages(report.results, width: width)
    if let peak = report.results.compactMap(\.peakResidentBytes).max(),
      let context = report.results.compactMap(\.memory).map({ $0.store + $0.index }).max()
    {
      lines.append(
        "\nmemory: the largest context \(formatBytes(context)) with its index, the process \(formatBytes(peak)) at most"
      )
    }
    for result in report.results {
      for device in result.devices ?? [] {
        lines.append(
          "\(device.device) at \(result.depth), \(result.policy): holds \(formatBytes(device.heldBytes))"
            + (device.freeBytes.map { ", \(formatBytes($0)) free" } ?? ""))
      }
      if let window = result.window {
        lines.append("first and last tokens at \(result.depth), \(result.policy): \(window.summary)")
      }
    }
    if let states = report.states { lines.append("\n" + states.summary) }
    lines.append("\nhost: llama.cpp, flash attention off, f16 cache; x host: times faster than that")
    return lines.joined(separator: "\n") + "\n"
  }
}

extension BenchDecodeCommand {
  /// Where the time of a step goes; nothing when only the host was measured.
  private func stages(_ results: [DecodeResult], width: Int) -> [String] {
    let profiled = results.compactMap { result in result.stages.map { (result, $0) } }
    guard let names = profiled.first?.1.named.map(\.name) else { return [] }
    func line(_ depth: String, _ name: String, _ cells: [String]) -> String {
      aligned([(depth, 7), (name, -width)] + cells.map { ($0, 9) })
    }
    return ["", "where the time goes, ms of a mean step:", line("depth", "attention", names)]
      + profiled.map { result, stages in
        line(
          "\(result.depth)", result.policy, stages.named.map { String(format: "%.2f", $0.milliseconds) })
      }
  }
}

import ArgumentParser
import Benchmarking
import Evaluation
import Foundation
import Generation
import LlamaHost

struct BenchDraftsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drafts",
    abstract: "Speed of answers that repeat something of a document, with and without drafts.",
    discussion: """
      Asks for a passage, for a function with one name changed, for the sentence that answers a question, and for prose \
      that repeats nothing. Each answer is read one token at a time and with drafts, in turns; the document is read \
      once. Answers are given, so that what drafts bring is measured and not what a model can repeat; --generated lets \
      the model answer, and tells how many tokens are the same. With --exact, which does so too, both attend to all \
      keys, and retrieval foresees tokens too, where that saves time.

      Example: ra bench drafts --model model.gguf --depth 8192,16384
      """)

  @OptionGroup var modelOptions: ModelOptions
  @OptionGroup(title: "Retrieval") var retrieval: RetrievalOptions
  @OptionGroup var store: StoreOptions
  @OptionGroup var limit: ContextLimitOptions
  @OptionGroup var progress: ProgressOption

  @Option(
    help: ArgumentHelp(
      "A text file that the document is made of. (default: the first volume of Persuasion)",
      valueName: "file"), completion: .file())
  var text: String?

  @Option(help: ArgumentHelp("Tokens of the documents, about.", valueName: "tokens,..."))
  var depth = CommaSeparated([4096])

  @Option(
    help: ArgumentHelp(
      "What is asked for. (values: \(DraftTask.allCases.map(\.rawValue).joined(separator: ", ")); default: all)",
      valueName: "task,..."))
  var tasks = CommaSeparated(DraftTask.allCases)

  @Option(help: ArgumentHelp("Most tokens of an answer.", valueName: "tokens"))
  var tokens = 128

  @Option(
    help: ArgumentHelp(
      "How often each answer is generated in each way; the median counts.", valueName: "times"))
  var rounds = 3

  @Flag(help: "No chat template: for models that only go on with a text.")
  var raw = false

  @Flag(help: "Let the model answer, greedily.")
  var generated = false

  @Flag(
    help: "Answers of exact attention: one token at a time, and with drafts of the text and of retrieval.")
  var exact = false

  @Option(
    help: ArgumentHelp(
      "Read so many tokens of a document, and fill its depth with copies of their keys and values: times are real, "
        + "answers are not.", valueName: "tokens"))
  var syntheticPeriod: Int?

  @Flag(help: "Write JSON, with the answers.")
  var json = false

  func validate() throws {
    for depth in depth.elements where !(128...TokenCounts.maximum).contains(depth) {
      throw ValidationError("--depth has \(depth), but must be in 128...\(TokenCounts.maximum).")
    }
    try checkCount("--tokens", tokens)
    try checkCount("--rounds", rounds)
    if let syntheticPeriod, !(128...TokenCounts.maximum).contains(syntheticPeriod) {
      throw ValidationError(
        "--synthetic-period is \(syntheticPeriod), but must be in 128...\(TokenCounts.maximum).")
    }
    if exact, let tolerance = retrieval.prefillTolerance, tolerance > 0 {
      throw ValidationError(
        "--exact reads prompts exactly: --prefill-tolerance \(tolerance) is of no use with it.")
    }
  }

  func run() async throws {
    let command = self
    try await withInterruption { try command.measure() }
  }

  private func measure() throws {
    let console = progress.console
    var settings = DraftBenchmark.Settings()
    settings.depths = depth.elements
    settings.tasks = tasks.elements
    settings.tokens = tokens
    settings.rounds = rounds
    settings.isRaw = raw
    settings.isGenerated = generated
    settings.isExact = exact
    settings.retrieval = try retrieval.settings()
    settings.format = store.format
    settings.syntheticPeriod = syntheticPeriod
    let text = try text.map { try TextFile.read($0) } ?? BuiltInText.persuasion
    let planned = (depth.elements.max() ?? 0) + DraftBenchmark.questionRoom + tokens
    let (model, pool) = try modelOptions.load(console, for: .tokens(planned))
    if syntheticPeriod == nil { try limit.check(tokens: planned, model: model, console) }
    let benchmark = try DraftBenchmark(model: model, pool: pool, text: text, settings: settings)
    let interrupted = try console.isInterrupted {
      try benchmark.run(onPhase: { console.progress($0) })
    }
    let report = BenchReport(
      model: model, pool: pool, text: self.text ?? "Persuasion", format: store.format,
      interrupted: interrupted,
      results: benchmark.results)
    if json { try console.json(report) } else { console.output(table(report)) }
    if interrupted { throw ExitCode.interrupted }
  }

  private func table(_ report: BenchReport<DraftResult>) -> String {
    let isGenerated = exact || generated
    var lines = [
      report.heading,
      "  depth  task      tokens  one at a time  with drafts  times as fast  foreseen, right"
        + (isGenerated ? "  the same" : ""),
    ]
    for drafts in report.results where drafts.way == .drafts {
      guard
        let single = report.results.first(where: {
          $0.way == .single && $0.task == drafts.task && $0.depth == drafts.depth
        })
      else { continue }
      lines.append(
        aligned([
          ("\(drafts.depth)", 7), (drafts.task.rawValue, -8), ("\(drafts.tokens)", 7),
          (String(format: "%.1f ms", single.millisecondsPerToken), 14),
          (String(format: "%.1f ms", drafts.millisecondsPerToken), 12),
          (String(format: "%.2f", single.millisecondsPerToken / drafts.millisecondsPerToken), 14),
          ("\(drafts.proposed), \(drafts.accepted)", 16),
          (drafts.sameTokens.map { "\($0) of \(single.tokens)" } ?? "", 9),
        ]))
    }
    lines.append(
      "\nms a token; "
        + (exact
          ? "one at a time: exact attention; with drafts: the same, foreseen by the text, and by retrieval where it pays"
          : "drafts are what followed in the text where it was like its end"))
    if isGenerated { lines.append("the same: tokens from the first on that drafts have not changed") }
    return lines.joined(separator: "\n") + "\n"
  }
}

import ArgumentParser
import Evaluation
import Foundation
import Generation
import LlamaHost
import Platform
import RetrievalAttention

struct EvaluateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Compare attentions on long-context tasks and fidelity, and write a report.",
    discussion: """
      Generates tasks at any length from a seed, without downloads: RULER's needles, variable tracking, common and \
      frequent words, InfiniteBench's pass key, number and key-value retrieval, and a grid of needles. A context is \
      read once for all its questions. Fidelity is measured on the filler text, against exact attention.

      DIR/results.jsonl gets a line for each result at once; run again with the same DIR, the evaluation goes on \
      where it was stopped, also with more tasks, lengths, attentions or samples. DIR/report.html shows everything \
      and needs no network.

      Tasks: \(TaskCatalog.all.map(\.name).joined(separator: ", ")). Groups: \
      \(TaskCatalog.groups.map(\.name).joined(separator: ", ")).

      Example: ra evaluate --model model.gguf --tasks ruler --lengths 4096,8192 --attention exact,retrieval \
      --report results
      """)

  @OptionGroup var modelOptions: ModelOptions
  @OptionGroup var limit: ContextLimitOptions
  @OptionGroup var progress: ProgressOption

  @Option(
    help: ArgumentHelp(
      "Tasks or groups of tasks, separated by commas; none for fidelity alone. (default: ruler, or none with --task-file)",
      valueName: "names"),
    completion: .commaSeparated { (TaskCatalog.all.map(\.name) + TaskCatalog.groups.map(\.name)) + ["none"] })
  var tasks: String?

  @Option(
    help: ArgumentHelp(
      """
      Samples in RULER's form, a JSON object a line with input, outputs and perhaps answer_prefix; repeatable. Each is \
      evaluated at the smallest of --lengths that it fits in.
      """, valueName: "file"), completion: .file())
  var taskFile: [String] = []

  @Option(help: ArgumentHelp("Tokens of prompt and answer, separated by commas.", valueName: "tokens"))
  var lengths = "4096"

  @Option(
    help: ArgumentHelp(
      """
      What to compare, separated by commas or repeated: host, or policies as ra attention list shows them, such as \
      retrieval:tolerance=0.002,sink=64; also retrieval:profile=FILE. A comma before key=value belongs to the policy. (default: exact,retrieval; host for models whose \
      attention cannot be taken over)
      """, valueName: "names"), completion: .attentions)
  var attention: [String] = []

  @Option(help: ArgumentHelp("Contexts of each task and length.", valueName: "count"))
  var samples = 5

  @Option(
    help: ArgumentHelp(
      "Most questions about one context, for tasks that have several to ask; 1 is RULER's.",
      valueName: "count"))
  var questions = 4

  @Option(help: ArgumentHelp("Tasks are the same for the same number.", valueName: "number"))
  var seed: UInt64 = 42

  @Option(
    help: ArgumentHelp(
      "The text that hides needles and that fidelity is measured on. (default: half of Jane Austen's Persuasion)",
      valueName: "file"), completion: .file())
  var filler: String?

  @Option(help: ArgumentHelp("Tokens of filler to decode for fidelity; 0 for none.", valueName: "tokens"))
  var fidelityTokens = 64

  @Flag(
    help: """
      Read questions in decode steps, so that they too see the context through the attention under test. Without, \
      a question is read as part of the prompt, exactly.
      """)
  var questionByToken = false

  @Flag(
    help: """
      Every attention reads contexts and questions by itself and in its own way, to compare ways of reading: \
      retrieval, hip:prefill=true, cascade:prefill=true, xattention. Without, all read exactly, together.
      """)
  var readApart = false

  @Flag(
    help: """
      Note which passages of the context each answer came from, for the report; decode steps take somewhat longer.
      """)
  var evidence = false

  @Flag(help: "No chat template: prompts go to the model as they are.")
  var raw = false

  @Option(
    help: ArgumentHelp("The folder for results and report; made when there is none.", valueName: "dir"),
    completion: .directory)
  var report: String

  @Flag(help: "Write the summary as JSON.")
  var json = false

  func validate() throws {
    do {
      _ = try settings()
    } catch let error as ValidationError {
      throw error
    } catch {
      throw ValidationError(sentence(error))
    }
  }

  func run() async throws {
    let command = self
    try await withInterruption { try command.evaluate() }
  }

  private func evaluate() throws {
    let console = progress.console
    var settings = try settings()
    let text = try filler.map { try TextFile.read($0) } ?? BuiltInText.persuasion
    let folder = URL(fileURLWithPath: report)
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    } catch {
      throw ResultFileError.unwritable(path: report, reason: failureReason(error))
    }
    let (model, pool) = try modelOptions.load(console, for: .tokens(settings.lengths.max() ?? 0))
    try limit.check(tokens: settings.lengths.max() ?? 0, model: model, console)
    settings.attentions = try console.possible(
      settings.attentions, of: model, pool, isForced: !attention.isEmpty)
    // There is no exact attention of ours to compare with.
    if try !model.takeover(pool: pool).isSupported { settings.fidelityTokens = 0 }
    let start = ContinuousClock.now
    let evaluation = try TaskEvaluation(
      model: model, pool: pool, settings: settings, filler: text,
      resultPath: folder.appendingPathComponent("results.jsonl").path
    ) { progress in
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      let done = progress.done - progress.skipped
      let left = done > 0 ? (progress.total - progress.done) / done * seconds : nil
      console.status(
        String(format: "%3.0f %%", progress.done / max(progress.total, 1) * 100) + "  \(progress.activity)"
          + (left.map { ", about \(Self.duration($0)) left" } ?? ""))
    }
    let page = folder.appendingPathComponent("report.html")
    func finish() throws -> EvaluationSummary {
      console.clear()
      let report = EvaluationReport(evaluation.results, order: settings.attentions.map(\.name))
      try Data(report.html.utf8).write(to: page, options: .atomic)
      return report.summary
    }
    do {
      try evaluation.run()
    } catch {
      // What was measured by then is worth looking at.
      _ = try? finish()
      if error is CancellationError {
        console.note("stopped; the same command goes on from here (\(page.path))")
      }
      throw error
    }
    let summary = try finish()
    if json { try console.json(summary) } else { console.output(summary.table + "\n") }
    console.inform("report: \(page.path)")
  }

  private func settings() throws -> EvaluationSettings {
    var settings = EvaluationSettings()
    let names = tasks ?? (taskFile.isEmpty ? "ruler" : "none")
    settings.tasks = names == "none" ? [] : try TaskCatalog.tasks(named: Self.split(names))
    settings.tasks += try taskFile.map { try TaskFile(contentsOf: $0) }
    settings.lengths = try Self.split(lengths).map { text in
      guard let length = Int(text) else {
        throw ValidationError("--lengths has '\(text)', which is no number.")
      }
      try checkCount("--lengths", length)
      return length
    }
    settings.attentions = try (attention.isEmpty ? ["exact,retrieval"] : attention).flatMap {
      PolicyRegistry.splitList($0)
    }.map {
      try EvaluatedAttention(parsing: String($0))
    }
    if settings.tasks.isEmpty, names != "none" { throw ValidationError("--tasks is empty.") }
    if settings.tasks.isEmpty, fidelityTokens == 0 {
      throw ValidationError("--tasks none with --fidelity-tokens 0 leaves nothing to do.")
    }
    if settings.lengths.isEmpty { throw ValidationError("--lengths is empty.") }
    if settings.attentions.isEmpty { throw ValidationError("--attention is empty.") }
    try checkCount("--samples", samples)
    try checkCount("--questions", questions)
    if fidelityTokens < 0 {
      throw ValidationError("--fidelity-tokens is \(fidelityTokens), but must be zero or positive.")
    }
    settings.samples = samples
    settings.questions = questions
    settings.seed = seed
    settings.readsQuestionsByToken = questionByToken
    settings.readsApart = readApart
    settings.notesPassages = evidence
    settings.raw = raw
    settings.fidelityTokens = fidelityTokens
    settings.fillerName = filler.map { URL(fileURLWithPath: $0).lastPathComponent } ?? "persuasion.txt"
    return settings
  }

  private static func split(_ text: String) -> [String] {
    text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
  }

  private static func duration(_ seconds: Double) -> String {
    seconds < 90 ? "\(Int(seconds.rounded())) s" : "\(Int((seconds / 60).rounded())) min"
  }
}

import ArgumentParser
import Evidence
import Evaluation
import Generation
import LlamaHost
import RetrievalAttention

struct BenchEvidenceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evidence", abstract: "How well the passages that answers come from are found.",
    discussion: """
      Hides facts of one and of two sentences in a text, asks for them and for facts that are not there, and compares \
      the passages that the answers are said to come from with those that they do come from.

      Example: ra bench evidence --model model.gguf --words 4000
      """)

  @OptionGroup var modelOptions: ModelOptions
  @OptionGroup(title: "Retrieval") var retrieval: RetrievalOptions
  @OptionGroup var limit: ContextLimitOptions
  @OptionGroup var progress: ProgressOption

  @Option(
    help: ArgumentHelp("A text to hide facts in. (default: the program's own)", valueName: "file"),
    completion: .file())
  var text: String?

  @Option(help: ArgumentHelp("Words of the text for each round of questions.", valueName: "count"))
  var words = 2500

  @Option(help: ArgumentHelp("Texts, with 24 questions each.", valueName: "count"))
  var texts = 3

  @Option(
    help: ArgumentHelp(
      "Ask these questions instead: lines of JSON with context or docs, question, answer, evidence.",
      valueName: "file"), completion: .file())
  var questions: String?

  @Option(
    help: ArgumentHelp("A profile that ra tune --evidence wrote.", valueName: "file"), completion: .file())
  var evidenceHeads: String?

  @Flag(help: "Verify the passages, as --verify-evidence of ra ask does.")
  var verify = false

  @Flag(inversion: .prefixedNo, help: "Ask each question again, for the sentences that say so.")
  var quotes = true

  @Flag(help: "Write one JSON document with all answers.")
  var json = false

  func validate() throws {
    try checkCount("--words", words)
    try checkCount("--texts", texts)
  }

  func run() async throws {
    let command = self
    try await withInterruption { try command.measure() }
  }

  private struct Report: Encodable {
    var model: String
    var isDefault: Bool
    var summaries: [String: EvidenceBenchmark.Summary]
    var answers: [EvidenceBenchmark.Answer]
  }

  /// Tokens of a question and its answer.
  private static let roomForQuestion = 512

  private func measure() throws {
    let console = progress.console
    let filler = try FillerText(text.map { try TextFile.read($0) } ?? BuiltInText.persuasion)
    let given = try questions.map { try EvidenceTexts.read($0) }
    // Tokens have three bytes and more in most texts.
    let longest = given?.map { $0.documents.reduce(0) { $0 + $1.text.utf8.count } / 3 }.max()
    let (model, pool) = try modelOptions.load(console, for: .tokens(longest ?? 2 * words))
    let tokens = try given?.map {
      try $0.documents.reduce(0) {
        $0 + (try model.tokenizer.tokenize($1.text, addSpecial: false, parseSpecial: false).count)
      }
    }
    // Words of the filler have four thirds of a token.
    try limit.check(tokens: (tokens?.max() ?? words * 4 / 3) + Self.roomForQuestion, model: model, console)
    _ = try console.takesOver(model, pool, isForced: true)
    let host = try GuestHost(model: model, pool: pool)
    let heads = try EvidenceHeads(of: model, shape: host.shape, profile: evidenceHeads)
    var settings = EvidenceBenchmark.Settings()
    settings.words = words
    settings.texts = texts
    settings.given = given
    settings.policy = .retrieval(try retrieval.settings())
    (settings.verifies, settings.asksForQuotes) = (verify, quotes)
    let odds = try EvidenceProfile(of: model, path: evidenceHeads)?.leastOdds
    let judge = try odds.map { try PassageJudge(host: host, leastOdds: $0) }
    if verify, judge == nil { console.note("the model cannot tell whether a passage answers a question") }
    let benchmark = EvidenceBenchmark(
      host: host, heads: heads, judge: judge, filler: filler, settings: settings)
    let answers = try benchmark.run {
      console.progress("asking", done: $0, total: $1, unit: "questions")
    }
    console.clear()
    var summaries: [String: EvidenceBenchmark.Summary] = [:]
    for kind in EvidenceBenchmark.Kind.allCases {
      summaries[kind.rawValue] = .init(answers.filter { $0.kind == kind })
      summaries["\(kind.rawValue), right"] = .init(answers.filter { $0.kind == kind && $0.isRight })
    }
    let name = model.description.name ?? "the model"
    if json {
      return try console.json(
        Report(model: name, isDefault: heads.isDefault, summaries: summaries, answers: answers))
    }
    func cell(_ mean: BootstrapMean) -> String {
      String(format: "%.2f (%.2f-%.2f)", mean.mean, mean.low, mean.high)
    }
    var lines = [
      "\(name), \(heads.entries.count) heads\(heads.isDefault ? " (the default)" : ""), "
        + (questions.map { "questions of \($0)" } ?? "\(words) words"),
      "questions       answers         precision            recall  no passage  by words: precision            recall  quoted: precision            recall",
    ]
    for (kind, summary) in summaries.sorted(by: { $0.key < $1.key }) {
      lines.append(
        aligned([
          (kind, -15), ("\(summary.answers)", 7), (cell(summary.precision), 17), (cell(summary.recall), 17),
          (String(format: "%.2f", summary.abstained), 11), (cell(summary.wordPrecision), 20),
          (cell(summary.wordRecall), 17), (summary.askedPrecision.map(cell) ?? "-", 18),
          (summary.askedRecall.map(cell) ?? "-", 17),
        ]))
    }
    lines.append(
      "\nmeans over answers, with 95 % intervals of the bootstrap; by words: BM25 with the answer as the query;\n"
        + "quoted: sentences that the model gives when it is asked for those that say so"
    )
    console.output(lines.joined(separator: "\n") + "\n")
  }
}

import ArgumentParser
import AttentionKernels
import Evidence
import Foundation
import Generation
import LlamaHost
import RetrievalAttention

struct GenerateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Answer a question about long documents, or continue a text.",
    discussion: """
      The text streams to standard output; progress and what it took go to standard error. Instruct models go \
      through their chat template, with the documents before the question; --raw switches that off.

      Example: ra generate --model model.gguf --document book.txt --prompt "Who stole the tarts?"
      """)

  @OptionGroup(title: mainTitle) var model: ModelOption
  @OptionGroup(title: mainTitle) var promptOptions: PromptOptions
  @OptionGroup(title: mainTitle) var main: GenerateOptions
  @OptionGroup(title: mainTitle) var statistics: StatisticsOption
  @OptionGroup(title: mainTitle) var progress: ProgressOption
  @OptionGroup(title: "Documents") var documentOptions: DocumentOptions
  @OptionGroup(title: "Evidence") var evidence: EvidenceOptions
  @OptionGroup(title: "Conversation") var system: SystemPromptOption
  @OptionGroup(title: "Conversation") var chatTemplate: ChatTemplateOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Drafts") var drafts: DraftOptions
  @OptionGroup(title: "Retrieval") var retrieval: RetrievalOptions
  @OptionGroup(title: "Retrieval") var store: StoreOptions
  @OptionGroup(title: "Limits") var limit: ContextLimitOptions
  @OptionGroup var host: HostOptions

  private var modelOptions: ModelOptions { ModelOptions(model, host) }
  private var attention: AttentionChoice? { main.attention }
  private var maxTokens: Int { main.maxTokens }

  func validate() throws {
    try checkCount("--max-tokens", maxTokens)
    try chatTemplate.check(raw: promptOptions.raw, system: system)
    try retrieval.check([attention ?? .retrieval])
    if attention == .host { try store.checkHost() }
    try drafts.check(attention: attention, retrieval: retrieval)
  }

  func run() async throws {
    let command = self
    let reason = try await withInterruption { try command.generate() }
    if reason == .cancelled { throw ExitCode.interrupted }
  }

  private func generate() throws -> TextGenerator.StopReason {
    let console = progress.console
    let documents = try documentOptions.read(promptOptions.document, console)
    let question = try promptOptions.question()
    let settings = try sampling.settings()
    func makePrompt(_ model: LlamaModel) throws -> Prompt {
      try Prompt(documents: documents, question: question, model: model, raw: promptOptions.raw)
    }
    let (model, pool) = try modelOptions.load(
      console, for: .counted { try makePrompt($0).tokens.count + maxTokens }, chat: chatTemplate,
      system: system)
    if !promptOptions.raw { try model.checkChatTemplate() }
    let prompt = try makePrompt(model)
    let planned = prompt.tokens.count + maxTokens
    try limit.check(tokens: planned, model: model, console)
    let runner = try makeRunner(console, model, pool, planned: planned)
    let sampler = try Sampler(
      settings: settings, model: model, format: prompt.format, reasoningBudget: chatTemplate.reasoningBudget)
    let recorder = try evidence.recorder(for: runner, judges: !promptOptions.raw, console)
    let printer = AnswerPrinter(
      console, showsReasoning: chatTemplate.showsReasoning, waits: recorder != nil && evidence.showsMarks)
    let drafting = try drafts.drafting(console, for: model, pool: pool, plannedTokens: planned)
    console.expectReading(with: runner)
    let result = try TextGenerator(runner: runner, drafting: drafting, trace: recorder?.trace).generate(
      prompt: prompt.tokens, maximumTokens: maxTokens, sampler: sampler
    ) { event in
      if main.json, case .text = event { return }
      if main.json, case .reasoning = event { return }
      printer.show(event)
    }
    var report = GenerationReport(result, seed: sampler.seed)
    if let host = (runner as? GuestRunner)?.host {
      report.devices = DeviceReport.all(host, tokens: runner.tokenCount)
      report.prefillRefusal = host.promptReading.refusal
      report.windowRefusal = host.windowReading.refusal
      report.windowOnDevices =
        host.windowReading.activity.layers > 0 ? host.windowReading.activity : nil
      report.prefillOnDevices = host.promptReading.memory.isEmpty ? nil : host.promptReading.activity
    }
    let texts = zip(documents.elements, documents.sections).map {
      (name: $0.name, text: String($1.dropFirst("File: \($0.name)\n".count)))
    }
    let found = try recorder?.find(
      result, AnswerSources(texts, in: runner.tokens, tokenizer: model.tokenizer), question: question, console
    )
    report.evidence = found?.record
    if main.json {
      try console.json(report)
    } else {
      printer.end(result, found?.text)
      report.note(statistics, isQuiet: progress.quiet).map(console.note)
    }
    try found?.writeMap(evidence, console)
    return result.stopReason
  }
}

extension GenerateCommand {
  /// Retrieval, or what was asked for. A model that can only be run with the host's own attention is, with the reasons,
  /// unless something else was asked for.
  private func makeRunner(
    _ console: Console, _ model: LlamaModel, _ pool: ThreadPool, planned: Int
  ) throws -> any SequenceRunner {
    guard
      let policy = try retrieval.policy(
        attention, of: model.description.path, modelOptions.variant, store, console)
    else {
      return try HostRunner(model: model, pool: pool, contextLength: planned)
    }
    let isForced = attention != nil || retrieval.firstGiven != nil || store.format != KeyValueFormat()
    guard try console.takesOver(model, pool, isForced: isForced) else {
      return try HostRunner(model: model, pool: pool, contextLength: planned)
    }
    return try GuestRunner(
      model: model, pool: pool, policy: policy, plannedTokens: planned, format: store.format)
  }
}

struct GenerateOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Most tokens to generate.", valueName: "tokens"))
  var maxTokens = 256

  @Option(help: AttentionChoice.help, completion: .attention, transform: AttentionChoice.init(parsing:))
  var attention: AttentionChoice?

  @Flag(help: "Write one JSON document with text and statistics instead of streaming text.")
  var json = false
}

struct PromptOptions: ParsableArguments {
  @Option(name: [.short, .long], help: "The question, or the text to continue.")
  var prompt: String?

  @Option(
    help: ArgumentHelp("A file with the question. (default: standard input)", valueName: "file"),
    completion: .file())
  var promptFile: String?

  @Option(
    name: [.short, .long],
    help: ArgumentHelp(
      "A document to read before the question; repeatable: \(DocumentOptions.help).", valueName: "file"),
    completion: .file())
  var document: [String] = []

  @Flag(help: "No chat template: the text goes to the model as it is.")
  var raw = false

  func validate() throws {
    if prompt != nil, promptFile != nil {
      throw ValidationError("Give --prompt or --prompt-file, not both.")
    }
  }

  /// The question.
  func question() throws -> String {
    if let prompt { return prompt }
    if let promptFile { return try TextFile.read(promptFile) }
    guard isatty(STDIN_FILENO) == 0, !document.contains("-") else { throw GenerationError.emptyPrompt }
    return try TextFile.readStandardInput()
  }
}

struct SamplingOptions: ParsableArguments {
  @Option(help: "Randomness of the choice of tokens; 0 takes the most probable one.")
  var temperature: Float = 0

  @Option(help: ArgumentHelp("Choose among this many most probable tokens; 0 for all.", valueName: "count"))
  var topK = 40

  @Option(
    help: ArgumentHelp(
      "Choose among the most probable tokens that together have this share.", valueName: "share"))
  var topP: Float = 0.95

  @Option(
    help: ArgumentHelp("Leave out tokens below this share of the most probable one.", valueName: "share"))
  var minP: Float = 0.05

  @Option(help: ArgumentHelp("Divide the score of recent tokens by this; 1 for none.", valueName: "factor"))
  var repetitionPenalty: Float = 1

  @Option(help: ArgumentHelp("Number to repeat a random choice with. (default: random)", valueName: "number"))
  var seed: UInt32?

  @Option(
    help: ArgumentHelp("A GBNF grammar file that the answer must follow.", valueName: "file"),
    completion: .file())
  var grammar: String?

  func settings() throws -> SamplerSettings {
    try SamplerSettings(
      temperature: temperature, topK: topK, topP: topP, minP: minP, repetitionPenalty: repetitionPenalty,
      seed: seed, grammar: try grammar.map { try TextFile.read($0) })
  }

  func validate() throws {
    do {
      _ = try SamplerSettings(
        temperature: temperature, topK: topK, topP: topP, minP: minP, repetitionPenalty: repetitionPenalty)
    } catch {
      throw ValidationError("\(error)")
    }
  }
}

import ArgumentParser
import AttentionKernels
import Documents
import Evidence
import Foundation
import Generation
import LlamaHost
import RetrievalAttention

struct AskCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ask",
    abstract: "Ask a question about documents, or about a session.",
    usage: """
      ra ask <document> ... <question> [<options>]
      ra ask --session <session> <question> [<options>]
      """,
    discussion: """
      Documents are read once: they are kept as a session in the user's cache, which the next question finds by their \
      contents. Of documents that have changed, what follows the first difference is read again.

      The answer streams to standard output; everything else goes to standard error. Questions do not disturb each \
      other: the session stays as it is, unless --keep adds the question and the answer to it.

      Examples: ra ask contracts/ "What is the salary of Boris?"
                ra ask --session book "Who stole the tarts?"
      """)

  @Argument(
    help: ArgumentHelp(
      "Documents, and the question as the last one. A document is \(DocumentOptions.help). With --session the question "
        + "alone. (default for the question: standard input)", valueName: "document> ... <question"),
    completion: .file())
  var words: [String] = []

  @OptionGroup(title: mainTitle) var model: SessionModelOption
  @OptionGroup(title: mainTitle) var main: AskOptions
  @OptionGroup(title: mainTitle) var statistics: StatisticsOption
  @OptionGroup(title: mainTitle) var progress: ProgressOption
  @OptionGroup(title: "Documents") var documents: DocumentOptions
  @OptionGroup(title: "Evidence") var evidence: EvidenceOptions
  @OptionGroup(title: "Conversation") var system: SystemPromptOption
  @OptionGroup(title: "Conversation") var chatTemplate: ChatTemplateOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Sampling") var repetition: RepetitionOption
  @OptionGroup(title: "Drafts") var drafts: DraftOptions
  @OptionGroup(title: "Retrieval, for documents") var retrieval: RetrievalOptions
  @OptionGroup(title: "Retrieval, for documents") var store: StoreOptions
  @OptionGroup(title: "Limits") var memory: MemoryLimitOption
  @OptionGroup(title: "Limits") var states: StateOptions
  @OptionGroup(title: "Limits") var limit: ContextLimitOptions
  @OptionGroup var host: HostOptions

  private var modelOptions: SessionModelOptions { SessionModelOptions(model, host) }
  private var session: String? { main.session }
  private var attention: AttentionChoice? { main.attention }
  private var maxTokens: Int { main.maxTokens }

  func validate() throws {
    try checkCount("--max-tokens", maxTokens)
    try retrieval.check([attention ?? .retrieval])
    try drafts.check(attention: attention, retrieval: retrieval)
    if attention == .host { try store.checkHost() }
    if let session {
      _ = try SessionName(session)
      guard words.count < 2 else { throw ValidationError(sentence(CommandError.documentsOfSession(session))) }
      if words.count == 1, main.questionFile != nil {
        throw ValidationError("Give the question as an argument or with --question-file, not both.")
      }
      if let option = optionOfDocuments {
        throw ValidationError(
          "\(option) belongs to documents; the session \(session) was made with its own settings.")
      }
    } else if main.keep {
      throw ValidationError("--keep needs --session: 'ra ingest' reads documents into one.")
    }
  }

  /// An option that means nothing to a session that is there already.
  private var optionOfDocuments: String? {
    if let option = retrieval.firstGiven { return option }
    if attention != nil { return "--attention" }
    if store.format != KeyValueFormat() { return "--kv-type" }
    if system.system != nil { return "--system" }
    return main.noSession ? "--no-session" : nil
  }

  func run() async throws {
    let command = self
    let reason = try await withInterruption { try command.ask() }
    if reason == .cancelled { throw ExitCode.interrupted }
  }

  private func ask() throws -> TextGenerator.StopReason {
    let console = progress.console
    let input = try AskInput(words: words, session: session, questionFile: main.questionFile)
    let settings = try sampling.settings()
    let opened = try session == nil ? open(input.documents, console) : openSession(console)
    let chat = opened.chat
    let model = chat.runner.model
    let whole = try chat.prompt(for: input.question)
    let common = zip(chat.tokens, whole).prefix { $0 == $1 }.count
    try limit.check(tokens: whole.count + maxTokens, model: model, console)
    if let policy = (chat.runner as? GuestRunner)?.context.policy { drafts.tell(console, of: policy, common) }
    chat.drafting = try drafts.drafting(
      console, for: model, pool: (chat.runner as? GuestRunner)?.pool, plannedTokens: whole.count + maxTokens)
    let isFollowUp = chat.conversation.place == .answer
    let recorder = try evidence.recorder(for: chat.runner, judges: !isFollowUp, console)
    chat.trace = recorder?.trace
    chat.stopsAtRepetition = !repetition.allowRepetition
    let printer = AnswerPrinter(
      console, showsReasoning: chatTemplate.showsReasoning, waits: recorder != nil && evidence.showsMarks)
    var seed: UInt32 = 0
    let result = try chat.ask(input.question, maximumTokens: maxTokens) { format in
      let sampler = try Sampler(
        settings: settings, model: model, format: format, reasoningBudget: chatTemplate.reasoningBudget)
      seed = sampler.seed
      return sampler
    } onEvent: { event in
      if main.json, case .text = event { return }
      if main.json, case .reasoning = event { return }
      printer.show(event)
    }
    let isKept = main.keep && result.stopReason != .cancelled
    if isKept, let session = opened.session {
      try chat.complete()
      session.keep(chat.conversation)
      try session.save()
    }
    let found = try recorder?.find(result, documents: opened.documents, question: input.question, console)
    var report = AskReport(
      generation: GenerationReport(result, seed: seed), session: opened.session?.directory,
      contextTokens: whole.count, reusedTokens: max(0, common - opened.readTokens),
      documentTokensRead: opened.readTokens, loadSeconds: opened.loadSeconds, openSeconds: opened.openSeconds,
      isKept: isKept)
    report.evidence = found?.record
    if main.json {
      try console.json(report)
    } else {
      printer.end(result, found?.text)
      report.note(statistics, isQuiet: progress.quiet).map(console.note)
      if main.keep, let path = opened.session?.directory {
        isKept
          ? console.inform("kept       in \(path)")
          : console.note("kept       nothing: the answer was interrupted")
      }
    }
    try found?.writeMap(evidence, console)
    return result.stopReason
  }

  private func open(_ names: [String], _ console: Console) throws -> DocumentContext.Opened {
    let context = DocumentContext(
      console: console, documents: try documents.read(names, console), model: modelOptions,
      chat: chatTemplate,
      system: system, retrieval: drafts.reading(retrieval), store: store, attention: attention,
      memory: memory,
      states: states,
      limit: limit, keepsSession: !main.noSession, room: maxTokens + AskInput.roomForQuestion)
    return try context.open()
  }

  private func openSession(_ console: Console) throws -> DocumentContext.Opened {
    let path = try SessionName(session ?? "").path()
    let description = try SessionDescription(at: path)
    try description.requireComplete()
    try description.requireText()
    let clock = ContinuousClock()
    let start = clock.now
    let host = try modelOptions.host(console, for: description, chat: chatTemplate)
    states.apply(to: host)
    let loaded = clock.now
    let session = try Session.open(
      path, host: host, access: main.keep ? .write : .read, memoryLimit: memory.memoryLimit?.bytes)
    let chat = Chat(
      runner: main.keep ? session.runner : try session.fork(),
      conversation: try session.conversation(host.model))
    return DocumentContext.Opened(
      chat: chat, session: session, readTokens: 0, documents: session.documents,
      loadSeconds: (loaded - start) / .seconds(1), openSeconds: (clock.now - loaded) / .seconds(1))
  }
}

/// The documents and the question that the words of `ra ask` are.
struct AskInput: Equatable {
  var documents: [String]
  var question: String

  /// Tokens of a question that are planned for.
  static let roomForQuestion = 512

  /// The last word is the question, unless that comes from elsewhere; a word that can only be a document is none.
  init(words: [String], session: String?, questionFile: String?) throws {
    var words = words
    var question: String?
    if let last = words.last, questionFile == nil, session != nil || !DocumentReader.isDocument(last) {
      question = last
      words.removeLast()
    }
    documents = words
    if session == nil {
      guard !words.isEmpty else { throw CommandError.noDocuments }
      for word in words where !DocumentReader.isDocument(word) && !word.contains(where: "*?[:".contains) {
        throw CommandError.noSuchDocument(word)
      }
    }
    let text: String
    if let question {
      text = question
    } else if let questionFile {
      text = try TextFile.read(questionFile)
    } else {
      guard isatty(STDIN_FILENO) == 0, !words.contains("-") else { throw CommandError.noQuestion }
      text = try TextFile.readStandardInput()
    }
    guard !text.allSatisfy(\.isWhitespace) else { throw CommandError.noQuestion }
    self.question = text
  }
}

struct AskOptions: ParsableArguments {
  @Option(
    name: [.short, .long], help: "A session in place of documents: \(SessionName.help).",
    completion: .session)
  var session: String?

  @Option(help: ArgumentHelp("Most tokens to generate.", valueName: "tokens"))
  var maxTokens = 256

  @Option(help: AttentionChoice.help, completion: .attention, transform: AttentionChoice.init(parsing:))
  var attention: AttentionChoice?

  @Option(help: ArgumentHelp("A file with the question.", valueName: "file"), completion: .file())
  var questionFile: String?

  @Flag(help: "Do not keep what was read of the documents, and look for no session that has it.")
  var noSession = false

  @Flag(help: "Add the question and the answer to the session.")
  var keep = false

  @Flag(help: "Write one JSON document with the answer and statistics instead of streaming text.")
  var json = false
}

/// What `ra ask --json` writes: the fields of `ra generate --json`, and these.
struct AskReport: Encodable {
  var generation: GenerationReport
  /// Its directory; missing where nothing is kept.
  var session: String?
  /// Tokens of the whole prompt, and how many of them were in the session.
  var contextTokens: Int
  var reusedTokens: Int
  /// Tokens of documents that were read before the question.
  var documentTokensRead: Int
  /// For the model, and then for the session.
  var loadSeconds: Double
  var openSeconds: Double
  var isKept: Bool
  /// The passages that the answer came from; missing where nobody asked for them.
  var evidence: EvidenceRecord?

  private enum CodingKeys: String, CodingKey {
    case session, contextTokens, reusedTokens, documentTokensRead, loadSeconds, openSeconds, isKept, evidence
  }

  func encode(to encoder: any Encoder) throws {
    try generation.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encodeIfPresent(session, forKey: .session)
    try container.encode(contextTokens, forKey: .contextTokens)
    try container.encode(reusedTokens, forKey: .reusedTokens)
    try container.encode(documentTokensRead, forKey: .documentTokensRead)
    try container.encode(loadSeconds, forKey: .loadSeconds)
    try container.encode(openSeconds, forKey: .openSeconds)
    try container.encode(isKept, forKey: .isKept)
    try container.encodeIfPresent(evidence, forKey: .evidence)
  }

  /// What is told behind the answer.
  func note(_ option: StatisticsOption, isQuiet: Bool) -> String? {
    let answer = generation.note(option, kept: reusedTokens, isQuiet: isQuiet)
    return option.stats ? opening + (answer ?? "") : answer
  }

  private var opening: String {
    documentTokensRead == 0
      ? String(
        format: "session    %d of %d prompt tokens reused, opened in %.0f ms (the model in %.2f s)\n",
        reusedTokens, contextTokens, openSeconds * 1000, loadSeconds)
      : String(
        format: "documents  %d tokens read in %.1f s, %d reused (the model loaded in %.2f s)\n",
        documentTokensRead, openSeconds, reusedTokens, loadSeconds)
  }
}

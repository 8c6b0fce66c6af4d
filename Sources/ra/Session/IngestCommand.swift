import ArgumentParser
import Foundation
import Generation
import LlamaHost
import RetrievalAttention

struct IngestCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ingest",
    abstract: "Read documents once, into a session on disk that 'ra ask' and 'ra chat' open at once.",
    discussion: """
      What was read is saved every --checkpoint seconds. After Ctrl-C, a crash or a loss of power, the same command \
      with --resume goes on from there, with the same result.

      Example: ra ingest --model model.gguf --session book book.txt notes/
      """)

  @Argument(
    help: ArgumentHelp("Documents, read in this order: \(DocumentOptions.help).", valueName: "document"),
    completion: .file())
  var documents: [String] = []

  @OptionGroup(title: mainTitle) var model: SessionModelOption
  @OptionGroup(title: mainTitle) var sessionOption: SessionOption
  @OptionGroup(title: mainTitle) var main: IngestOptions
  @OptionGroup(title: mainTitle) var progress: ProgressOption
  @OptionGroup(title: "Documents") var documentOptions: DocumentOptions
  @OptionGroup(title: "Conversation") var system: SystemPromptOption
  @OptionGroup(title: "Conversation") var chatTemplate: ChatTemplateOptions
  @OptionGroup(title: "Retrieval") var retrieval: RetrievalOptions
  @OptionGroup(title: "Retrieval") var store: StoreOptions
  @OptionGroup(title: "Limits") var memory: MemoryLimitOption
  @OptionGroup(title: "Limits") var states: StateOptions
  @OptionGroup(title: "Limits") var limit: ContextLimitOptions
  @OptionGroup var host: HostOptions

  var modelOptions: SessionModelOptions { SessionModelOptions(model, host) }

  func validate() throws {
    let modes = [
      ("--resume", main.resume), ("--force", main.force), ("--add", main.add), ("--update", main.update),
    ].filter(\.1)
    if modes.count > 1 { throw ValidationError("Give \(modes[0].0) or \(modes[1].0), not both.") }
    try chatTemplate.check(raw: main.raw, system: system)
    _ = try retrieval.storedPolicy(main.attention ?? .retrieval, of: "sessions need")
    guard main.checkpoint.isFinite, main.checkpoint >= 0 else {
      throw ValidationError("--checkpoint is \(main.checkpoint), but must be zero or more seconds.")
    }
    if main.update, !names.isEmpty {
      throw ValidationError(
        "--update reads the session's own documents; name none, or use --force for others.")
    }
    guard !main.resume, !main.update else { return }
    guard !names.isEmpty else { throw ValidationError("A document is missing: there is nothing to read.") }
  }

  var names: [String] { main.document + documents }

  func run() async throws {
    let command = self
    try await withInterruption { try command.ingest() }
  }

  private func ingest() throws {
    let console = progress.console
    let path = try sessionOption.path()
    let start = ContinuousClock.now
    var report = try read(path, console)
    report.seconds = (ContinuousClock.now - start) / .seconds(1)
    if main.json {
      try console.json(report)
    } else {
      console.output(report.summary)
      if report.tokensRead > 0 { console.inform(report.timing) }
    }
  }

  private func read(_ path: String, _ console: Console) throws -> IngestReport {
    if main.add || main.update { return try change(SessionDescription(at: path), console) }
    let documents = try documentOptions.read(names, console)
    guard FileManager.default.fileExists(atPath: path) else {
      guard !main.resume || !names.isEmpty else { throw SessionError.notFound(path: path) }
      return try create(path, documents, console)
    }
    if main.force { return try create(path, documents, console) }
    let description = try SessionDescription(at: path)
    guard main.resume else {
      throw CommandError.sessionExists(name: sessionOption.session, pending: description.pendingTokenCount)
    }
    return try goOn(description, documents, console)
  }

  private func create(
    _ path: String, _ documents: PromptDocuments, _ console: Console
  ) throws -> IngestReport {
    let host = try modelOptions.host(
      console, store: store,
      context: .counted { vocabulary in
        var conversation = try Conversation(model: vocabulary, raw: main.raw)
        return try conversation.read(documents).tokens.count + Self.roomForQuestions
      }, chat: chatTemplate, system: system)
    states.apply(to: host)
    let plan = try plan(documents, host, console)
    let policy = try retrieval.storedPolicy(
      main.attention, of: "sessions need", model: host.model.description.path, modelOptions.variant, store,
      console
    )
    try Task.checkCancellation()
    if main.force, FileManager.default.fileExists(atPath: path) { try Session.remove(path) }
    let session = try Session.create(
      at: path, host: host, policy: policy, plannedTokens: plan.tokens.count,
      memoryLimit: memory.memoryLimit?.bytes)
    do {
      return try read(plan, into: session, console)
    } catch {
      // What was not even begun is no session: nothing could be asked of it, and nothing resumed.
      if session.description.tokenCount + session.description.pendingTokenCount == 0 {
        try? session.discard()
      }
      throw error
    }
  }

  private func goOn(
    _ description: SessionDescription, _ documents: PromptDocuments, _ console: Console
  ) throws -> IngestReport {
    let isComplete = description.tokenCount > 0 && description.pendingTokenCount == 0
    if isComplete, names.isEmpty {
      console.inform("everything was read already")
      return IngestReport(description, tokensRead: 0)
    }
    let host = try modelOptions.host(console, for: description, chat: chatTemplate, system: system)
    states.apply(to: host)
    let plan = names.isEmpty ? nil : try plan(documents, host, console)
    let session = try Session.open(
      description.directory, host: host, access: .write, plannedTokens: plan?.tokens.count ?? 1,
      memoryLimit: memory.memoryLimit?.bytes)
    if let plan {
      let known = session.tokens + session.pendingTokens
      if known.isEmpty { return try read(plan, into: session, console) }
      guard known.starts(with: plan.tokens) else {
        throw CommandError.otherDocuments(name: sessionOption.session, tokens: plan.tokens.count)
      }
    }
    let pending = session.pendingTokens.count
    guard pending > 0 else {
      guard session.tokenCount > 0 else { throw CommandError.emptySession(name: sessionOption.session) }
      console.inform("everything was read already")
      return IngestReport(session.description, tokensRead: 0)
    }
    console.inform("going on after \(session.tokenCount) of \(session.tokenCount + pending) tokens")
    return try reading(session, console) { progress in
      _ = try session.resumeIngest(checkpointInterval: main.checkpoint, progress: progress)
    }
  }

  /// Tokens of questions and answers that a session is to have room for, where a model must know before it is loaded.
  private static let roomForQuestions = 2048

  typealias Plan = (conversation: Conversation, tokens: [Int32], documents: [SessionDocument])

  /// What is to be read, checked before anything is changed.
  private func plan(
    _ documents: PromptDocuments, _ host: GuestHost, _ console: Console
  ) throws -> Plan {
    var conversation = try Conversation(model: host.model, raw: main.raw)
    let (tokens, ranges) = try conversation.read(documents)
    try check(tokens: tokens.count, host, console)
    return (conversation, tokens, ranges)
  }

  func check(tokens count: Int, _ host: GuestHost, _ console: Console) throws {
    try limit.check(tokens: count, model: host.model, console)
    if memory.memoryLimit == nil {
      do {
        try Context.checkMemory(shape: host.shape, tokens: count)
      } catch let error as AttentionError {
        throw CommandError.needsMemory(error)
      }
    }
  }

  func read(_ plan: Plan, into session: Session, _ console: Console) throws -> IngestReport {
    session.keep(plan.conversation)
    return try reading(session, console) { progress in
      _ = try session.ingest(
        plan.tokens, documents: plan.documents, checkpointInterval: main.checkpoint, progress: progress)
    }
  }

  /// Shows the progress, and after an interruption or a failure how to go on.
  private func reading(
    _ session: Session, _ console: Console, _ body: ((@escaping (Int, Int) -> Void) throws -> Void)
  ) throws -> IngestReport {
    let before = session.tokenCount
    console.expectReading(with: session.runner)
    do {
      try body { done, total in console.progress("reading", done: done, total: total, unit: "tokens") }
    } catch {
      let left = session.description
      if left.pendingTokenCount > 0 {
        console.note(
          "\(left.tokenCount) of \(left.tokenCount + left.pendingTokenCount) tokens are read and saved; go on with: "
            + "ra ingest --resume --session \(sessionOption.session)")
      }
      throw error
    }
    console.clear()
    return IngestReport(session.description, tokensRead: session.tokenCount - before)
  }
}

/// What `ra ingest --json` writes.
struct IngestReport: Encodable {
  var session: String
  var tokenCount: Int
  var documents: [SessionDocument]
  var attention: String
  /// Now; what was read before an interruption does not count.
  var tokensRead: Int
  /// Of the whole command, loading included.
  var seconds = 0.0
  var byteCount: Int
  var diskByteCount: Int

  init(_ description: SessionDescription, tokensRead: Int) {
    session = description.directory
    tokenCount = description.tokenCount
    documents = description.documents
    attention = description.attention
    byteCount = description.byteCount
    diskByteCount = description.diskByteCount
    self.tokensRead = tokensRead
  }

  var summary: String {
    "\(session): \(tokenCount) tokens, \(formatCount(documents.count, "document")), \(formatBytes(byteCount))\n"
  }

  var timing: String {
    String(format: "read %d tokens in %.1f s with loading and saving", tokensRead, seconds)
  }
}

struct IngestOptions: ParsableArguments {
  @Flag(help: "Read documents behind those that the session has, before its first question.")
  var add = false

  @Flag(
    help: "Read the session's documents again from the first difference on, where their files have changed.")
  var update = false

  @Flag(help: "Go on with an interrupted session; start it if there is none.")
  var resume = false

  @Flag(help: "Replace a session that exists.")
  var force = false

  @Option(
    help:
      "How attention is computed: retrieval or exact, with settings as NAME:key=value,... (default: retrieval)",
    completion: .attention,
    transform: AttentionChoice.init(parsing:))
  var attention: AttentionChoice?

  @Flag(help: "No chat template: the text goes to the model as it is.")
  var raw = false

  @Option(
    name: [.short, .long],
    help: ArgumentHelp(
      "Another way to name a document, in front of the others; repeatable.", valueName: "file"),
    completion: .file())
  var document: [String] = []

  @Option(help: ArgumentHelp("Time between saves.", valueName: "seconds"))
  var checkpoint = 30.0

  @Flag(help: "Write one JSON document about the session.")
  var json = false
}

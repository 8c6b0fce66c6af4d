import ArgumentParser
import Foundation
import Generation
import LineEditing
import LlamaHost
import Platform
import RetrievalAttention
import Synchronization

struct ChatCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chat",
    abstract: "Talk with a model, about documents, what a session holds, or nothing in particular.",
    discussion: """
      Documents are read once, and kept as 'ra ask' keeps them; the conversation about them is kept only with /save.

      With --session, every answered turn is on disk before the next one begins; a session that does not exist is \
      made, if --model is given. Ctrl-C stops an answer, and what was said until then stays in the conversation. Lines \
      that start with a slash are commands: /help lists them. Without a terminal, each line of standard input is a \
      message.

      Examples: ra chat book.pdf
                ra chat --session book
      """)

  @Argument(
    help: ArgumentHelp("Documents to talk about: \(DocumentOptions.help).", valueName: "document"),
    completion: .file())
  var documents: [String] = []

  @OptionGroup(title: mainTitle) var model: SessionModelOption
  @OptionGroup(title: mainTitle) var main: ChatOptions
  @OptionGroup(title: "Documents") var documentOptions: DocumentOptions
  @OptionGroup(title: "Evidence") var evidence: EvidenceOptions
  @OptionGroup(title: "Conversation") var system: SystemPromptOption
  @OptionGroup(title: "Conversation") var chatTemplate: ChatTemplateOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Sampling") var repetition: RepetitionOption
  @OptionGroup(title: "Drafts") var drafts: DraftOptions
  @OptionGroup(title: "Retrieval, for a new conversation") var retrieval: RetrievalOptions
  @OptionGroup(title: "Retrieval, for a new conversation") var store: StoreOptions
  @OptionGroup(title: "Limits") var memory: MemoryLimitOption
  @OptionGroup(title: "Limits") var states: StateOptions
  @OptionGroup(title: "Limits") var limit: ContextLimitOptions
  @OptionGroup var host: HostOptions

  var modelOptions: SessionModelOptions { SessionModelOptions(model, host) }
  var session: String? { main.session }
  var noSession: Bool { main.noSession }
  var attention: AttentionChoice? { main.attention }
  var maxTokens: Int { main.maxTokens }

  func validate() throws {
    try checkCount("--max-tokens", maxTokens)
    try drafts.check(attention: attention, retrieval: retrieval)
    if attention == .host, session == nil {
      try store.checkHost()
      try retrieval.check([.host])
    } else {
      _ = try policy()
    }
    if let session {
      _ = try SessionName(session)
      guard documents.isEmpty else { throw ValidationError(sentence(CommandError.chatWithBoth(session))) }
    }
    if documents.contains("-"), isatty(STDIN_FILENO) == 0 {
      throw ValidationError("- reads standard input to its end, and leaves no messages there; name a file.")
    }
  }

  /// How a new conversation attends.
  func policy() throws -> AttentionPolicy {
    try retrieval.storedPolicy(attention ?? .retrieval, of: "a conversation that is kept needs")
  }

  /// The same with a model that is known.
  func policy(for model: LlamaModel, _ console: Console) throws -> AttentionPolicy {
    try retrieval.storedPolicy(
      attention, of: "a conversation that is kept needs", model: model.description.path, modelOptions.variant,
      store,
      console)
  }

  func run() async throws {
    let worker = ChatWorker(self)
    let interruption = AnswerInterruption()
    defer { interruption.stop() }
    try await interruption.duringWork(stopsProgram: true) { try await worker.open() }
    do {
      try await talk(worker, interruption)
    } catch {
      await worker.close()
      throw error
    }
    await worker.close()
  }

  private func talk(_ worker: ChatWorker, _ interruption: AnswerInterruption) async throws {
    let lines = ChatLines(keepsHistory: try Configuration.shared.keepsHistory)
    while let line = try lines.next() {
      let text = line.trimmingCharacters(in: .whitespacesAndNewlines)
      if text.isEmpty { continue }
      do {
        var message: String? = text.hasPrefix("//") ? String(text.dropFirst()) : text
        if text.hasPrefix("/"), !text.hasPrefix("//") {
          let step = try await interruption.duringWork { try await worker.perform(text) }
          if case .end = step { break }
          if case .answer(let again) = step { message = again } else { message = nil }
        }
        if let message {
          try await interruption.duringWork { try await worker.answer(message) }
          // Not to be interrupted: what was said is to be kept.
          try await worker.keepTurn()
        }
        if let failure = StandardStream.output.failure { throw failure }
      } catch is CancellationError {
        await worker.note("interrupted; nothing was added to the conversation")
      } catch let failure as StandardStream.Failure {
        throw failure
      } catch  where lines.isInteractive {
        await worker.note("Error: \(error)")
      }
    }
  }
}

/// Where messages come from: an editor on a terminal, or plain lines.
final class ChatLines {
  private let editor: LineEditor?
  private var input = InputLines(limit: TextFile.largestByteCount)

  /// - Parameter keepsHistory: whether messages can be recalled in later runs.
  init(keepsHistory: Bool) {
    let terminal = ProcessInfo.processInfo.environment["TERM"]
    let history = keepsHistory ? LineHistory(path: UserFolder.state.path("chat-history")) : nil
    editor = LineEditor.isPossible(terminal: terminal) ? LineEditor(history: history) : nil
  }

  /// Whether a person can do something about an error.
  var isInteractive: Bool { isatty(STDIN_FILENO) != 0 }

  /// The next message; nil at the end. Throws `InputLines.TooLong`.
  func next() throws -> String? {
    guard let editor else { return try input.next() }
    while true {
      switch editor.readLine(prompt: "> ") {
      case .line(let line): return line
      case .interrupted(let wasEmpty):
        if wasEmpty { StandardStream.error.write("(/quit or Ctrl-D ends the conversation)\n") }
      case .endOfInput: return nil
      }
    }
  }
}

/// Ctrl-C ends what is being worked on, or the program when that is nothing; other signals end the program.
final class AnswerInterruption: Sendable {
  private struct Work {
    var cancel: (@Sendable () -> Void)?
    var stopsProgram = false
  }

  private let work: Shared
  private let signals: EndingSignals

  /// Apart, since the handler must not keep what owns it.
  private final class Shared: Sendable {
    let value = Mutex(Work())
  }

  init() {
    let shared = Shared()
    work = shared
    signals = EndingSignals { number in
      let current = shared.value.withLock { $0 }
      if number == SIGINT, let cancel = current.cancel, !current.stopsProgram { return cancel() }
      LineEditor.restoreTerminal()
      // Nothing is lost: every answered turn is on disk, and no file is half written under its name.
      _exit(128 + number)
    }
  }

  func stop() { signals.stop() }

  func duringWork<Result: Sendable>(
    stopsProgram: Bool = false, _ body: @escaping @Sendable () async throws -> Result
  ) async throws -> Result {
    let task = Task.detached(executorPreference: WorkerThread.shared) { try await body() }
    work.value.withLock { $0 = Work(cancel: { task.cancel() }, stopsProgram: stopsProgram) }
    defer { work.value.withLock { $0 = Work() } }
    return try await task.value
  }
}

struct ChatOptions: ParsableArguments {
  @Option(
    name: [.short, .long], help: "The session: \(SessionName.help). (default: nothing is kept)",
    completion: .session)
  var session: String?

  @Option(help: ArgumentHelp("Most tokens of an answer.", valueName: "tokens"))
  var maxTokens = 1024

  @Option(
    help: """
      How attention is computed in a new conversation: retrieval or exact, with settings as NAME:key=value,..., or \
      host where nothing is kept. (default: retrieval; host, with the reason, for models whose attention cannot be \
      taken over)
      """,
    completion: .attention,
    transform: AttentionChoice.init(parsing:))
  var attention: AttentionChoice?

  @Flag(help: "Do not keep what was read of the documents, and look for no session that has it.")
  var noSession = false
}

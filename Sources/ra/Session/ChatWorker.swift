// The conversation of 'ra chat': one owner of the context, whatever thread it runs on.

import ArgumentParser
import AttentionKernels
import Foundation
import Generation
import LlamaHost
import RetrievalAttention

actor ChatWorker {
  let command: ChatCommand
  let console = Console()
  var chat: Chat?
  var session: Session?
  /// The session is new, and goes if nothing is said.
  private var isUnused = false
  private var lastTurn: GenerationReport?
  /// The last answer with its question, while it is the end of the context.
  var lastAnswer: (result: TextGenerator.Result, question: String, isFollowUp: Bool)?
  /// Questions of this run, to go back to.
  var turns: [Turn] = []
  /// Where this run began.
  var base: Place?
  /// What was read in this run, in front of the first question.
  var documents = PromptDocuments()
  /// Where in the context that is.
  var ranges: [SessionDocument] = []
  /// What was read behind it, to stand in front of the next one.
  var pendingText: PromptDocuments?

  private var madeDrafting: Drafting?

  init(_ command: ChatCommand) {
    self.command = command
  }

  func note(_ text: String) { console.note(text) }

  /// Loads the model, and opens or makes the session.
  func open() throws {
    try openContext()
    base = place
  }

  private func openContext() throws {
    _ = try command.sampling.settings()
    if let name = command.session {
      let path = try SessionName(name).path()
      try open(path, name: name)
    } else if !command.documents.isEmpty {
      try openDocuments()
    } else {
      let runner = try makeRunner()
      try runner.model.checkChatTemplate()
      chat = Chat(runner: runner, conversation: try Conversation(model: runner.model))
      console.note("talking with \(runner.model.description.name ?? "the model"); /help lists commands")
    }
  }

  /// How the next tokens are foreseen; a smaller model is loaded once.
  func drafting(_ runner: any SequenceRunner) throws -> Drafting {
    if let madeDrafting { return madeDrafting }
    guard let guest = runner as? GuestRunner else { return .none }
    let limit = guest.model.contextLimit
    let made = try command.drafts.drafting(
      console, for: guest.model, pool: guest.pool, plannedTokens: limit > 0 ? limit : 1 << 15)
    madeDrafting = made
    return made
  }

  /// For a conversation about documents.
  private func openDocuments() throws {
    let documents = try command.documentOptions.read(command.documents, console)
    let context = DocumentContext(
      console: console, documents: documents, model: command.modelOptions, chat: command.chatTemplate,
      system: command.system, retrieval: command.drafts.reading(command.retrieval), store: command.store,
      attention: command.attention, memory: command.memory, states: command.states, limit: command.limit,
      keepsSession: !command.noSession,
      room: command.maxTokens + AskInput.roomForQuestion)
    let opened = try context.open()
    chat = opened.chat
    self.documents = documents
    ranges = opened.documents
    console.note("talking about \(documents.title); /help lists commands")
  }

  /// For a conversation that is not kept.
  private func makeRunner() throws -> any SequenceRunner {
    let (model, pool) = try command.modelOptions.load(
      console, chat: command.chatTemplate, system: command.system)
    let isForced =
      command.attention != nil || command.retrieval.firstGiven != nil
      || command.store.format != KeyValueFormat()
    let isOurs =
      try command.attention != .host && console.takesOver(model, pool, isForced: isForced)
    guard isOurs else {
      let bytes = (SystemMemory.availableBytes ?? 4 << 30) / 2
      return try HostRunner(
        model: model, pool: pool, contextLength: HostRunner.contextLength(of: model, bytes: bytes))
    }
    let host = try GuestHost(model: model, pool: pool, format: command.store.format)
    command.states.apply(to: host)
    return try GuestRunner(
      host: host, policy: command.policy(for: model, console), plannedTokens: command.maxTokens)
  }

  private func open(_ path: String, name: String) throws {
    let limit = command.memory.memoryLimit?.bytes
    let exists = FileManager.default.fileExists(atPath: path)
    guard exists || command.modelOptions.model != nil || ModelDefault.isPossible else {
      throw CommandError.noModel(name: name)
    }
    let description = exists ? try SessionDescription(at: path) : nil
    try description?.requireComplete()
    if command.system.system != nil, let description, description.tokenCount > 0 {
      throw CommandError.systemTooLate(name: name)
    }
    let host = try command.modelOptions.host(
      console, for: description, store: command.store, chat: command.chatTemplate, system: command.system)
    command.states.apply(to: host)
    if !exists { try host.model.checkChatTemplate() }
    let start = ContinuousClock.now
    let session =
      exists
      ? try Session.open(path, host: host, access: .write, memoryLimit: limit)
      : try Session.create(
        at: path, host: host, policy: command.policy(for: host.model, console), memoryLimit: limit)
    chat = Chat(runner: session.runner, conversation: try session.conversation(host.model))
    self.session = session
    ranges = session.documents
    isUnused = !exists
    if let mark, FileManager.default.fileExists(atPath: mark) {
      console.note("the last question was not answered to the end, and is not in the session: ask it again")
      removeMark()
    }
    let milliseconds = (ContinuousClock.now - start) / .milliseconds(1)
    var line = exists ? String(format: "opened %@ in %.0f ms", path, milliseconds) : "made \(path)"
    line += ": \(formatCount(session.tokenCount, "token"))"
    if !session.documents.isEmpty { line += ", " + session.documents.map(\.name).joined(separator: ", ") }
    console.note(line + "; /help lists commands")
  }

  /// A file that is there while a turn is not on the disk: after a crash it tells that one is lost.
  private var mark: String? { session.map { $0.directory + "/unfinished-turn" } }

  private func removeMark() {
    if let mark { unsafe unlink(mark) }
  }

  /// Streams the answer to a message.
  func answer(_ message: String) throws {
    // A disk too full for it is told when the turn is saved.
    if let mark { _ = FileManager.default.createFile(atPath: mark, contents: nil) }
    do {
      let before = place
      try generate(pendingText.map { "\($0.text)\n\n\(message)" } ?? message)
      if let before { turns.append(Turn(before: before, message: message, pendingText: pendingText)) }
      pendingText = nil
    } catch {
      removeMark()
      throw error
    }
  }

  private func generate(_ message: String) throws {
    guard let chat else { preconditionFailure("not opened") }
    let model = chat.runner.model
    let prompt = try chat.prompt(for: message).count
    var maximum = command.maxTokens
    if let limit = try checkRoom(tokens: prompt) { maximum = min(maximum, limit - prompt) }
    console.warn(of: prompt + maximum, for: model)
    chat.drafting = try drafting(chat.runner)
    let isFollowUp = chat.conversation.place == .answer
    let recorder =
      ranges.isEmpty ? nil : try command.evidence.recorder(for: chat.runner, judges: !isFollowUp, console)
    chat.trace = recorder?.trace
    chat.stopsAtRepetition = !command.repetition.allowRepetition
    let printer = AnswerPrinter(
      console, showsReasoning: command.chatTemplate.showsReasoning,
      waits: recorder != nil && command.evidence.showsMarks)
    var seed: UInt32 = 0
    let result = try chat.ask(message, maximumTokens: maximum) { format in
      let sampler = try Sampler(
        settings: command.sampling.settings(), model: model, format: format,
        reasoningBudget: command.chatTemplate.reasoningBudget)
      seed = sampler.seed
      return sampler
    } onEvent: {
      printer.show($0)
    }
    let found = try recorder?.find(result, documents: ranges, question: message, console)
    printer.end(result, found?.text)
    do {
      try found?.writeMap(command.evidence, console)
    } catch {
      // The conversation goes on.
      console.note("\(error)")
    }
    let report = GenerationReport(result, seed: seed)
    if result.stopReason == .cancelled { console.note("(stopped)") } else { report.ending.map(console.note) }
    lastTurn = report
    lastAnswer = (result, message, isFollowUp)
  }

  /// Throws where so many tokens leave no room for an answer; the most that there can be, nil for any number.
  @discardableResult
  func checkRoom(tokens: Int) throws -> Int? {
    guard let (limit, isOfMemory) = contextLimit else { return nil }
    guard tokens < limit else {
      throw CommandError.contextFull(tokens: tokens, limit: limit, isOfMemory: isOfMemory)
    }
    return limit
  }

  /// Most tokens of the conversation; nil for any number.
  private var contextLimit: (tokens: Int, isOfMemory: Bool)? {
    // The host's memory is taken at the start, and does not grow.
    if let host = chat?.runner as? HostRunner { return (host.capacity, true) }
    let tokens = chat?.runner.model.contextLimit ?? 0
    return tokens > 0 && !command.limit.allowBeyondContext ? (tokens, false) : nil
  }

  /// Puts the last turn on the disk, if there is a session.
  func keepTurn() throws {
    guard let chat, let session else { return }
    try chat.complete()
    session.keep(chat.conversation)
    try session.save()
    removeMark()
    isUnused = false
  }

  /// Leaves no empty session behind.
  func close() {
    guard isUnused, let path = session?.directory else { return }
    // The lock goes with the session.
    (chat, session) = (nil, nil)
    do {
      try Session.remove(path)
    } catch {
      console.note("\(error)")
    }
  }

  /// Carries out a command.
  func perform(_ line: String) throws -> Step {
    let words = line.split(maxSplits: 1, whereSeparator: \.isWhitespace)
    let argument = words.count > 1 ? words[1].trimmingCharacters(in: .whitespaces) : nil
    switch words[0] {
    case "/quit", "/exit": return .end
    case "/read": try read(argument)
    case "/undo": try undo()
    case "/retry": return try retry()
    case "/clear": try clear()
    case "/system": try setSystem(argument)
    case "/help": console.note(Self.help)
    case "/sources": try showSources()
    case "/stats": console.note(statistics())
    case "/save": try save(argument)
    default:
      let near = CommandSuggestion.closest(to: String(words[0]), among: Self.commands)
      console.note(
        "there is no command \(words[0]); " + (near.map { "did you mean \($0)?" } ?? "/help lists them"))
    }
    return .next
  }

  private static let commands = [
    "/read", "/retry", "/undo", "/clear", "/system", "/sources", "/save", "/stats", "/help", "/quit", "/exit",
  ]

  private static let help = """
    /read FILE  read documents: files, folders, patterns
    /retry      ask the last question again
    /undo       take the last question and its answer back
    /clear      go back to where this run began
    /system TEXT  tell the model something before everything, and begin anew
    /sources    show which passages of the documents the last answer came from
    /save NAME  keep this conversation as a session; with a session, a copy of it
    /stats      tokens, memory and speed
    /quit       end, as Ctrl-D does
    //text      send a message that starts with a slash
    Ctrl-C stops an answer. The arrow keys edit the line and recall earlier ones, Ctrl-R looks for one.
    """

  private func save(_ name: String?) throws {
    guard let chat else { preconditionFailure("not opened") }
    guard let name else {
      guard let session else { return console.note("give a name: /save NAME") }
      return console.note("\(session.directory) is saved after every turn")
    }
    let path = try SessionName(name).path()
    if let session {
      if !turns.isEmpty { try keepTurn() }
      try Session.copy(session.directory, to: path)
      return console.note("copied to \(path)")
    }
    guard !chat.tokens.isEmpty else { throw CommandError.nothingToSave }
    guard let runner = chat.runner as? GuestRunner else { throw CommandError.notSavedByHost }
    try chat.complete()
    let made = try Session.create(at: path, from: runner)
    made.documents = ranges
    made.keep(chat.conversation)
    try made.save()
    session = made
    console.note("saved as \(path), and from now on after every turn")
  }

  private func statistics() -> String {
    guard let chat else { preconditionFailure("not opened") }
    let memory = chat.runner.memory
    var lines = [
      "context    \(formatCount(chat.tokens.count, "token")), \(formatCount(turns.count, "turn")) now, "
        + ((chat.runner as? GuestRunner).map { "\($0.context.engine.indexedTokenCount) tokens in the index" }
          ?? "llama.cpp's own attention")
    ]
    if let session {
      let description = session.description
      lines.append("session    \(description.directory), \(formatBytes(description.byteCount)) on disk")
    }
    if let lastTurn {
      lines.append("last turn:")
      lines.append(lastTurn.measurements)
    } else {
      lines.append("memory     keys and values \(formatBytes(memory.store))")
    }
    return lines.joined(separator: "\n")
  }
}

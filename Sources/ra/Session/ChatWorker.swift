// The conversation of 'ra chat': one owner of the context, whatever thread it runs on.

import ArgumentParser
import AttentionKernels
import Foundation
import Generation
import LlamaHost
import RetrievalAttention

actor ChatWorker {
  private let command: ChatCommand
  private let console = Console()
  private var chat: Chat?
  private var session: Session?
  /// The session is new, and goes if nothing is said.
  private var isUnused = false
  private var lastTurn: GenerationReport?

  init(_ command: ChatCommand) {
    self.command = command
  }

  func note(_ text: String) { console.note(text) }

  /// Loads the model, and opens or makes the session.
  func open() throws {
    _ = try command.sampling.settings()
    if let name = command.session {
      let path = try SessionName(name).path()
      try open(path, name: name)
    } else {
      let runner = try makeRunner()
      try runner.model.checkChatTemplate()
      chat = Chat(runner: runner, conversation: try Conversation(model: runner.model))
      console.note("talking with \(runner.model.description.name ?? "the model"); /help lists commands")
    }
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
    return try GuestRunner(host: host, policy: command.policy(), plannedTokens: command.maxTokens)
  }

  private func open(_ path: String, name: String) throws {
    let limit = command.memory.memoryLimit?.bytes
    let exists = FileManager.default.fileExists(atPath: path)
    guard exists || command.modelOptions.model != nil else { throw CommandError.noModel(name: name) }
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
      : try Session.create(at: path, host: host, policy: command.policy(), memoryLimit: limit)
    chat = Chat(runner: session.runner, conversation: try session.conversation(host.model))
    self.session = session
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
      try generate(message)
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
    if let (limit, isOfMemory) = contextLimit {
      guard prompt < limit else {
        throw CommandError.contextFull(tokens: prompt, limit: limit, isOfMemory: isOfMemory)
      }
      maximum = min(maximum, limit - prompt)
    }
    let printer = AnswerPrinter(console, showsReasoning: command.chatTemplate.showsReasoning)
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
    printer.end(result)
    if result.stopReason == .cancelled { console.note("(stopped)") }
    if result.stopReason == .length { console.note("(stopped after \(result.tokens.count) tokens)") }
    lastTurn = GenerationReport(result, seed: seed)
  }

  /// Most tokens of the conversation; nil for any number.
  private var contextLimit: (tokens: Int, isOfMemory: Bool)? {
    // The host's memory is taken at the start, and does not grow.
    if let host = chat?.runner as? HostRunner { return (host.capacity, true) }
    let trained = chat?.runner.model.description.trainedContextLength ?? 0
    return trained > 0 && !command.limit.allowBeyondContext ? (trained, false) : nil
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

  /// Carries out a command; false ends the conversation.
  func perform(_ line: String) throws -> Bool {
    let words = line.split(maxSplits: 1, whereSeparator: \.isWhitespace)
    let argument = words.count > 1 ? words[1].trimmingCharacters(in: .whitespaces) : nil
    switch words[0] {
    case "/quit", "/exit": return false
    case "/help": console.note(Self.help)
    case "/stats": console.note(statistics())
    case "/save": try save(argument)
    default: console.note("there is no command \(words[0]); /help lists them")
    }
    return true
  }

  private static let help = """
    /save NAME  keep this conversation as a session; with a session, a copy of it
    /stats      tokens, memory and speed
    /quit       end, as Ctrl-D does
    //text      send a message that starts with a slash
    Ctrl-C stops an answer. The arrow keys edit the line and recall earlier ones.
    """

  private func save(_ name: String?) throws {
    guard let chat else { preconditionFailure("not opened") }
    guard let name else {
      guard let session else { return console.note("give a name: /save NAME") }
      return console.note("\(session.directory) is saved after every turn")
    }
    let path = try SessionName(name).path()
    if let session {
      if chat.turnCount > 0 { try keepTurn() }
      try Session.copy(session.directory, to: path)
      return console.note("copied to \(path)")
    }
    guard !chat.tokens.isEmpty else { throw CommandError.nothingToSave }
    guard let runner = chat.runner as? GuestRunner else { throw CommandError.notSavedByHost }
    try chat.complete()
    let made = try Session.create(at: path, from: runner)
    made.keep(chat.conversation)
    try made.save()
    session = made
    console.note("saved as \(path), and from now on after every turn")
  }

  private func statistics() -> String {
    guard let chat else { preconditionFailure("not opened") }
    let memory = chat.runner.memory
    var lines = [
      "context    \(formatCount(chat.tokens.count, "token")), \(formatCount(chat.turnCount, "turn")) now, "
        + ((chat.runner as? GuestRunner).map { "\($0.context.engine.indexedTokenCount) tokens in the index" }
          ?? "llama.cpp's own attention")
    ]
    if let session {
      let description = session.description
      lines.append("session    \(description.directory), \(formatBytes(description.byteCount)) on disk")
    }
    if let lastTurn {
      lines.append("last turn:")
      lines.append(lastTurn.summary)
    } else {
      lines.append("memory     keys and values \(formatBytes(memory.store))")
    }
    return lines.joined(separator: "\n")
  }
}

// Documents that are asked about without naming a session: read once, and found again.

import ArgumentParser
import AttentionKernels
import Foundation
import Generation
import LlamaHost
import RetrievalAttention

/// Makes a context that has read documents: from a session that holds them already, from one of other versions of them,
/// or anew.
struct DocumentContext {
  let console: Console
  let documents: PromptDocuments
  let model: SessionModelOptions
  let chat: ChatTemplateOptions
  let system: SystemPromptOption
  let retrieval: RetrievalOptions
  let store: StoreOptions
  /// nil for retrieval, or what the model allows.
  let attention: AttentionChoice?
  let memory: MemoryLimitOption
  let states: StateOptions
  let limit: ContextLimitOptions
  let keepsSession: Bool
  /// Tokens of questions and answers that are planned for.
  let room: Int

  /// A context that has read the documents, and what that took.
  struct Opened {
    var chat: Chat
    /// Where the documents are on the disk, if they are.
    var session: Session?
    /// Tokens of documents that were read now.
    var readTokens: Int
    /// Where in the context each document is.
    var documents: [SessionDocument]
    /// For the model, and then for session and reading.
    var loadSeconds: Double
    var openSeconds: Double
  }

  private var sessions: DocumentSessions { DocumentSessions(store: .cache) }
  /// Bytes on the disk that sessions may take together, where the configuration does not say.
  static let defaultCache = 8 << 30

  func open() throws -> Opened {
    let start = ContinuousClock.now
    let path = try model.path()
    let policy = try retrieval.policy(attention, of: path, model.variant, store, console)
    let isStored = policy.map { $0 == .exact || $0.retrieval != nil } ?? false
    let settings = try settings(path, policy)
    let match = keepsSession && isStored ? sessions.find(documents, settings: settings) : nil
    let (llama, pool) = try load(path, match?.description)
    let isForced = attention != nil || retrieval.firstGiven != nil || store.format != KeyValueFormat()
    let isOurs = try policy != nil && console.takesOver(llama, pool, isForced: isForced)
    let loadSeconds = (ContinuousClock.now - start) / .seconds(1)
    if match == nil { try llama.checkChatTemplate() }
    var plan = Plan(conversation: try Conversation(model: llama))
    (plan.tokens, plan.documents) = try plan.conversation.read(documents)
    try limit.check(tokens: plan.tokens.count + room, model: llama, console)
    var opened: Opened
    if let policy, isOurs {
      let host = try GuestHost(model: llama, pool: pool, format: store.format)
      states.apply(to: host)
      opened =
        keepsSession && isStored
        ? try openSession(host, policy, plan, match, settings) : try readWithout(host, policy, plan)
    } else {
      opened = try read(
        plan, with: HostRunner(model: llama, pool: pool, contextLength: plan.tokens.count + room))
    }
    opened.loadSeconds = loadSeconds
    opened.openSeconds = (ContinuousClock.now - start) / .seconds(1) - loadSeconds
    return opened
  }

  /// The tokens of all documents.
  struct Plan {
    var conversation: Conversation
    var tokens: [Int32] = []
    var documents: [SessionDocument] = []
  }

  private func load(_ path: String, _ session: SessionDescription?) throws -> (LlamaModel, ThreadPool) {
    let context = PlannedContext.counted { vocabulary in
      var conversation = try Conversation(model: vocabulary)
      return try conversation.read(documents).tokens.count + room
    }
    return try model.load(
      console, path: path, context: session.map { .begun($0.ropeFactors) } ?? context, chat: chat,
      system: system)
  }

  /// Everything but the documents that the tokens and keys of a session depend on.
  private func settings(_ path: String, _ policy: AttentionPolicy?) throws -> String {
    var parts = [
      "model \(try ModelFingerprint.text(ofFile: path))",
      "attention \(policy?.completeDescription ?? "host")",
      "format \(store.format)",
    ]
    for adapter in model.variant.lora {
      parts.append("adapter \(try ModelFingerprint.text(ofFile: adapter.path)) \(adapter.scale)")
    }
    if let factors = model.variant.ropeFactors { parts.append("factors \(factors.rawValue)") }
    if let scaling = model.variant.scaling.value { parts.append("scaling \(scaling)") }
    switch try chat.choice() {
    case .source(let text): parts.append("template \(text)")
    case .named(let name): parts.append("template named \(name)")
    case nil: break
    }
    if let arguments = chat.chatTemplateKwargs { parts.append("arguments \(arguments)") }
    if let reasoning = chat.reasoning { parts.append("reasoning \(reasoning.rawValue)") }
    if let system = system.system { parts.append("system \(system)") }
    return parts.joined(separator: "\n")
  }

  // MARK: Without a session

  private func readWithout(_ host: GuestHost, _ policy: AttentionPolicy, _ plan: Plan) throws -> Opened {
    let planned = plan.tokens.count + room
    return try read(plan, with: GuestRunner(host: host, policy: policy, plannedTokens: planned))
  }

  private func read(_ plan: Plan, with runner: any SequenceRunner) throws -> Opened {
    console.inform("reading \(documents.title): \(formatTokens(plan.tokens.count))")
    console.expectReading(with: runner, isCounted: true)
    _ = try runner.prefill(plan.tokens) {
      console.progress("reading", done: $0, total: plan.tokens.count, unit: "tokens")
    }
    console.clear()
    return Opened(
      chat: Chat(runner: runner, conversation: plan.conversation), readTokens: plan.tokens.count,
      documents: plan.documents, loadSeconds: 0, openSeconds: 0)
  }

  // MARK: With one

  private func openSession(
    _ host: GuestHost, _ policy: AttentionPolicy, _ plan: Plan, _ match: DocumentSessions.Match?,
    _ settings: String
  ) throws -> Opened {
    if let match, let (session, isNew) = try open(match, host, plan, settings) {
      return try read(plan, into: session, match, isNew: isNew)
    }
    if memory.memoryLimit == nil {
      do {
        try Context.checkMemory(shape: host.shape, tokens: plan.tokens.count)
      } catch let error as AttentionError {
        throw CommandError.needsMemory(error)
      }
    }
    let session = try Session.create(
      at: sessions.path(for: documents, settings: settings), host: host, policy: policy,
      plannedTokens: plan.tokens.count + room, memoryLimit: memory.memoryLimit?.bytes)
    session.attributes.merge(DocumentSessions.attributes(settings: settings)) { $1 }
    return try read(plan, into: session, nil, isNew: true)
  }

  /// The session of a match; nil where it cannot be opened, and goes if it is of no use.
  private func open(
    _ match: DocumentSessions.Match, _ host: GuestHost, _ plan: Plan, _ settings: String
  ) throws -> (session: Session, isNew: Bool)? {
    var directory = match.description.directory
    do {
      switch match {
      case .complete:
        return (try Session.open(directory, host: host, memoryLimit: memory.memoryLimit?.bytes), false)
      case .beginning:
        let copy = try sessions.path(for: documents, settings: settings)
        try Session.copy(directory, to: copy)
        directory = copy
      case .interrupted, .changed: break
      }
      let session = try Session.open(
        directory, host: host, access: .write, plannedTokens: plan.tokens.count + room,
        memoryLimit: memory.memoryLimit?.bytes)
      if case .beginning = match { return (session, true) }
      return (session, false)
    } catch SessionError.locked {
      return nil
    } catch let error where error is SessionError || error is StorageError {
      console.note("note: \(directory) cannot be used and is made anew: \(error)")
      try? Session.remove(directory)
      return nil
    }
  }

  private func read(
    _ plan: Plan, into session: Session, _ match: DocumentSessions.Match?, isNew: Bool
  ) throws -> Opened {
    var readTokens = 0
    let name = session.description.name
    if case .complete = match {
      console.inform("found session \(name): nothing to read again")
    } else {
      let kept = try session.keepPrefix(of: plan.tokens)
      readTokens = plan.tokens.count - kept
      console.inform(line(match, read: readTokens, of: plan.tokens.count, name))
      session.documents = plan.documents
      session.keep(plan.conversation)
      console.expectReading(with: session.runner, isCounted: true)
      do {
        try session.ingest(Array(plan.tokens[kept...])) { done, total in
          console.progress("reading", done: done, total: total, unit: "tokens")
        }
      } catch {
        let left = session.description
        if left.tokenCount + left.pendingTokenCount == 0 {
          try? session.discard()
        } else {
          console.note(
            "\(left.tokenCount) of \(plan.tokens.count) tokens are read and saved; the same command goes on from there"
          )
        }
        throw error
      }
      console.clear()
    }
    sessions.markUsed(session.directory)
    prune(keeping: session.directory)
    return Opened(
      chat: Chat(runner: try session.fork(), conversation: try session.conversation(session.runner.model)),
      session: session, readTokens: readTokens, documents: plan.documents, loadSeconds: 0, openSeconds: 0)
  }

  private func line(_ match: DocumentSessions.Match?, read count: Int, of total: Int, _ name: String)
    -> String
  {
    let part = "\(formatTokens(count).replacing(" tokens", with: "")) of \(formatTokens(total))"
    return switch match {
    case .interrupted: "reading \(documents.title): going on with session \(name), \(part) are left"
    case .changed(_, let names):
      "reading \(names.isEmpty ? documents.title : names.joined(separator: ", ")) again from the first difference on: \(part)"
    case .beginning(_, let known):
      "reading \(documents.elements.dropFirst(known).map(\.name).joined(separator: ", ")) behind what is known: \(part)"
    case .complete, nil: "reading \(documents.title): \(formatTokens(total))"
    }
  }

  private func prune(keeping directory: String) {
    let limit = (try? Configuration.shared.sessionCache) ?? Self.defaultCache
    let removed = sessions.prune(to: limit, keeping: directory)
    if !removed.isEmpty {
      console.inform(
        "removed \(formatCount(removed.count, "session")) that were not used for longest: \(removed.joined(separator: ", "))"
      )
    }
  }
}

extension DocumentSessions.Match {
  var description: SessionDescription {
    switch self {
    case .complete(let session), .interrupted(let session), .changed(let session, _),
      .beginning(let session, _):
      session
    }
  }
}

/// `10,128 tokens`
func formatTokens(_ count: Int) -> String {
  var digits = Array(String(count))
  for place in stride(from: digits.count - 3, to: 0, by: -3) { digits.insert(",", at: place) }
  return String(digits) + (count == 1 ? " token" : " tokens")
}

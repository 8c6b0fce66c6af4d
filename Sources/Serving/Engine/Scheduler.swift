// The public face of the engine: requests go into a mailbox, a thread of its own works on them.

import Foundation
import Generation
public import LlamaHost
import Platform
import RetrievalAttention
import Synchronization

/// Serves many requests with one model: their sequences are decoded together, and what they have in common is read
/// once.
///
///     let scheduler = try await Scheduler.start(model: model, settings: SchedulerSettings())
///     for try await event in try await scheduler.complete(CompletionRequest(prompt: .text("Once"))) { … }
///     await scheduler.drain(until: .now)
///
/// A step evaluates one token of every sequence that is being continued, and a piece of a prompt that is being read (of
/// several, where they are short), as one batch of the host (continuous batching, as in Orca, OSDI 2022, and vLLM,
/// arXiv 2309.06180). Requests start in the order in which they came; prompts that are being read take turns.
public final class Scheduler: InferenceService {
  /// What it serves.
  public let model: ModelCard
  /// Sessions on disk that are left out because they are damaged, in sentences for whoever started this.
  public let notes: [String]
  private let settings: SchedulerSettings
  private let limits: EngineLimits
  private let mailbox: Mailbox
  private let registry: SessionRegistry
  private let prompts: PromptBuilder
  private let llama: LlamaModel
  private let workers = WorkerThreads.shared

  /// Starts the engine's thread: probes the model and takes memory for batches.
  ///
  /// - Throws: ``Generation/GenerationError/unsupportedModel(_:)``, ``ServingError`` for settings that make no sense,
  ///   ``SessionSetupError`` and ``Generation/SessionError`` for sessions that cannot be served, such as one of another
  ///   model, and the host's errors.
  public static func start(model: LlamaModel, settings: SchedulerSettings) async throws -> Scheduler {
    try settings.checkNumbers()
    let mailbox = Mailbox()
    let registry = SessionRegistry()
    let folder = try settings.sessionFolder.map { try SessionFolder($0) }
    let (limits, notes): (EngineLimits, [String]) = try await withCheckedThrowingContinuation {
      continuation in
      let thread = Thread {
        do {
          let engine = try SchedulerCore(
            model: model, settings: settings, mailbox: mailbox, registry: registry, folder: folder)
          continuation.resume(returning: (engine.limits, try engine.registerSessions()))
          engine.run()
        } catch {
          continuation.resume(throwing: error)
        }
      }
      thread.name = "inference"
      // The host's grammar parser and graph builder recurse.
      thread.stackSize = 16 << 20
      thread.start()
    }
    return Scheduler(
      model: model, settings: settings, limits: limits, notes: notes, mailbox: mailbox, registry: registry)
  }

  private init(
    model: LlamaModel, settings: SchedulerSettings, limits: EngineLimits, notes: [String], mailbox: Mailbox,
    registry: SessionRegistry
  ) {
    let file = URL(fileURLWithPath: model.description.path).deletingPathExtension().lastPathComponent
    self.model = ModelCard(
      id: settings.modelName ?? file, contextLength: limits.contextLength, created: Date())
    llama = model
    self.settings = settings
    self.limits = limits
    self.notes = notes
    self.mailbox = mailbox
    self.registry = registry
    prompts = PromptBuilder(model: model, contextLength: limits.contextLength)
  }

  /// Queues a request; its events come as they happen.
  public func complete(
    _ request: CompletionRequest
  ) async throws -> AsyncThrowingStream<CompletionEvent, any Error> {
    let session = try request.session.map { try registry.use($0) }
    let prompt = try await workers.run(size: request.prompt.byteCount) { [prompts, llama] cancellation in
      let prompt = try prompts.tokens(request.prompt, document: session)
      try cancellation.check()
      if request.sampling.grammar != nil {
        // So that a grammar that cannot be followed is the client's error, and at once.
        do {
          try Sampler(settings: request.sampling, model: llama).checkGrammar()
        } catch {
          throw ServingError.invalidParameter("grammar", message: "\(error)")
        }
      }
      return prompt
    }
    let room = limits.contextLength - prompt.count
    let wanted = request.maximumTokens ?? min(settings.defaultMaximumTokens, max(1, room))
    guard wanted <= room else {
      throw ServingError.contextTooLong(tokens: prompt.count, requested: wanted, limit: limits.contextLength)
    }
    try limits.check(tokens: prompt.count + wanted)
    let (stream, continuation) = AsyncThrowingStream<CompletionEvent, any Error>.makeStream()
    let group = RequestGroup(
      sink: .completion(continuation), request: request, prompt: prompt, maximumTokens: wanted)
    watch(group) { continuation.onTermination = $0 }
    try mailbox.submit(group, limit: settings.queueLength, parallel: settings.parallel)
    return stream
  }

  /// Notes when nobody wants the answer any more.
  private func watch<Reason>(_ group: RequestGroup, _ install: (@escaping @Sendable (Reason) -> Void) -> Void)
  {
    install { [mailbox] _ in
      group.isCancelled.store(true, ordering: .releasing)
      mailbox.wake()
    }
  }

  /// Counts since the start.
  public func statistics() async -> ServingStatistics {
    var statistics = mailbox.with { state in
      var statistics = state.statistics
      statistics.waiting = state.queue.count + state.pending
      return statistics
    }
    statistics.sessions = registry.count
    return statistics
  }

  /// Reads a document into a session of its own.
  public func createSession(
    name: String, text: String
  ) async throws -> AsyncThrowingStream<SessionEvent, any Error> {
    let document = try await workers.run(size: text.utf8.count) { [prompts] _ in
      try prompts.document(text, name: name)
    }
    let prompt = document.tokens
    // A question and an answer of a few tokens at least must fit behind it.
    let room = SchedulerCore.leastRoom
    guard prompt.count + room <= limits.contextLength else {
      throw ServingError.contextTooLong(tokens: prompt.count, requested: room, limit: limits.contextLength)
    }
    try limits.check(tokens: prompt.count + room)
    let card = try registry.create(name: name, document: document, limit: settings.maximumSessions)
    let (stream, continuation) = AsyncThrowingStream<SessionEvent, any Error>.makeStream()
    let request = CompletionRequest(prompt: .tokens(prompt), session: card.id)
    let group = RequestGroup(
      sink: .session(continuation, id: card.id), request: request, prompt: prompt, maximumTokens: 0)
    watch(group) { continuation.onTermination = $0 }
    continuation.yield(.created(card))
    do {
      try mailbox.submit(group, limit: settings.queueLength, parallel: settings.parallel)
    } catch {
      try registry.remove(card.id)
      throw error
    }
    return stream
  }

  /// All sessions, those that are being read included.
  public func sessions() async -> [SessionCard] { registry.cards }

  /// One session; throws ``ServingError/unknownSession(_:)``.
  public func session(_ id: String) async throws -> SessionCard { try registry.card(id) }

  /// Forgets a session and removes its files.
  public func deleteSession(_ id: String) async throws {
    guard !(try registry.card(id)).isReadOnly else { throw ServingError.readOnlySession(id) }
    let document = try registry.remove(id)
    mailbox.delete(session: id)
    guard let directory = document.directory else { return }
    do {
      // Gigabytes are not removed in a moment.
      try await workers.run(size: .max) { _ in try Session.remove(directory) }
    } catch {
      throw ServingError.engineFailure(
        "the session is gone from the server, but its files could not be removed: \(SessionWriter.reason(error))"
      )
    }
  }

  /// Takes no more requests, lets those in work end until the deadline, and stops.
  public func drain(until deadline: ContinuousClock.Instant) async {
    mailbox.drain(until: deadline)
    while !mailbox.with({ $0.isIdle }) { try? await Task.sleep(for: .milliseconds(20)) }
  }
}

extension CompletionRequest.Prompt {
  /// Bytes to go through until its tokens are known.
  fileprivate var byteCount: Int {
    switch self {
    case .text(let text, _): text.utf8.count
    case .tokens(let tokens): tokens.count * MemoryLayout<Int32>.size
    case .chat(let messages): messages.reduce(0) { $0 + $1.content.utf8.count }
    }
  }
}

/// What an engine can take, known once it runs.
struct EngineLimits: Sendable {
  var contextLength: Int
  var memoryBudget: Int
  /// Bytes of keys, values, index and samples that one more token takes.
  var bytesPerToken: Int

  func bytes(tokens: Int) -> Int { tokens * bytesPerToken }

  /// Refuses what would not fit if it were alone.
  func check(tokens: Int) throws {
    guard bytes(tokens: tokens) <= memoryBudget else {
      throw ServingError.outOfMemory(required: bytes(tokens: tokens), budget: memoryBudget)
    }
  }
}

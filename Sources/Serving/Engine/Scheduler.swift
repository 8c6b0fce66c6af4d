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
  let intake: RequestIntake
  private let registry: SessionRegistry

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
      Thread.startEngine {
        do {
          let engine = try SchedulerCore(
            model: model, settings: settings, mailbox: mailbox, registry: registry, folder: folder)
          continuation.resume(returning: (engine.limits, try engine.registerSessions()))
          engine.run()
        } catch {
          continuation.resume(throwing: error)
        }
      }
    }
    return Scheduler(
      model: ModelCard(model, settings: settings, limits: limits), notes: notes,
      intake: RequestIntake(model: model, settings: settings, limits: limits, mailbox: mailbox),
      registry: registry)
  }

  private init(model: ModelCard, notes: [String], intake: RequestIntake, registry: SessionRegistry) {
    self.model = model
    self.notes = notes
    self.intake = intake
    self.registry = registry
  }

  /// Queues a request; its events come as they happen.
  public func complete(
    _ request: CompletionRequest
  ) async throws -> AsyncThrowingStream<CompletionEvent, any Error> {
    try await intake.submit(request, document: request.session.map { try registry.use($0) })
  }

  /// Counts since the start.
  public func statistics() async -> ServingStatistics {
    var statistics = intake.mailbox.with { state in
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
    let document = try await intake.workers.run(size: text.utf8.count) { [prompts = intake.prompts] _ in
      try prompts.document(text, name: name)
    }
    let prompt = document.tokens
    // A question and an answer of a few tokens at least must fit behind it.
    let room = SchedulerCore.leastRoom
    guard prompt.count + room <= intake.limits.contextLength else {
      throw ServingError.contextTooLong(
        tokens: prompt.count, requested: room, limit: intake.limits.contextLength)
    }
    try intake.limits.check(tokens: prompt.count + room)
    let card = try registry.create(name: name, document: document, limit: intake.settings.maximumSessions)
    let (stream, continuation) = AsyncThrowingStream<SessionEvent, any Error>.makeStream()
    let request = CompletionRequest(prompt: .tokens(prompt), session: card.id)
    let group = RequestGroup(
      sink: .session(continuation, id: card.id), request: request, prompt: prompt, maximumTokens: 0)
    intake.watch(group) { continuation.onTermination = $0 }
    continuation.yield(.created(card))
    do {
      try intake.mailbox.submit(group, limit: intake.settings.queueLength, parallel: intake.settings.parallel)
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
    intake.mailbox.delete(session: id)
    guard let directory = document.directory else { return }
    do {
      // Gigabytes are not removed in a moment.
      try await intake.workers.run(size: .max) { _ in try Session.remove(directory) }
    } catch {
      throw ServingError.engineFailure(
        "the session is gone from the server, but its files could not be removed: \(SessionWriter.reason(error))"
      )
    }
  }

  /// Takes no more requests, lets those in work end until the deadline, and stops.
  public func drain(until deadline: ContinuousClock.Instant) async {
    intake.mailbox.drain(until: deadline)
    while !intake.mailbox.with({ $0.isIdle }) { try? await Task.sleep(for: .milliseconds(20)) }
  }
}

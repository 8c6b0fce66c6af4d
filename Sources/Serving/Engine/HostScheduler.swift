// The engine for models whose attention cannot be taken over: llama.cpp's own, one request after another.

import Foundation
import Generation
public import LlamaHost
import RetrievalAttention
import Synchronization

/// Serves a model with llama.cpp's own attention, for those that ``Scheduler`` cannot serve.
///
/// Requests are answered one after another in one context, whose memory is taken at the start. What a prompt has in
/// common with the one before is not read again, where the host can take the rest back. There are no sessions.
public final class HostScheduler: InferenceService {
  /// What it serves.
  public let model: ModelCard
  let intake: RequestIntake

  /// Starts the engine's thread and takes memory for the context.
  ///
  /// - Throws: ``ServingError`` for settings that make no sense, or that ask for sessions, and the host's errors.
  public static func start(model: LlamaModel, settings: SchedulerSettings) async throws -> HostScheduler {
    try settings.checkNumbers()
    guard settings.sessions.isEmpty, settings.sessionFolder == nil else { throw ServingError.noSessions }
    let mailbox = Mailbox()
    let limits: EngineLimits = try await withCheckedThrowingContinuation { continuation in
      Thread.startEngine {
        do {
          let engine = try HostEngine(model: model, settings: settings, mailbox: mailbox)
          continuation.resume(returning: engine.limits)
          engine.run()
        } catch {
          continuation.resume(throwing: error)
        }
      }
    }
    var settings = settings
    settings.parallel = 1
    return HostScheduler(
      model: ModelCard(model, settings: settings, limits: limits),
      intake: RequestIntake(model: model, settings: settings, limits: limits, mailbox: mailbox))
  }

  private init(model: ModelCard, intake: RequestIntake) {
    self.model = model
    self.intake = intake
  }

  /// Queues a request; its events come as they happen.
  public func complete(
    _ request: CompletionRequest
  ) async throws -> AsyncThrowingStream<CompletionEvent, any Error> {
    if let session = request.session { throw ServingError.unknownSession(session) }
    return try await intake.submit(request)
  }

  /// Counts since the start.
  public func statistics() async -> ServingStatistics {
    intake.mailbox.with { state in
      var statistics = state.statistics
      statistics.waiting = state.queue.count
      return statistics
    }
  }

  /// Refuses with ``ServingError/noSessions``.
  public func createSession(
    name: String, text: String
  ) async throws -> AsyncThrowingStream<SessionEvent, any Error> {
    throw ServingError.noSessions
  }

  /// None.
  public func sessions() async -> [SessionCard] { [] }

  /// Throws ``ServingError/unknownSession(_:)``.
  public func session(_ id: String) async throws -> SessionCard { throw ServingError.unknownSession(id) }

  /// Throws ``ServingError/unknownSession(_:)``.
  public func deleteSession(_ id: String) async throws { throw ServingError.unknownSession(id) }

  /// Takes no more requests, lets the one in work end until the deadline, and stops.
  public func drain(until deadline: ContinuousClock.Instant) async {
    intake.mailbox.drain(until: deadline)
    while !intake.mailbox.with({ $0.isIdle }) { try? await Task.sleep(for: .milliseconds(20)) }
  }
}

/// What only the engine's thread touches.
private final class HostEngine {
  let limits: EngineLimits
  private let runner: HostRunner
  private let mailbox: Mailbox

  init(model: LlamaModel, settings: SchedulerSettings, mailbox: Mailbox) throws {
    let budget = settings.memoryBudget ?? (SystemMemory.availableBytes ?? 4 << 30) / 2
    let length = settings.contextLength ?? HostRunner.contextLength(of: model, bytes: budget)
    runner = try HostRunner(
      model: model, pool: ThreadPool(threadCount: settings.threads ?? ThreadPool.defaultThreadCount),
      contextLength: length)
    // The memory is taken already, whatever is asked.
    limits = EngineLimits(contextLength: length, memoryBudget: .max, bytesPerToken: 0)
    self.mailbox = mailbox
  }

  /// Works until the server is drained.
  func run() {
    while true {
      let (group, isOver) = mailbox.with { state in
        let group = state.queue.isEmpty ? nil : state.queue.removeFirst()
        state.statistics.running = group == nil ? 0 : 1
        if group == nil { state.isIdle = true }
        return (group, state.isDraining)
      }
      if let group {
        work(on: group)
      } else if isOver {
        return
      } else {
        mailbox.sleep(seconds: 60)
      }
    }
  }

  private func isPastDeadline() -> Bool {
    mailbox.with { state in state.deadline.map { ContinuousClock.now >= $0 } ?? false }
  }

  private func work(on group: RequestGroup) {
    let progress = GroupProgress(choices: group.request.choiceCount)
    runner.isCancelled = { [self] in group.isCancelled.load(ordering: .acquiring) || isPastDeadline() }
    defer { runner.isCancelled = nil }
    do {
      guard runner.isCancelled?() == false else { throw CancellationError() }
      for choice in 0..<group.request.choiceCount { try answer(group, progress, choice) }
      mailbox.with {
        $0.statistics.completed += 1
        $0.statistics.running = 0
        $0.meanSeconds += (progress.seconds - $0.meanSeconds) / 8
      }
      group.send(.completed(progress.statistics(of: group)))
      group.finish()
    } catch {
      let isDraining = isPastDeadline()
      mailbox.with {
        $0.statistics.running = 0
        if error is CancellationError { $0.statistics.cancelled += 1 } else { $0.statistics.failed += 1 }
      }
      group.finish(throwing: served(error, isDraining: isDraining))
    }
  }

  private func served(_ error: any Error, isDraining: Bool) -> any Error {
    switch error {
    case is CancellationError: isDraining ? ServingError.draining : error
    case let error as SamplerError where error.isOfGrammar:
      ServingError.invalidParameter("grammar", message: "\(error)")
    default: ServingError.engineFailure("\(error)")
    }
  }

  /// Gives one answer.
  private func answer(_ group: RequestGroup, _ progress: GroupProgress, _ choice: Int) throws {
    let sampler = try Sampler(group.request, choice: choice, format: group.format, model: runner.model)
    sampler.acceptPrompt(group.prompt)
    let kept = try runner.keepPrefix(of: group.prompt)
    let start = ContinuousClock.now
    if progress.firstWork == nil {
      progress.firstWork = start
      group.send(.started(promptTokens: group.prompt.count, cachedTokens: kept))
      mailbox.with {
        $0.statistics.promptTokens += group.prompt.count
        $0.statistics.cachedTokens += kept
      }
    }
    var clock = ReadingClock(from: kept, growth: ReadingEstimate.expectedGrowth(runner.model.description))
    let total = group.prompt.count
    var logits = try runner.prefill(Array(group.prompt[kept...])) { done in
      clock.note(kept + done, isAlone: true)
      guard choice == 0 else { return }
      group.send(.prefill(done: kept + done, total: total, secondsLeft: clock.secondsLeft(until: total)))
    }
    count(tokens: group.prompt.count - kept, since: start)
    var text = AnswerText(group, model: runner.model)
    let tokenizer = runner.model.tokenizer
    while true {
      let row = logits.last
      let token = try sampler.sample(logits: row)
      if progress.firstToken == nil { progress.firstToken = .now }
      if group.maximumTokens > 0, !tokenizer.isEndOfGeneration(token) {
        try sampler.accept(token)
        progress.generatedTokens += 1
        mailbox.with { $0.statistics.generatedTokens += 1 }
      }
      let reason = text.take(token, logits: row, tokenizer: tokenizer) {
        group.send(.delta(choice: choice, $0))
      }
      if let reason {
        progress.reasoningTokens += text.reasoningTokens
        group.send(.finished(choice: choice, reason: reason, tokens: text.tokenCount))
        return
      }
      let step = ContinuousClock.now
      logits = try runner.decode(token)
      count(tokens: 1, since: step)
    }
  }

  private func count(tokens: Int, since start: ContinuousClock.Instant) {
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    mailbox.with {
      $0.statistics.batches += 1
      $0.statistics.batchTokens += tokens
      $0.statistics.busySeconds += seconds
    }
  }
}

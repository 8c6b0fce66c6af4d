// The engine's thread: admits requests, keeps contexts within their memory, ends what is over.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention

/// Everything that only the engine's thread touches.
final class SchedulerCore {
  /// A choice that has not begun.
  struct Pending {
    var group: RequestGroup
    var progress: GroupProgress
    var choice: Int
  }

  let limits: EngineLimits
  let runner: BatchRunner
  let settings: SchedulerSettings
  private let mailbox: Mailbox
  let registry: SessionRegistry
  private var store: any ContextStore = ExclusiveContextStore()
  private var pending: [Pending] = []
  /// Sequences at work. Those that read a prompt take turns: the first one of them is next.
  var jobs: [SequenceJob] = []
  var pace: StepPace

  init(model: LlamaModel, settings: SchedulerSettings, mailbox: Mailbox, registry: SessionRegistry) throws {
    let pool = try ThreadPool(threadCount: settings.threads ?? ThreadPool.defaultThreadCount)
    runner = try BatchRunner(
      model: model, pool: pool, sequenceCapacity: min(settings.parallel, 256),
      batchCapacity: max(512, settings.parallel))
    self.settings = settings
    self.mailbox = mailbox
    self.registry = registry
    pace = StepPace(limit: Double(settings.stallMilliseconds) / 1000)
    let trained = model.description.trainedContextLength
    // A tenth more for indexes, and a little for samples, as GuestRunner reckons.
    let bytesPerToken = runner.shape.bytesPerToken + runner.shape.bytesPerToken / 8
    limits = EngineLimits(
      contextLength: settings.contextLength ?? (trained > 0 ? trained : 4096),
      memoryBudget: settings.memoryBudget ?? (SystemMemory.availableBytes ?? 4 << 30) / 2,
      bytesPerToken: bytesPerToken)
  }

  /// Works until the server is drained.
  func run() {
    while true {
      collect()
      admit()
      report()
      if jobs.isEmpty {
        if pending.isEmpty, isDone() { return }
        mailbox.sleep(seconds: pending.isEmpty ? 60 : 0.01)
        continue
      }
      autoreleasepool { step() }
    }
  }

  /// Whether the server is drained; notes that nothing is at work.
  private func isDone() -> Bool {
    mailbox.with { state in
      guard state.queue.isEmpty else { return false }
      state.isIdle = true
      return state.isDraining
    }
  }

  /// Takes what came in since the last step.
  private func collect() {
    let news = mailbox.with { state in
      defer { state.deletedSessions = [] }
      let isOver = state.deadline.map { ContinuousClock.now >= $0 } ?? false
      var queue: [RequestGroup] = []
      if pending.isEmpty || isOver {
        queue = state.queue
        state.queue = []
        state.pending += queue.reduce(0) { $0 + $1.request.choiceCount }
      }
      return (queue: queue, deleted: state.deletedSessions, isOver: isOver)
    }
    for group in news.queue {
      let progress = GroupProgress(choices: group.request.choiceCount)
      pending += (0..<group.request.choiceCount).map { Pending(group: group, progress: progress, choice: $0) }
    }
    for id in news.deleted { store.remove(session: id) }
    // A request of several choices ends with the first one that fails.
    for job in jobs where isCancelled(job.group) || job.progress.isOver {
      end(job, throwing: CancellationError())
    }
    for waiting in pending where isCancelled(waiting.group) {
      fail(waiting.group, waiting.progress, CancellationError())
    }
    if news.isOver {
      for job in jobs { end(job, throwing: ServingError.draining) }
      for waiting in pending { fail(waiting.group, waiting.progress, ServingError.draining) }
    }
    drop { $0.progress.isOver }
  }

  private func drop(_ isOver: (Pending) -> Bool) {
    let before = pending.count
    pending.removeAll(where: isOver)
    let dropped = before - pending.count
    if dropped > 0 { mailbox.with { $0.pending -= dropped } }
  }

  private func isCancelled(_ group: RequestGroup) -> Bool { group.isCancelled.load(ordering: .acquiring) }

  // MARK: Admission

  /// Starts choices in their order, as long as there are room and memory.
  private func admit() {
    var index = 0
    while jobs.count < runner.sequenceCapacity, index < pending.count {
      let next = pending[index]
      if isBusy(next.group.request.session) {
        // Its document is with another sequence, and will be back before it could be read again.
        index += 1
        continue
      }
      let stored = store.take(longestPrefixOf: next.group.prompt)
      guard makeRoom(tokens: next.group.prompt.count + next.group.maximumTokens) else {
        if let stored { store.put(stored) }
        return
      }
      pending.remove(at: index)
      mailbox.with { $0.pending -= 1 }
      do {
        try start(next, with: stored)
      } catch {
        fail(next.group, next.progress, ServingError.engineFailure("\(error)"))
        drop { $0.progress.isOver }
      }
    }
  }

  private func isBusy(_ session: String?) -> Bool {
    guard let session, jobs.contains(where: { $0.context.session == session }) else { return false }
    return !store.contexts.contains { $0.session == session }
  }

  /// Gives up stored contexts until `tokens` more fit; false when what is at work leaves too little.
  private func makeRoom(tokens: Int) -> Bool {
    let running = jobs.reduce(0) {
      $0 + limits.bytes(tokens: max($1.context.tokens.count, $1.group.prompt.count + $1.group.maximumTokens))
    }
    let needed = running + limits.bytes(tokens: tokens)
    while needed + store.contexts.reduce(0, { $0 + $1.byteCount }) > limits.memoryBudget {
      guard let evicted = store.evict() else { return jobs.isEmpty }
      if let session = evicted.session {
        registry.update(session) {
          $0.state = .evicted
          $0.bytes = 0
        }
      }
    }
    return true
  }

  private func start(_ next: Pending, with stored: StoredContext?) throws {
    let group = next.group
    let sampler = try group.sessionID == nil ? Sampler(settings: seeded(next), model: runner.model) : nil
    sampler?.acceptPrompt(group.prompt)
    let context =
      try stored
      ?? StoredContext(
        engine: try runner.makeEngine(policy: settings.attention, capacity: limits.contextLength))
    if let session = group.request.session, context.session != session, let card = try? registry.card(session)
    {
      context.session = session
      context.pinnedCount = card.tokens
    }
    context.engine.statistics = ReadStatistics()
    let job = SequenceJob(
      group: group, progress: next.progress, choice: next.choice, context: context, sampler: sampler)
    if !next.progress.isStarted {
      next.progress.isStarted = true
      next.progress.firstWork = .now
      group.send(.started(promptTokens: group.prompt.count, cachedTokens: context.tokens.count))
      mailbox.with {
        $0.statistics.promptTokens += group.prompt.count
        $0.statistics.cachedTokens += context.tokens.count
      }
    }
    jobs.append(job)
  }

  /// Choices of one request must differ, also with a seed.
  private func seeded(_ next: Pending) throws -> SamplerSettings {
    let settings = next.group.request.sampling
    guard let seed = settings.seed, next.choice > 0 else { return settings }
    return try SamplerSettings(
      temperature: settings.temperature, topK: settings.topK, topP: settings.topP, minP: settings.minP,
      repetitionPenalty: settings.repetitionPenalty, penaltyWindow: settings.penaltyWindow,
      frequencyPenalty: settings.frequencyPenalty, presencePenalty: settings.presencePenalty,
      seed: (seed &+ UInt32(next.choice)) % .max, grammar: settings.grammar)
  }

  // MARK: Ends

  /// A choice is complete.
  func complete(_ job: SequenceJob, _ reason: FinishReason) {
    let group = job.group
    let progress = job.progress
    group.send(.finished(choice: job.choice, reason: reason, tokens: job.generatedTokens))
    release(job)
    progress.openChoices -= 1
    guard progress.openChoices == 0 else { return }
    var statistics = CompletionStatistics()
    let now = ContinuousClock.now
    let work = progress.firstWork ?? now
    let token = progress.firstToken ?? now
    statistics.queueSeconds = (work - group.arrival) / .seconds(1)
    statistics.prefillSeconds = (token - work) / .seconds(1)
    statistics.decodeSeconds = (now - token) / .seconds(1)
    statistics.generatedTokens = progress.generatedTokens
    if progress.reads.steps > 0 { statistics.contextRead = progress.reads.keysReadWithStatic }
    progress.isOver = true
    mailbox.with {
      $0.statistics.completed += 1
      $0.meanSeconds += ((now - work) / .seconds(1) - $0.meanSeconds) / 8
    }
    // Who hears of the end and asks for the counts finds it in them.
    report()
    group.send(.completed(statistics))
    group.finish()
  }

  /// A document is read.
  func completeSession(_ job: SequenceJob, id: String) {
    let bytes = job.context.byteCount
    let card = registry.update(id) {
      $0.state = .ready
      $0.tokensRead = $0.tokens
      $0.bytes = bytes
    }
    release(job)
    job.progress.isOver = true
    mailbox.with { $0.statistics.completed += 1 }
    report()
    if let card, case .session(let continuation, _) = job.group.sink { continuation.yield(.ready(card)) }
    job.group.finish()
  }

  /// A sequence ends before its end. What it has read is kept.
  func end(_ job: SequenceJob, throwing error: any Error, keepsContext: Bool = true) {
    release(job, keepsContext: keepsContext)
    fail(job.group, job.progress, error)
  }

  private func fail(_ group: RequestGroup, _ progress: GroupProgress, _ error: any Error) {
    guard !progress.isOver else { return }
    progress.isOver = true
    if let id = group.sessionID { try? registry.remove(id) }
    mailbox.with {
      if error is CancellationError { $0.statistics.cancelled += 1 } else { $0.statistics.failed += 1 }
    }
    group.finish(throwing: error)
  }

  /// Takes a job off the list and keeps its context for others.
  private func release(_ job: SequenceJob, keepsContext: Bool = true) {
    jobs.removeAll { $0 === job }
    guard keepsContext else { return }
    if let session = job.context.session {
      let isRead = job.context.tokens.count >= job.context.pinnedCount ?? 0
      guard registry.contains(session), isRead else { return }
      let bytes = job.context.byteCount
      registry.update(session) {
        if $0.state == .evicted { $0.state = .ready }
        $0.bytes = bytes
      }
    }
    store.put(job.context)
  }

  private func report() {
    let running = jobs.count
    let stored = store.contexts.count
    let bytes = (store.contexts + jobs.map(\.context)).reduce(0) { $0 + $1.byteCount }
    mailbox.with {
      $0.statistics.running = running
      $0.statistics.storedContexts = stored
      $0.statistics.contextBytes = bytes
    }
  }

  func count(batchTokens: Int, seconds: Double, generated: Int) {
    mailbox.with {
      $0.statistics.batches += 1
      $0.statistics.batchTokens += batchTokens
      $0.statistics.busySeconds += seconds
      $0.statistics.generatedTokens += generated
    }
  }
}

#if !canImport(ObjectiveC)
  /// Only Apple's systems have pools to drain.
  private func autoreleasepool<Result>(_ body: () throws -> Result) rethrows -> Result { try body() }
#endif

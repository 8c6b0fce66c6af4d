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
    /// Who reads what this one begins with, too, and how many tokens that is; it waits for that.
    var awaited: (reader: SequenceJob, count: Int)?
  }

  let limits: EngineLimits
  let runner: BatchRunner
  let settings: SchedulerSettings
  let mailbox: Mailbox
  let registry: SessionRegistry
  var store: ContextStore
  /// Where uploaded documents are kept, if they are.
  let folder: SessionFolder?
  let writer = SessionWriter()
  /// Documents that are being written, with who waits for that.
  var saving: [String: RequestGroup] = [:]
  var pending: [Pending] = []
  /// Sequences at work. Those that read a prompt take turns: the first one of them is next.
  var jobs: [SequenceJob] = []
  var pace: StepPace
  /// Most contexts at once, at work and kept: each takes some of the process's mappings.
  let maximumContexts: Int
  /// How fast prompts are read here; nil where that cannot be kept.
  var forecast: ReadingForecast?
  /// How much a token costs more for each one before it, as the model's shape has it expected.
  let costGrowth: Double?
  /// Heads that tell where answers come from.
  let evidenceHeads: EvidenceHeads
  /// When the bytes of all contexts were counted.
  private var counted: ContinuousClock.Instant?

  init(
    model: LlamaModel, settings: SchedulerSettings, mailbox: Mailbox, registry: SessionRegistry,
    folder: SessionFolder?
  ) throws {
    let pool = try ThreadPool(threadCount: settings.threads ?? ThreadPool.defaultThreadCount)
    runner = try BatchRunner(
      model: model, pool: pool, sequenceCapacity: min(settings.parallel, 256),
      batchCapacity: max(512, settings.parallel), format: settings.format)
    runner.host.placement = settings.placement
    runner.host.stateBudget = settings.stateBudget
    self.settings = settings
    self.folder = folder
    self.mailbox = mailbox
    self.registry = registry
    pace = StepPace(limit: Double(settings.stallMilliseconds) / 1000)
    limits = EngineLimits(
      contextLength: settings.contextLength ?? (model.contextLimit > 0 ? model.contextLimit : 4096),
      memoryBudget: settings.memoryBudget ?? (SystemMemory.availableBytes ?? 4 << 30) / 2,
      bytesPerToken: runner.shape.bytesPerTokenWithIndex)
    forecast = ReadingForecast(
      model, policy: settings.attention, shape: runner.shape, threads: pool.threadCount)
    costGrowth = ReadingEstimate.expectedGrowth(model.description)
    evidenceHeads = try EvidenceHeads(of: model, shape: runner.shape, profile: settings.evidenceProfile)
    // The settings are wrong now or never.
    let probe = try runner.makeContext(policy: settings.attention, capacity: 1)
    store = ContextStore(isShared: probe.engine.isForkable, capacity: limits.contextLength)
    maximumContexts = Self.maximumContexts(shape: runner.shape)
  }

  /// A fork has about six mappings for each KV head, some more when it is forked itself; the rest of the process needs
  /// some hundreds.
  private static func maximumContexts(shape: ModelShape) -> Int {
    guard let mappings = SystemMemory.maximumMappings else { return 1024 }
    let heads = shape.keyLayers.reduce(0) { $0 + $1.kvHeadCount }
    return max(2, mappings * 9 / 10 / (10 * max(1, heads)))
  }

  /// Works until the server is drained.
  func run() {
    while true {
      collect()
      admit()
      report()
      if jobs.isEmpty {
        if pending.isEmpty, saving.isEmpty, isDone() { return }
        mailbox.sleep(seconds: pending.isEmpty && saving.isEmpty ? 60 : 0.01)
        continue
      }
      autoreleasepool { step() }
    }
  }

  /// Whether the server is drained; notes that nothing is at work.
  private func isDone() -> Bool {
    mailbox.with { state in
      guard state.queue.isEmpty else { return false }
      // Who waits for the end may start another server.
      if state.isDraining { folder?.release() }
      state.isIdle = true
      return state.isDraining
    }
  }

  /// Takes what came in since the last step.
  private func collect() {
    let news = mailbox.with { state in
      defer {
        state.deletedSessions = []
        state.savedSessions = []
      }
      let isOver = state.deadline.map { ContinuousClock.now >= $0 } ?? false
      var queue: [RequestGroup] = []
      // Those that wait for a prompt to be read keep nobody else waiting.
      if isOver || pending.allSatisfy({ $0.awaited != nil }) {
        queue = state.queue
        state.queue = []
        state.pending += queue.reduce(0) { $0 + $1.request.choiceCount }
      }
      return (
        queue: queue, deleted: state.deletedSessions, saved: state.savedSessions, isOver: isOver
      )
    }
    for group in news.queue {
      let progress = GroupProgress(choices: group.request.choiceCount)
      pending += (0..<group.request.choiceCount).map { Pending(group: group, progress: progress, choice: $0) }
    }
    for id in news.deleted { store.remove(session: id) }
    for (id, failure) in news.saved {
      if let group = saving[id] { didSave(id, group, failure: failure) }
    }
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
      for group in saving.values { group.finish(throwing: ServingError.draining) }
      saving = [:]
    }
    drop { $0.progress.isOver }
  }

  func drop(_ isOver: (Pending) -> Bool) {
    let before = pending.count
    pending.removeAll(where: isOver)
    let dropped = before - pending.count
    if dropped > 0 { mailbox.with { $0.pending -= dropped } }
  }

  func isCancelled(_ group: RequestGroup) -> Bool { group.isCancelled.load(ordering: .acquiring) }

  // MARK: Ends

  /// A choice is complete.
  func complete(_ job: SequenceJob, _ reason: FinishReason) {
    let group = job.group
    let progress = job.progress
    if let record = evidence(of: job) { group.send(.evidence(choice: job.choice, record)) }
    group.send(.finished(choice: job.choice, reason: reason, tokens: job.generatedTokens))
    release(job)
    progress.openChoices -= 1
    guard progress.openChoices == 0 else { return }
    progress.isOver = true
    let seconds = progress.seconds
    mailbox.with {
      $0.statistics.completed += 1
      $0.meanSeconds += (seconds - $0.meanSeconds) / 8
    }
    // Who hears of the end and asks for the counts finds it in them.
    report()
    group.send(.completed(progress.statistics(of: group)))
    group.finish()
  }

  /// A document is read. Where sessions are kept it is ready when it is on the disk, else now.
  func completeSession(_ job: SequenceJob, id: String) {
    release(job)
    job.progress.isOver = true
    guard !save(job.context, for: job.group, id: id) else { return }
    finishSession(job.group, id: id)
  }

  func finishSession(_ group: RequestGroup, id: String) {
    let card = registry.update(id) {
      $0.state = .ready
      $0.tokensRead = $0.tokens
    }
    mailbox.with { $0.statistics.completed += 1 }
    report()
    if let card, case .session(let continuation, _) = group.sink { continuation.yield(.ready(card)) }
    group.finish()
  }

  /// A sequence ends before its end. What it has read is kept.
  func end(_ job: SequenceJob, throwing error: any Error, keepsContext: Bool = true) {
    release(job, keepsContext: keepsContext)
    fail(job.group, job.progress, error)
  }

  func fail(_ group: RequestGroup, _ progress: GroupProgress, _ error: any Error) {
    guard !progress.isOver else { return }
    progress.isOver = true
    if let id = group.sessionID { _ = try? registry.remove(id) }
    mailbox.with {
      if error is CancellationError { $0.statistics.cancelled += 1 } else { $0.statistics.failed += 1 }
    }
    group.finish(throwing: error)
  }

  /// Takes a job off the list and keeps its context for others.
  private func release(_ job: SequenceJob, keepsContext: Bool = true) {
    jobs.removeAll { $0 === job }
    // Whoever still knows the job must not keep devices' memory.
    job.phase = .over
    guard keepsContext else { return }
    // An answer of one token, or a client that left: whoever finds the context wants its index, too.
    runner.updateIndex(of: job.context.context)
    keep(job.context)
  }

  /// Puts a context where others find it; a session's document is ready then.
  func keep(_ context: StoredContext) {
    if let session = context.session {
      guard registry.contains(session) else { return }
      if let pinned = context.pinnedCount {
        guard context.tokens.count >= pinned else { return }
        let engine = context.engine
        let bytes = engine.storeByteCount + engine.indexByteCount + engine.sampleByteCount
        registry.update(session) {
          if $0.state != .reading { $0.state = .ready }
          $0.bytes = bytes
        }
      }
    }
    store.put(context)
  }

  private func report() {
    let running = jobs.count
    let stored = store.contexts.count
    // A look at every head of every context: not for every step, but before a long sleep.
    let now = ContinuousClock.now
    var bytes: Int?
    let isIdle = jobs.isEmpty && pending.isEmpty && saving.isEmpty
    if isIdle || counted.map({ now - $0 > .milliseconds(500) }) ?? true {
      bytes = ContextFootprint(of: (store.contexts + jobs.map(\.context)).map(\.engine)).byteCount
      counted = now
    }
    mailbox.with {
      $0.statistics.running = running
      $0.statistics.storedContexts = stored
      if let bytes { $0.statistics.contextBytes = bytes }
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

// Who starts next, from which context, and whether there is memory for it.

import Generation
import LlamaHost
import RetrievalAttention

extension SchedulerCore {
  /// Starts choices in their order, as long as there are room and memory.
  func admit() {
    var index = 0
    while jobs.count < runner.sequenceCapacity, index < pending.count {
      let next = pending[index]
      if isWaiting(next) {
        index += 1
        continue
      }
      let prompt = next.group.prompt
      let running = jobs.filter { !$0.isIndexDue }.map(\.context)
      var found = store.match(prompt, running: running)
      // What cannot be opened is read again.
      if (try? openDocument(for: next.group, found: found?.count ?? 0)) == true {
        found = store.match(prompt, running: running)
      }
      pending[index].awaited = reader(of: next.group, found: found?.count ?? 0)
      // What it begins with is being read, and will be there before it could be read again.
      guard pending[index].awaited == nil else {
        index += 1
        continue
      }
      guard makeRoom(for: next.group, from: found) else { return }
      pending.remove(at: index)
      mailbox.with { $0.pending -= 1 }
      do {
        try start(next, from: found)
      } catch {
        fail(next.group, next.progress, ServingError.engineFailure("\(error)"))
        drop { $0.progress.isOver }
      }
    }
  }

  /// Whether what a choice begins with is still being read, or used, by another one.
  private func isWaiting(_ pending: Pending) -> Bool {
    if isBusy(pending.group.request.session) { return true }
    guard let (reader, count) = pending.awaited else { return false }
    return (reader.context.tokens.count < count || reader.isIndexDue) && jobs.contains { $0 === reader }
  }

  /// The sequence that is reading more of what `group` begins with than the `found` tokens that are there already, and
  /// how many they have in common.
  private func reader(of group: RequestGroup, found: Int) -> (reader: SequenceJob, count: Int)? {
    guard store.isShared else { return nil }
    for job in jobs where job.promptLeft > 0 || job.isIndexDue {
      let count = StoredContext.commonCount(job.group.prompt, group.prompt)
      let isComing = count > job.context.tokens.count || job.isIndexDue
      if count >= found + ContextStore.leastShared, isComing { return (job, count) }
    }
    return nil
  }

  /// Whether a session's document is with a sequence that has it alone.
  private func isBusy(_ session: String?) -> Bool {
    guard !store.isShared, let session, jobs.contains(where: { $0.context.session == session }) else {
      return false
    }
    return !store.contexts.contains { $0.session == session }
  }

  /// Gives up stored contexts until one more sequence fits; false when what is at work leaves too little.
  private func makeRoom(for group: RequestGroup, from found: ContextStore.Match?) -> Bool {
    let tokens = group.prompt.count + group.maximumTokens
    // What those at work will have when they are done, besides what they have.
    // A session keeps the format that it was made with.
    let shape = found?.context.engine.shape ?? runner.shape
    // What is indexed anew is not shared.
    let shared = found.map { $0.isReindexed ? 0 : $0.count } ?? 0
    let growth = jobs.reduce((tokens - shared) * shape.bytesPerTokenWithIndex) {
      let missing = $1.group.prompt.count + $1.group.maximumTokens - $1.context.tokens.count
      return $0 + missing * $1.context.engine.shape.bytesPerTokenWithIndex
    }
    while true {
      let contexts = store.contexts + jobs.map(\.context)
      let bytes =
        ContextFootprint(of: contexts.map(\.engine)).byteCount
        + Context.stateByteCount(of: contexts.map(\.context))
      if bytes + growth <= limits.memoryBudget, contexts.count < maximumContexts { return true }
      guard let evicted = store.evict(keeping: found?.context) else { return jobs.isEmpty }
      if evicted.pinnedCount != nil, let session = evicted.session {
        let isStored = registry.document(session)?.directory != nil
        registry.update(session) {
          $0.state = isStored ? .stored : .evicted
          if !isStored { $0.bytes = 0 }
        }
      }
    }
  }

  private func start(_ next: Pending, from found: ContextStore.Match?) throws {
    let begin = ContinuousClock.now
    let group = next.group
    let sampler =
      try group.sessionID == nil
      ? Sampler(group.request, choice: next.choice, format: group.format, model: runner.model) : nil
    sampler?.acceptPrompt(group.prompt)
    let context =
      try found.map { try store.take($0, parallel: runner.host.parallel) }
      ?? StoredContext(try runner.makeContext(policy: settings.attention, capacity: limits.contextLength))
    if let session = group.request.session, let card = try? registry.card(session) {
      context.session = session
      let isRead = context.tokens.count >= card.tokens
      // What is to be read becomes the document for others, too. Without forks that is so in any case.
      if isRead ? !store.isShared : !store.hasDocument(of: session) { context.pinnedCount = card.tokens }
    }
    context.engine.statistics = ReadStatistics()
    let job = SequenceJob(
      group: group, progress: next.progress, choice: next.choice, context: context, sampler: sampler,
      drafter: settings.draftsFromText ? TextDrafter() : nil,
      trace: sampler != nil && group.request.findsEvidence ? evidenceHeads.makeTrace() : nil,
      model: runner.model)
    if !next.progress.isStarted {
      next.progress.isStarted = true
      next.progress.firstWork = begin
      group.send(.started(promptTokens: group.prompt.count, cachedTokens: context.tokens.count))
      mailbox.with {
        $0.statistics.promptTokens += group.prompt.count
        $0.statistics.cachedTokens += context.tokens.count
      }
    }
    jobs.append(job)
  }
}

extension SamplerSettings {
  /// Choices of one request must differ, also with a seed.
  func forChoice(_ choice: Int) -> SamplerSettings {
    guard let seed, choice > 0 else { return self }
    return with(seed: (seed &+ UInt32(choice)) % .max)
  }
}

// One batch: a token of every sequence that is being continued, and pieces of prompts.

import Generation
import LlamaHost
import RetrievalAttention

extension SchedulerCore {
  /// Evaluates one batch and lets its sequences go on.
  func step() {
    let decoding = jobs.filter { $0.nextToken != nil && !$0.isIndexDue }
    let hasIndexed = updateIndex(besides: decoding.count)
    let drafts = self.drafts(for: decoding)
    var batch = zip(decoding, drafts).map { (job: $0, item: item(for: $0, drafts: $1)) }
    // Who waits for a token has waited for the index already.
    let decodedTokens = drafts.reduce(decoding.count) { $0 + $1.count }
    let readers = hasIndexed && !decoding.isEmpty ? [] : self.readers(besides: decodedTokens)
    for (reader, piece) in readers {
      if reader.clock == nil { announce(reader) }
      let isLast = piece.count == reader.promptLeft
      // A document of a session is asked later: its last token needs no logits now.
      let wantsLogits = isLast && reader.sampler != nil
      let indexedEnd = reader.indexedEnd
      var item = BatchRunner.Item(
        context: reader.context.context, tokens: piece, outputs: wantsLogits ? .last : .none,
        promptEnd: reader.context.tokens.count + piece.count <= indexedEnd ? indexedEnd : nil,
        prompt: devices(for: reader))
      if isLast { item.trace = reader.trace }
      batch.append((reader, item))
    }
    guard !batch.isEmpty else { return }
    let start = ContinuousClock.now
    let logits: Logits
    // A batch that nobody waits for any more ends within a layer.
    runner.isCancelled = { batch.allSatisfy { $0.job.isCancelled } }
    defer { runner.isCancelled = nil }
    do {
      logits = try runner.evaluate(batch.map(\.item))
    } catch let failure as BatchRunner.ItemFailure where failure.underlying.isCutFile {
      forgetCutContexts()
      return
    } catch let failure as BatchRunner.ItemFailure {
      end(
        batch[failure.index].job, throwing: ServingError.engineFailure("\(failure.underlying)"),
        keepsContext: false)
      return
    } catch is CancellationError {
      // Whose requests they are is looked at before the next step.
      return
    } catch {
      for part in batch {
        end(part.job, throwing: ServingError.engineFailure("\(error)"), keepsContext: false)
      }
      return
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    pace.add(
      seconds: seconds, decoding: decoding.count,
      promptTokens: readers.reduce(0) { $0 + $1.piece.count })
    var row = 0
    var generated = 0
    var results: [(job: SequenceJob, drafts: Int?, result: Chosen)] = []
    for (number, part) in batch.enumerated() {
      let drafts = number < drafts.count ? drafts[number] : []
      if number >= decoding.count { advance(part.job) }
      guard number < decoding.count || part.item.outputs == .last else { continue }
      let result = choose(part.job, drafts: drafts, logits: logits, from: row)
      row += drafts.count + 1
      generated += result.right + 1
      results.append((part.job, number < decoding.count ? drafts.count : nil, result))
    }
    // The logits may go with the drafts.
    for (job, drafts, result) in results { settle(job, drafts: drafts, result) }
    for (reader, _) in readers where !reader.isIndexDue { didIndex(reader) }
    count(batchTokens: batch.reduce(0) { $0 + $1.item.tokens.count }, seconds: seconds, generated: generated)
  }

  /// Gives up every context that reads from a file which has become shorter. A document is read again when it is asked
  /// next.
  private func forgetCutContexts() {
    for job in jobs where job.context.engine.hasCutFiles {
      end(
        job,
        throwing: ServingError.engineFailure("a file of the session became shorter while it was in use"),
        keepsContext: false)
    }
    for session in store.removeCut() {
      registry.update(session) {
        $0.state = .evicted
        $0.bytes = 0
      }
    }
  }

  /// The next pieces of prompts, in their turn: as many tokens as the others can wait for. Most often it is one piece
  /// of one prompt; short questions are read together.
  private func readers(besides decoding: Int) -> [(job: SequenceJob, piece: [Int32])] {
    var room = min(runner.batchCapacity - decoding, pace.promptTokens(besides: decoding))
    var readers: [(job: SequenceJob, piece: [Int32])] = []
    for job in jobs where job.nextToken == nil && !job.isIndexDue && job.promptLeft > 0 {
      // A smaller piece would not be worth reading the weights, and a single token would be read as an answer's.
      guard room >= min(StepPace.leastTokens, job.promptLeft) else { break }
      let position = job.context.tokens.count
      let length = min(job.readingEnd - position, room)
      readers.append((job, Array(job.group.prompt[position..<position + length])))
      room -= length
    }
    return readers
  }

  /// The devices that attend to what a sequence is reading; they get memory for it with its first piece.
  private func devices(for job: SequenceJob) -> DevicePrompt? {
    let end = job.readingEnd
    if let part = job.part, part.end == end { return part.devices }
    // The memory of the part before goes first.
    job.phase = .reading(nil)
    // One at a time: several would have to share devices' memory, and those that come first would have it all. Others
    // are read on the CPU meanwhile, and go on there when it is their turn.
    guard !jobs.contains(where: { $0.part?.devices != nil }) else { return nil }
    var devices = try? runner.devicePrompt(
      of: end - job.context.tokens.count, endingAt: end, for: job.context.context)
    // Pieces are too small to send keys and values with each.
    if devices?.keepsContext == false { devices = nil }
    job.phase = .reading(.init(end: end, devices: devices))
    return devices
  }

  /// A prompt's first piece is about to be read: its time is told if it is known and worth it.
  private func announce(_ job: SequenceJob) {
    let position = job.context.tokens.count
    let end = job.group.prompt.count
    job.clock = ReadingClock(
      from: position, growth: forecast?.growth ?? costGrowth, depth: ReadingDepth(settings.attention))
    guard end - position >= ReadingRates.leastTokens, let seconds = forecast?.seconds(of: position..<end)
    else { return }
    tell(job, done: position, secondsLeft: seconds)
  }

  private func tell(_ job: SequenceJob, done: Int, secondsLeft: Double?) {
    let total = job.group.prompt.count
    job.group.send(.prefill(done: done, total: total, secondsLeft: secondsLeft))
    if case .session(let continuation, _) = job.group.sink {
      continuation.yield(.progress(done: done, total: total, secondsLeft: secondsLeft))
    }
  }

  /// A piece of a prompt was read.
  private func advance(_ job: SequenceJob) {
    let context = job.context
    let position = context.tokens.count
    let end = job.group.prompt.count
    if position == job.part?.end { job.phase = .reading(nil) }
    job.clock?.note(position, isAlone: jobs.count == 1)
    if position == end, let clock = job.clock, let law = clock.law {
      forecast?.add(law, tokens: end - clock.start)
    }
    tell(job, done: position, secondsLeft: job.clock?.secondsLeft(until: end))
    if case .session(_, let id) = job.group.sink { registry.update(id) { $0.tokensRead = position } }
    // The next prompt's turn.
    if let index = jobs.firstIndex(where: { $0 === job }) { jobs.append(jobs.remove(at: index)) }
  }

  /// Goes on with the index of one sequence, for as long as the others can wait.
  ///
  /// - Returns: whether there was one.
  private func updateIndex(besides decoding: Int) -> Bool {
    guard let job = jobs.first(where: \.isIndexDue) else { return false }
    let end = ContinuousClock.now + .seconds(pace.secondsLeft(besides: decoding))
    guard runner.updateIndex(of: job.context.context, pauses: { ContinuousClock.now >= end }) else {
      return true
    }
    didIndex(job)
    return true
  }

  /// A piece is read and in the index: documents may be complete now.
  private func didIndex(_ job: SequenceJob) {
    if job.promptLeft == 0 {
      if let id = job.group.sessionID { completeSession(job, id: id) }
      return
    }
    if job.context.tokens.count == job.context.pinnedCount { separate(job) }
  }

  /// A session's document was read for a question: the document is for others now, too, and the question goes on with a
  /// fork.
  private func separate(_ job: SequenceJob) {
    guard store.isShared else { return }
    let document = job.context
    // Without a fork the context stays with the question, and goes to the others after it.
    guard let fork = try? document.fork(keeping: document.tokens.count, capacity: limits.contextLength) else {
      return
    }
    keep(document)
    job.context = fork
  }
}

extension Error {
  /// Whether a file became shorter that a context reads from.
  fileprivate var isCutFile: Bool {
    if case .cutShort? = self as? StorageError { true } else { false }
  }
}

// One batch: a token of every sequence that is being continued, and a piece of one prompt.

import Generation
import LlamaHost

extension SchedulerCore {
  /// Evaluates one batch and lets its sequences go on.
  func step() {
    let decoding = jobs.filter { $0.nextToken != nil }
    var batch = decoding.map { job in
      (job: job, tokens: job.nextToken.map { [$0] } ?? [], outputs: Outputs.last)
    }
    let reader = jobs.first { $0.nextToken == nil }
    if let reader {
      let piece = piece(of: reader, besides: decoding.count)
      let isLast = piece.count == reader.promptLeft
      // A document of a session is asked later: its last token needs no logits now.
      let wantsLogits = isLast && reader.sampler != nil
      batch.append((reader, piece, wantsLogits ? .last : .none))
    }
    let start = ContinuousClock.now
    let logits: Logits
    // A batch that nobody waits for any more ends within a layer.
    runner.isCancelled = { batch.allSatisfy { $0.job.isCancelled } }
    defer { runner.isCancelled = nil }
    do {
      logits = try runner.evaluate(
        batch.map { BatchRunner.Item(engine: $0.job.context.engine, tokens: $0.tokens, outputs: $0.outputs) })
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
      promptTokens: batch.last { $0.job === reader }?.tokens.count ?? 0)
    var row = 0
    var generated = 0
    for part in batch {
      part.job.context.tokens += part.tokens
      let hasLogits = part.outputs == .last
      if part.job === reader { advance(part.job) } else { indexDecoded(part.job) }
      guard hasLogits else { continue }
      defer { row += 1 }
      generated += 1
      choose(part.job, logits[row])
    }
    if let reader { finishReading(reader) }
    count(batchTokens: batch.reduce(0) { $0 + $1.tokens.count }, seconds: seconds, generated: generated)
  }

  /// The next tokens of a prompt: as many as the others can wait for.
  private func piece(of job: SequenceJob, besides decoding: Int) -> [Int32] {
    let position = job.context.tokens.count
    let room = runner.batchCapacity - decoding
    var length = min(job.promptLeft, room, pace.promptTokens(besides: decoding))
    // A session's document ends with a piece, so that its index is completed there.
    if let pinned = job.context.pinnedCount, position < pinned { length = min(length, pinned - position) }
    return Array(job.group.prompt[position..<position + length])
  }

  /// A piece of a prompt was read.
  private func advance(_ job: SequenceJob) {
    let context = job.context
    let position = context.tokens.count
    let end = job.group.prompt.count
    if let pinned = context.pinnedCount {
      if position <= pinned {
        runner.updateIndex(of: context.engine, finishing: position == pinned, promptEnd: pinned)
      }
      if position == pinned, position < end { separate(job) }
    } else {
      runner.updateIndex(of: context.engine, finishing: position == end, promptEnd: end)
    }
    job.group.send(.prefill(done: position, total: end))
    if case .session(let continuation, let id) = job.group.sink {
      continuation.yield(.progress(done: position, total: end))
      registry.update(id) { $0.tokensRead = position }
    }
    // The next prompt's turn.
    if let index = jobs.firstIndex(where: { $0 === job }) { jobs.append(jobs.remove(at: index)) }
  }

  /// A session's document was read for a question: the document is for others now, too, and the question goes on with a
  /// fork.
  private func separate(_ job: SequenceJob) {
    guard store.isShared else { return }
    let document = job.context
    // Without a fork the context stays with the question, and goes to the others after it.
    guard let fork = try? document.fork(keeping: document.tokens.count) else { return }
    keep(document)
    job.context = fork
  }

  /// Documents are complete when they are read; conversations go on.
  private func finishReading(_ job: SequenceJob) {
    guard job.promptLeft == 0, let id = job.group.sessionID else { return }
    completeSession(job, id: id)
  }

  /// Answers stay out of the index for a while: whoever asks something else about the same prompt then finds it whole.
  private static let unindexedTokens = 2048

  private func indexDecoded(_ job: SequenceJob) {
    guard job.context.pinnedCount == nil, job.generatedTokens > Self.unindexedTokens else { return }
    runner.updateIndex(of: job.context.engine, finishing: true, promptEnd: job.context.tokens.count)
  }

  private func choose(_ job: SequenceJob, _ logits: UnsafeBufferPointer<Float>) {
    guard let sampler = job.sampler else { return }
    do {
      let token = try sampler.sample(logits: logits)
      if job.progress.firstToken == nil { job.progress.firstToken = .now }
      let tokenizer = runner.model.tokenizer
      if !tokenizer.isEndOfGeneration(token) { try sampler.accept(token) }
      let reason = job.take(token, logits: logits, tokenizer: tokenizer)
      guard let reason else { return }
      job.progress.reads.add(job.context.engine.statistics)
      complete(job, reason)
    } catch {
      end(job, throwing: ServingError.engineFailure("\(error)"))
    }
  }
}

/// How many tokens of a prompt fit into a step, learned from the steps before.
struct StepPace {
  /// Seconds that a step may take while others wait.
  let limit: Double
  private var secondsPerPromptToken = 0.002
  private var secondsPerDecode = 0.02

  /// Fewer tokens at once would read the weights too often.
  static let leastTokens = 16
  /// How many times the limit a step may take that nobody waits for yet.
  static let patience = 4.0

  init(limit: Double) { self.limit = limit }

  mutating func add(seconds: Double, decoding: Int, promptTokens: Int) {
    if promptTokens == 0 {
      secondsPerDecode += (seconds - secondsPerDecode) / 4
    } else {
      let rest = max(0, seconds - (decoding > 0 ? secondsPerDecode : 0))
      let found = rest / Double(promptTokens)
      // Slower at once, faster with care: the limit is for the worst step.
      secondsPerPromptToken += (found - secondsPerPromptToken) / (found > secondsPerPromptToken ? 1 : 4)
    }
  }

  func promptTokens(besides decoding: Int) -> Int {
    // Alone, larger pieces are read faster; but who comes next has to wait for the piece.
    let left = decoding > 0 ? max(0, limit - secondsPerDecode) : Self.patience * limit
    return max(Self.leastTokens, Int(left / max(secondsPerPromptToken, 1e-7)))
  }
}

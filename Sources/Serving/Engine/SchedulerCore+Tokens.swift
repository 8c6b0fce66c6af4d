// Tokens of answers in a step: what is read of a sequence, drafts with it, and what is chosen of the logits.

import Generation
import LlamaHost
import RetrievalAttention

extension SchedulerCore {
  /// Answers stay out of the index for a while: whoever asks something else about the same prompt then finds it whole.
  private static let unindexedTokens = 2048

  private func indexesAnswer(of job: SequenceJob) -> Bool {
    job.context.pinnedCount == nil && job.generatedTokens > Self.unindexedTokens
  }

  /// A sequence's token, or with drafts of what may follow.
  func item(for job: SequenceJob, drafts: [Int32]) -> BatchRunner.Item {
    let context = job.context.context
    var item: BatchRunner.Item
    if let token = job.nextToken, !drafts.isEmpty {
      item = BatchRunner.Item(context: context, token: token, drafts: drafts)
    } else {
      item = BatchRunner.Item(
        context: context, tokens: job.nextToken.map { [$0] } ?? [], outputs: .last,
        promptEnd: indexesAnswer(of: job) ? context.tokenCount + 1 : nil)
    }
    item.trace = job.trace
    return item
  }

  /// Drafts for each sequence, as many together as there is room for logits besides those of all sequences.
  func drafts(for jobs: [SequenceJob]) -> [[Int32]] {
    // What is left when every sequence has logits, those that are reading among them.
    var room = runner.outputCapacity - runner.sequenceCapacity
    return jobs.map { job in
      let context = job.context.context
      // More than one more: a last token needs no drafts.
      let most = min(
        room, AttentionEngine.maximumDrafts, context.capacity - context.tokenCount - 1, job.tokensLeft - 1)
      guard let drafter = job.drafter, let token = job.nextToken, most > 0, context.takesDrafts,
        let drafts = try? drafter.propose(context: context.tokens, token: token, most: most)
      else { return [] }
      room -= drafts.count
      return drafts
    }
  }

  /// What became of a sequence's tokens.
  struct Chosen {
    /// Drafts that were right.
    var right = 0
    /// What is to be done when the context is in order; nil where the answer goes on.
    var ending: (() -> Void)?
  }

  /// Chooses the token that follows, and as long as drafts turn out right the one that follows them.
  func choose(_ job: SequenceJob, drafts: [Int32], logits: Logits, from row: Int) -> Chosen {
    var chosen = Chosen()
    while true {
      chosen.ending = choose(job, logits[row + chosen.right])
      guard chosen.ending == nil, chosen.right < drafts.count, job.nextToken == drafts[chosen.right] else {
        return chosen
      }
      chosen.right += 1
    }
  }

  /// Drops drafts that were wrong, and does what the choice of tokens has led to.
  ///
  /// - Parameter drafts: how many there were; nil for a prompt.
  func settle(_ job: SequenceJob, drafts: Int?, _ chosen: Chosen) {
    let context = job.context.context
    if let drafts, drafts > 0 {
      job.progress.drafts.proposed += drafts
      job.progress.drafts.accepted += chosen.right
      job.drafter?.note(right: chosen.right, wasWrong: chosen.ending == nil && chosen.right < drafts)
      do {
        try runner.keepDrafts(chosen.right, of: drafts, in: context, isIndexed: indexesAnswer(of: job))
      } catch {
        return end(job, throwing: ServingError.engineFailure("\(error)"), keepsContext: false)
      }
    }
    if drafts != nil { runner.updateIndex(of: context) }
    chosen.ending?()
  }

  /// Chooses a token.
  ///
  /// - Returns: what is to be done when the answer is over with it; nil where it goes on.
  private func choose(_ job: SequenceJob, _ logits: LogitRow) -> (() -> Void)? {
    guard let sampler = job.sampler else { return nil }
    do {
      let token = try sampler.sample(logits: logits)
      if job.progress.firstToken == nil { job.progress.firstToken = .now }
      let tokenizer = runner.model.tokenizer
      if !tokenizer.isEndOfGeneration(token) { try sampler.accept(token) }
      guard let reason = job.take(token, logits: logits, tokenizer: tokenizer) else { return nil }
      return { [self] in
        job.progress.reads.add(job.context.engine.statistics)
        complete(job, reason)
      }
    } catch let error as SamplerError where error.isOfGrammar {
      return { [self] in end(job, throwing: ServingError.invalidParameter("grammar", message: "\(error)")) }
    } catch {
      return { [self] in end(job, throwing: ServingError.engineFailure("\(error)")) }
    }
  }
}

// One sequence at work: a choice of a request, or a document that is read into a session.

import Generation
import LlamaHost
import RetrievalAttention
import Synchronization

/// What the choices of one request share. Made where the request comes in, used by the engine's thread.
final class RequestGroup: Sendable {
  /// Where events go.
  enum Sink: Sendable {
    case completion(AsyncThrowingStream<CompletionEvent, any Error>.Continuation)
    case session(AsyncThrowingStream<SessionEvent, any Error>.Continuation, id: String)
  }

  let sink: Sink
  let request: CompletionRequest
  /// Tokens of the prompt.
  let prompt: [Int32]
  /// The form of its answers; nil for a text and nothing else.
  let format: ChatFormat?
  let maximumTokens: Int
  /// Whether that is fewer than was asked for.
  let isShortened: Bool
  let arrival = ContinuousClock.now
  /// Whether nobody wants the answer any more.
  let isCancelled = Atomic(false)

  init(
    sink: Sink, request: CompletionRequest, prompt: [Int32], format: ChatFormat? = nil, maximumTokens: Int,
    isShortened: Bool = false
  ) {
    self.sink = sink
    self.request = request
    self.prompt = prompt
    self.format = format
    self.maximumTokens = maximumTokens
    self.isShortened = isShortened
  }

  func send(_ event: CompletionEvent) {
    if case .completion(let continuation) = sink { continuation.yield(event) }
  }

  func finish(throwing error: (any Error)? = nil) {
    switch sink {
    case .completion(let continuation): continuation.finish(throwing: error)
    case .session(let continuation, _): continuation.finish(throwing: error)
    }
  }

  var sessionID: String? {
    if case .session(_, let id) = sink { id } else { nil }
  }
}

/// What the engine's thread knows of a request besides.
final class GroupProgress {
  var openChoices: Int
  var isStarted = false
  var isOver = false
  var firstWork: ContinuousClock.Instant?
  var firstToken: ContinuousClock.Instant?
  var generatedTokens = 0
  var reasoningTokens = 0
  var reads = ReadStatistics()
  var drafts = DraftStatistics()

  init(choices: Int) { openChoices = choices }

  /// What all choices cost, when they are complete.
  func statistics(of group: RequestGroup, now: ContinuousClock.Instant = .now) -> CompletionStatistics {
    var statistics = CompletionStatistics()
    let work = firstWork ?? now
    let token = firstToken ?? now
    statistics.queueSeconds = (work - group.arrival) / .seconds(1)
    statistics.prefillSeconds = (token - work) / .seconds(1)
    statistics.decodeSeconds = (now - token) / .seconds(1)
    statistics.generatedTokens = generatedTokens
    statistics.reasoningTokens = reasoningTokens
    statistics.acceptedDrafts = drafts.accepted
    statistics.rejectedDrafts = drafts.proposed - drafts.accepted
    if group.isShortened { statistics.shortenedTo = group.maximumTokens }
    if reads.steps > 0 { statistics.contextRead = reads.keysReadWithStatic }
    return statistics
  }

  /// Seconds since the first work.
  var seconds: Double { firstWork.map { (.now - $0) / .seconds(1) } ?? 0 }
}

/// One sequence.
final class SequenceJob {
  enum Phase {
    /// The prompt is read: the part that is at hand, once it was begun.
    case reading(Part?)
    /// A token was chosen and is to be read next.
    case generating(next: Int32)
    /// Nothing more is done.
    case over
  }

  /// A part of a prompt.
  struct Part {
    /// Where it ends.
    var end: Int
    /// The devices that attend to it, if any do.
    var devices: DevicePrompt?
  }

  let group: RequestGroup
  let progress: GroupProgress
  let choice: Int
  var context: StoredContext
  let sampler: Sampler?
  /// Who foresees the answer's tokens; nil for nobody.
  let drafter: (any Drafter)?
  var phase = Phase.reading(nil)
  /// Since the first piece of the prompt.
  var clock: ReadingClock?
  private(set) var text: AnswerText
  /// Takes note of what the answer attends to; nil where nobody asks.
  let trace: AttentionTrace?

  init(
    group: RequestGroup, progress: GroupProgress, choice: Int, context: StoredContext, sampler: Sampler?,
    drafter: (any Drafter)? = nil, trace: AttentionTrace? = nil, model: LlamaModel
  ) {
    self.group = group
    self.progress = progress
    self.choice = choice
    self.context = context
    self.sampler = sampler
    self.drafter = drafter
    self.trace = trace
    text = AnswerText(group, model: model)
  }

  var generatedTokens: Int { text.tokenCount }

  /// Tokens that the answer may still have.
  var tokensLeft: Int { group.maximumTokens - generatedTokens }

  /// Whether nobody wants the answer any more.
  var isCancelled: Bool { group.isCancelled.load(ordering: .acquiring) }

  var nextToken: Int32? { if case .generating(let next) = phase { next } else { nil } }

  var part: Part? { if case .reading(let part) = phase { part } else { nil } }

  /// Whether something is to be put into the index before anything else is evaluated with the context.
  var isIndexDue: Bool { context.context.isIndexDue }

  /// Prompt tokens that are not read yet.
  var promptLeft: Int { group.prompt.count - min(group.prompt.count, context.tokens.count) }

  /// Where the part of the prompt ends that is being read: a session's document, so that its index is completed there,
  /// or all of it.
  var readingEnd: Int {
    let end = group.prompt.count
    guard let pinned = context.pinnedCount, context.tokens.count < pinned else { return end }
    return min(pinned, end)
  }

  /// Where what goes into the index ends: a session's document, behind which nothing does, or the prompt.
  var indexedEnd: Int { context.pinnedCount ?? group.prompt.count }

  /// Takes a token that was chosen; returns why the choice is complete, or nil when it goes on.
  func take(_ token: Int32, logits: LogitRow, tokenizer: Tokenizer) -> FinishReason? {
    let (before, thought) = (generatedTokens, text.reasoningTokens)
    let reason = text.take(token, logits: logits, tokenizer: tokenizer) {
      group.send(.delta(choice: choice, $0))
    }
    progress.generatedTokens += generatedTokens - before
    progress.reasoningTokens += text.reasoningTokens - thought
    guard reason == nil else { return reason }
    phase = .generating(next: token)
    return nil
  }
}

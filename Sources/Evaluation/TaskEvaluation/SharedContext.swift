// A context that is read once, for several attentions, and asked many questions.

import Generation
import LlamaHost
import RetrievalAttention

/// Attentions that decode on one and the same runner: see ``EvaluatedAttention/canShareContext(of:)``.
struct AttentionFamily {
  /// The one that the runner is made for.
  var leader: EvaluatedAttention
  var members: [EvaluatedAttention]
}

/// Runners that have read a context together, and go back to its end after each question.
///
/// Several policies read with exact attention, so that all runners but llama.cpp's own read with one pass of the model;
/// each keeps its own rows and index. An attention that is alone reads as it would elsewhere.
final class SharedContext {
  let tokens: [Int32]
  private let families: [AttentionFamily]
  private let makeRunner: (EvaluatedAttention) throws -> any SequenceRunner
  private let progress: (Int) -> Void
  /// One for each family.
  private var runners: [any SequenceRunner]
  /// Share of the keys that reading the context took, for each family; nil for llama.cpp's attention.
  private var promptKeysRead: [Double?] = []
  /// Seconds of reading the context for each family, its index included.
  private var prefillSeconds: [Double] = []
  /// The question that has been read behind the context.
  private var question: [Int32] = []
  /// The most probable token behind the question, for each family; nil where nothing has been read.
  private var next: [Int32?]

  /// Reads the context.
  ///
  /// - Parameters:
  ///   - families: those of policies, or a single one of llama.cpp's attention.
  ///   - progress: told how many of the tokens have been read.
  init(
    tokens: [Int32], families: [AttentionFamily],
    makeRunner: @escaping (EvaluatedAttention) throws -> any SequenceRunner,
    progress: @escaping (Int) -> Void = { _ in }
  ) throws {
    self.tokens = tokens
    self.families = families
    self.makeRunner = makeRunner
    self.progress = progress
    runners = try families.map { try makeRunner($0.leader) }
    next = Array(repeating: nil, count: families.count)
    let clock = ContinuousClock()
    let start = clock.now
    _ = try readAlong(tokens, progress: progress)
    let seconds = (clock.now - start).seconds - runners.reduce(0) { $0 + $1.indexSeconds }
    prefillSeconds = runners.map { seconds + $0.indexSeconds }
    promptKeysRead = runners.map { runner in
      (runner as? GuestRunner).map { isAlone ? $0.engine.promptReads.share ?? 1 : 1 }
    }
  }

  /// Seconds of reading the context, as if this attention had read it alone.
  func prefillSeconds(of attention: EvaluatedAttention) -> Double { prefillSeconds[place(of: attention)] }

  /// Share of the keys that tokens of the context read; nil for llama.cpp's attention.
  func promptKeysRead(of attention: EvaluatedAttention) -> Double? {
    promptKeysRead[place(of: attention)]
  }

  private func place(of attention: EvaluatedAttention) -> Int {
    guard let place = families.firstIndex(where: { $0.members.contains(attention) }) else {
      preconditionFailure("\(attention.name) did not read the context")
    }
    return place
  }

  private var isAlone: Bool { families.count == 1 && families[0].members.count == 1 }

  /// Reads a prompt with all runners.
  private func readAlong(_ prompt: [Int32], progress: ((Int) -> Void)?) throws -> Logits {
    let guests = runners.compactMap { $0 as? GuestRunner }
    guard guests.count == runners.count else { return try runners[0].prefill(prompt, progress: progress) }
    // Who has read while exact was active would not look after its index.
    for guest in guests {
      guest.options.isExact = false
      guest.options.readsAllKeys = !isAlone
    }
    // Rows in the order of the text give all others the very bits that they would come to alone.
    let reader = guests.firstIndex { !$0.engine.policy.movesRows } ?? 0
    let others = guests.indices.filter { $0 != reader }.map { guests[$0] }
    return try guests[reader].prefill(prompt, with: others, progress: progress)
  }

  /// What `body` makes of the context. Whatever it reads is forgotten before the next time.
  func use<Result>(
    _ attention: EvaluatedAttention, _ body: (any SequenceRunner) throws -> Result
  ) throws -> Result {
    let place = place(of: attention)
    try rewind(place, to: tokens.count)
    attention.activate(on: runners[place])
    return try body(runners[place])
  }

  /// Reads a question as the end of a prompt, for all attentions.
  func read(_ question: [Int32]) throws {
    for place in runners.indices { try rewind(place, to: tokens.count) }
    let first = LogitComparison.best(try readAlong(question, progress: nil).last).map(Int32.init)
    self.question = question
    next = Array(repeating: first, count: runners.count)
  }

  /// What `body` makes of context and question, given the token that follows.
  private func useQuestion<Result>(
    _ attention: EvaluatedAttention, _ body: (any SequenceRunner, Int32?) throws -> Result
  ) throws -> Result {
    let place = place(of: attention)
    try rewind(place, to: tokens.count + question.count)
    attention.activate(on: runners[place])
    return try body(runners[place], next[place])
  }

  /// Puts a runner back to the end of the context, or of the question that it has read; where its method cannot take
  /// tokens back, reads anew.
  private func rewind(_ place: Int, to count: Int) throws {
    guard runners[place].tokenCount != count else { return }
    do {
      try runners[place].truncate(to: count)
    } catch AttentionError.cannotTruncate {
      runners[place] = try makeRunner(families[place].leader)
      (runners[place] as? GuestRunner)?.options.readsAllKeys = !isAlone
      _ = try runners[place].prefill(tokens, progress: progress)
      guard count > tokens.count else { return }
      next[place] = LogitComparison.best(try runners[place].prefill(question, progress: nil).last).map(
        Int32.init)
    }
  }
}

/// What a model said to a question, and what that cost.
struct GivenAnswer {
  var text: String
  var tokens: [Int32] = []
  /// Milliseconds of each decode step.
  var steps = TimeSamples()
  /// What decode steps read; nil for the host.
  var reads: ReadStatistics?
}

extension SharedContext {
  /// Decodes the most probable answer to the question that was read last.
  ///
  /// - Parameters:
  ///   - byToken: a question to read first, in decode steps, so that it too sees the context through the policy; what
  ///     was read is left out then. As a batch it attends exactly, like the rest of a prompt.
  ///   - trace: takes note of what the answer attends to.
  ///   - isDecided: whether more text cannot change the score; decoding then ends.
  func answer(
    _ attention: EvaluatedAttention, maximumTokens: Int, byToken: [Int32]? = nil,
    trace: AttentionTrace? = nil, isDecided: (String) -> Bool
  ) throws -> GivenAnswer {
    func decode(_ runner: any SequenceRunner, from first: Int32?) throws -> GivenAnswer {
      let guest = runner as? GuestRunner
      guest?.engine.statistics = ReadStatistics()
      guest?.options.trace = trace
      defer { guest?.options.trace = nil }
      var answer = GivenAnswer(text: "")
      let clock = ContinuousClock()
      func step(_ token: Int32) throws -> LogitRow {
        let start = clock.now
        let logits = try runner.decode(token)
        answer.steps.append(clock.now - start)
        return logits.last
      }
      func choose(_ logits: LogitRow) -> Int32? { LogitComparison.best(logits).map(Int32.init) }
      var next = first
      for token in byToken ?? [] { next = choose(try step(token)) }
      if let next {
        var continuation = TextContinuation()
        _ = try continuation.run(
          from: next, tokenizer: runner.model.tokenizer, maximumTokens: maximumTokens,
          take: { _, _, text in !isDecided(text) }, read: { token, _ in try step(token) }, choose: choose)
        if continuation.stopReason == .cancelled { throw CancellationError() }
        (answer.text, answer.tokens) = (continuation.text, continuation.tokens)
      }
      answer.reads = runner.reads
      return answer
    }
    return byToken == nil
      ? try useQuestion(attention) { try decode($0, from: $1) }
      : try use(attention) { try decode($0, from: nil) }
  }
}

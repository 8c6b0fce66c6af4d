// Tokens a second of answers that repeat something of a document, one token at a time and with drafts.

package import AttentionKernels
package import Evaluation
package import Generation
package import LlamaHost
package import RetrievalAttention

/// Measures what drafts bring, and what they cost where nothing is repeated.
///
/// The document is read once for all questions; each answer is read or generated in a fork of its context, in turns
/// with and without drafts. Answers are given, the right ones: so what drafts bring is measured, and not what a model
/// can repeat. Generated ones tell how far drafts change what is said.
package final class DraftBenchmark {
  /// What is measured.
  package struct Settings: Sendable {
    /// Tokens of the documents, about.
    package var depths = [4096]
    package var tasks = DraftTask.allCases
    /// Most tokens of an answer.
    package var tokens = 128
    /// How often each answer is generated in each way; the median counts.
    package var rounds = 3
    /// Let the model answer, greedily; always so with ``isExact``.
    package var isGenerated = false
    /// No chat template: the question is a line of text, for models that only go on with one.
    package var isRaw = false
    /// Compare exact attention, one token at a time, with retrieval that foresees what exact attention checks.
    package var isExact = false
    /// Both ways attend so, or foresee tokens so where all are exact.
    package var retrieval = RetrievalSettings()
    /// How keys and values are stored.
    package var format = KeyValueFormat()
    /// Tokens that are read of a document; what is missing to its depth are copies. Nil reads all.
    package var syntheticPeriod: Int?

    package init() {}
  }

  /// What has been measured; complete after ``run(onPhase:)``, partial when that threw.
  package private(set) var results: [DraftResult] = []

  private let settings: Settings
  private let depths: [Int]
  private let text: String
  private let model: LlamaModel
  private let pool: ThreadPool

  /// - Parameter text: what documents are made of.
  /// - Throws: ``Generation/GenerationError/invalidCount(name:value:requirement:)`` for settings that make no sense,
  ///   and ``Generation/GenerationError/emptyPrompt`` for a text without words.
  package init(model: LlamaModel, pool: ThreadPool, text: String, settings: Settings = Settings()) throws {
    depths = try TokenCounts.checked(settings.depths, name: "depth", minimum: 128)
    for (name, count) in [("tokens", settings.tokens), ("rounds", settings.rounds)] where count <= 0 {
      throw GenerationError.invalidCount(name: name, value: count, requirement: "positive")
    }
    guard !text.allSatisfy(\.isWhitespace) else { throw GenerationError.emptyPrompt }
    self.settings = settings
    self.text = text
    self.model = model
    self.pool = pool
  }

  /// Tokens of the question and its template that a context has room for.
  package static let questionRoom = 512

  /// Measures all depths.
  ///
  /// Cancelling the task stops it within a layer with `CancellationError`; ``results`` then has what was measured.
  package func run(onPhase: (BenchmarkPhase) -> Void = { _ in }) throws {
    results = []
    let ways = DraftResult.Way.allCases
    try model.warmUp(
      pool: pool, tokens: model.tokenizer.tokenize("A text.", addSpecial: true, parseSpecial: false))
    for depth in depths {
      let copying = try document(tokens: min(depth, settings.syntheticPeriod ?? depth))
      var conversation = try Conversation(model: model, raw: settings.isRaw)
      let tokens = try conversation.read([(name: "text", text: copying.document)]).tokens
      let reader = try read(tokens, depth: depth, onPhase: onPhase)
      for (number, task) in settings.tasks.enumerated() {
        let question = copying.question(task)
        var asked = conversation
        let prompt = try asked.ask(question.text)
        let opening = try words(question.opening, after: asked)
        let answer = try words(question.answer, after: asked).prefix(settings.tokens)
        var samples: [DraftResult.Way: [Answer]] = [:]
        for round in 0..<settings.rounds {
          for (turn, way) in ways.enumerated() {
            onPhase(
              .decode(
                depth: depth, done: (number * settings.rounds + round) * ways.count + turn,
                total: settings.tasks.count * settings.rounds * ways.count))
            samples[way, default: []].append(
              isGenerated
                ? try generate(prompt + opening, format: asked.answerFormat, in: reader.fork(), way)
                : try read(Array(answer), after: prompt, in: reader.fork(), way))
          }
        }
        results += summary(samples, task: task, depth: reader.tokenCount)
      }
    }
  }

  /// A document of about so many tokens.
  private func document(tokens: Int) throws -> CopyingText {
    // A word has a token at least; two attempts find how many these have.
    var words = tokens
    for _ in 0..<2 {
      let count = try model.tokenizer.tokenize(
        CopyingText(text, words: words).document, addSpecial: false, parseSpecial: false
      ).count
      words = max(1, words * tokens / max(1, count))
    }
    return CopyingText(text, words: words)
  }

  private func read(
    _ tokens: [Int32], depth: Int, onPhase: (BenchmarkPhase) -> Void
  ) throws -> GuestRunner {
    var retrieval = settings.retrieval
    if settings.isExact { retrieval.prefillTolerance = 0 }
    let reader = try GuestRunner(
      model: model, pool: pool, policy: .retrieval(retrieval),
      plannedTokens: max(depth, tokens.count) + Self.questionRoom + settings.tokens, format: settings.format)
    try withoutActuallyEscaping(onPhase) { tell in
      _ = try reader.prefill(tokens) { tell(.prefill(name: "ours", done: $0, total: tokens.count)) }
    }
    if settings.syntheticPeriod != nil, depth > tokens.count {
      try reader.replicate(
        to: depth, period: tokens.count, first: min(retrieval.sinkCount, tokens.count - 1))
    }
    return reader
  }

  private var isGenerated: Bool { settings.isGenerated || settings.isExact }

  private func words(_ text: String, after conversation: Conversation) throws -> [Int32] {
    try model.tokenizer.tokenize(
      (conversation.isRaw ? "\n\n" : "") + text, addSpecial: false, parseSpecial: false)
  }

  /// What came of one question.
  private struct Answer {
    var tokens: [Int32]
    var text: String
    var millisecondsPerToken: Double
    var drafts: DraftStatistics
  }

  /// Reads an answer that is known, as one is read that is generated.
  private func read(
    _ answer: [Int32], after prompt: [Int32], in runner: GuestRunner, _ way: DraftResult.Way
  ) throws -> Answer {
    _ = try runner.prefill(prompt, progress: nil)
    let reader = DraftReader(runner, drafter: way == .drafts ? TextDrafter() : nil)
    let clock = ContinuousClock()
    let start = clock.now
    for (number, token) in answer.enumerated() {
      _ = try reader.read(token, followedBy: answer.count - number - 1)
    }
    try reader.finish()
    return Answer(
      tokens: answer, text: model.tokenizer.detokenize(answer),
      millisecondsPerToken: (clock.now - start) / .milliseconds(1) / Double(max(1, answer.count)),
      drafts: reader.statistics)
  }

  private func generate(
    _ prompt: [Int32], format: ChatFormat?, in runner: GuestRunner, _ way: DraftResult.Way
  ) throws -> Answer {
    var drafting = Drafting.none
    switch way {
    case .single: runner.options.isExact = settings.isExact
    case .drafts: drafting = Drafting(.text, isExact: settings.isExact)
    }
    let result = try TextGenerator(runner: runner, drafting: drafting).generate(
      prompt: prompt, maximumTokens: settings.tokens,
      sampler: Sampler(settings: .greedy, model: model, format: format)
    ) { _ in }
    // What was generated half-way counts for nothing.
    if result.stopReason == .cancelled { throw CancellationError() }
    let costs = result.statistics
    return Answer(
      tokens: result.tokens, text: result.text,
      millisecondsPerToken: costs.decodeSeconds * 1000 / Double(max(1, costs.decodeSteps)),
      drafts: costs.drafts)
  }

  private func summary(
    _ samples: [DraftResult.Way: [Answer]], task: DraftTask, depth: Int
  ) -> [DraftResult] {
    let reference = samples[.single]?.last?.tokens ?? []
    return DraftResult.Way.allCases.compactMap { way in
      guard let runs = samples[way], let last = runs.last,
        let spread = TimeSpread(runs.map(\.millisecondsPerToken))
      else { return nil }
      return DraftResult(
        task: task, way: way, isExact: settings.isExact, isGenerated: isGenerated, depth: depth,
        synthetic: settings.syntheticPeriod.map { $0 < depth } ?? false, rounds: runs.count,
        tokens: last.tokens.count, millisecondsPerToken: spread.median, spread: spread,
        steps: last.drafts.steps, proposed: last.drafts.proposed, accepted: last.drafts.accepted,
        sameTokens: isGenerated ? zip(last.tokens, reference).prefix { $0 == $1 }.count : nil,
        answer: last.text)
    }
  }
}

/// The time of an answer's tokens, with the names of its JSON form.
package struct DraftResult: Sendable, Codable {
  /// How tokens are generated.
  package enum Way: String, Sendable, Codable, CaseIterable {
    /// One at a time.
    case single
    /// Several at a time, where they were foreseen.
    case drafts
  }

  package var task: DraftTask
  package var way: Way
  /// Whether all tokens are exact attention's.
  package var isExact: Bool
  /// Whether the model said it; false for answers that were given.
  package var isGenerated: Bool
  /// Tokens in the context in front of the question.
  package var depth: Int
  /// Whether most of them are copies.
  package var synthetic: Bool
  package var rounds: Int
  /// Of the answer.
  package var tokens: Int
  /// The median over rounds.
  package var millisecondsPerToken: Double
  /// Milliseconds a token of the single rounds.
  package var spread: TimeSpread
  /// Passes through the model that checked drafts or had none.
  package var steps: Int
  /// Tokens that were foreseen.
  package var proposed: Int
  /// Tokens that were foreseen rightly.
  package var accepted: Int
  /// Tokens from the first on that are those of an answer generated one token at a time; nil for given ones.
  package var sameTokens: Int?
  package var answer: String
}

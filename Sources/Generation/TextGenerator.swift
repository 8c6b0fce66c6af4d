// A prompt, and what a model says to it.

public import LlamaHost
public import RetrievalAttention

/// Generates text from a prompt with any ``SequenceRunner``.
public struct TextGenerator {
  /// What is told while generation goes on.
  public enum Event: Sendable {
    /// Prompt tokens read so far, of how many.
    case prefill(done: Int, total: Int)
    /// More of the answer; empty while a character is incomplete.
    case text(String)
    /// More of what the model thinks before it answers.
    case reasoning(String)
  }

  /// Why generation ended.
  public enum StopReason: String, Sendable, Codable {
    /// The model said so.
    case endOfText
    /// The limit of tokens was reached.
    case length
    /// The answer repeated the same words again and again, and ``TextGenerator/stopsAtRepetition`` was set.
    case repetition
    /// The task was cancelled while decoding.
    case cancelled
  }

  /// What was generated, with its costs.
  public struct Result: Sendable {
    public var text: String
    /// What the model thought before; empty for nothing.
    public var reasoning: String
    public var tokens: [Int32]
    /// The position of the first of them in the context.
    public var answerStart: Int
    public var stopReason: StopReason
    public var statistics: GenerationStatistics
  }

  public let runner: any SequenceRunner
  /// Whether several tokens are read at once where they can be foreseen.
  public var drafting: Drafting
  /// Whether an answer ends that goes in circles: the same words three times in a row, and for 360 characters.
  public var stopsAtRepetition = false
  /// Takes note of what the answer's tokens attend to; nil for nobody. Of no effect where the host attends.
  public var trace: AttentionTrace?

  public init(runner: any SequenceRunner, drafting: Drafting = .text, trace: AttentionTrace? = nil) {
    self.runner = runner
    self.drafting = drafting
    self.trace = trace
  }

  /// Tokens between two looks for a repetition.
  private static let repetitionInterval = 16

  /// Reads `prompt` and generates up to `maximumTokens` tokens.
  ///
  /// Runs on the calling thread. Cancelling the task stops it within one layer: with `CancellationError` while the
  /// prompt is read, with what was generated so far and ``StopReason/cancelled`` after that.
  public func generate(
    prompt: [Int32], maximumTokens: Int, sampler: Sampler, onEvent: (Event) -> Void
  ) throws -> Result {
    guard maximumTokens > 0 else {
      throw GenerationError.invalidCount(name: "max tokens", value: maximumTokens, requirement: "positive")
    }
    let clock = ContinuousClock()
    let start = clock.now
    let indexedBefore = runner.indexSeconds
    sampler.acceptPrompt(prompt)
    let guest = runner as? GuestRunner
    guest?.isLossless = drafting.isExact
    guest?.options.trace = trace
    defer {
      guest?.isLossless = false
      guest?.options.trace = nil
    }
    let logits = try withoutActuallyEscaping(onEvent) { tell in
      try runner.prefill(prompt) { tell(.prefill(done: $0, total: prompt.count)) }
    }
    let prefilled = clock.now
    let indexSeconds = runner.indexSeconds - indexedBefore
    let answerStart = runner.tokenCount
    let tokenizer = runner.model.tokenizer
    var continuation = TextContinuation()
    var reader = sampler.format.map { AnswerReader($0) }
    var answer = (text: "", reasoning: "")
    func tell(_ piece: String, isLast: Bool = false) {
      var text = piece
      if let change = reader?.append(piece, isLast: isLast) {
        text = change.content
        answer.reasoning += change.reasoning
        if !change.reasoning.isEmpty { onEvent(.reasoning(change.reasoning)) }
        guard !text.isEmpty else { return }
      }
      answer.text += text
      onEvent(.text(text))
    }
    var repeats = false
    var tokenCount = 0
    let tokens = DraftReader(runner, drafter: drafting.drafter(for: runner, sampler: sampler))
    defer { tokens.abandon() }
    let rest = try continuation.run(
      from: sampler.sample(logits: logits.last), tokenizer: tokenizer,
      preserved: sampler.format?.preservedTokens(tokenizer) ?? [:], maximumTokens: maximumTokens,
      take: { token, piece, text in
        try sampler.accept(token)
        tell(piece)
        // Whether it does is asked now and then: it costs a look at all of the text's end.
        tokenCount += 1
        repeats =
          stopsAtRepetition && tokenCount.isMultiple(of: Self.repetitionInterval)
          && AnswerLoop.ends(text)
        return !repeats
      }, read: { try tokens.read($0, followedBy: $1) }, choose: { try sampler.sample(logits: $0) })
    try tokens.finish()
    if !rest.isEmpty || reader != nil { tell(rest, isLast: true) }
    let statistics = GenerationStatistics(
      attention: runner.attentionName, promptTokens: prompt.count, generatedTokens: continuation.tokens.count,
      prefillSeconds: (prefilled - start).seconds, decodeSteps: continuation.stepCount,
      decodeSeconds: (clock.now - prefilled).seconds, indexSeconds: indexSeconds,
      memory: runner.memory,
      reads: runner.reads, drafts: tokens.statistics)
    return Result(
      text: answer.text, reasoning: answer.reasoning, tokens: continuation.tokens, answerStart: answerStart,
      stopReason: repeats ? .repetition : continuation.stopReason, statistics: statistics)
  }
}

/// Costs of one generation.
public struct GenerationStatistics: Sendable {
  public var attention: String
  public var promptTokens: Int
  public var generatedTokens: Int
  /// Including the index.
  public var prefillSeconds: Double
  public var decodeSteps: Int
  public var decodeSeconds: Double
  /// Of reading the prompt.
  public var indexSeconds: Double
  public var memory: MemoryUse
  /// What decode steps read; nil when the host computed attention.
  public var reads: ReadStatistics?
  /// What drafts have brought.
  public var drafts = DraftStatistics()

  public var prefillTokensPerSecond: Double { prefillSeconds > 0 ? Double(promptTokens) / prefillSeconds : 0 }
  public var decodeTokensPerSecond: Double { decodeSeconds > 0 ? Double(decodeSteps) / decodeSeconds : 0 }
}

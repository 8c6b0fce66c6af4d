// What is asked of a model, whoever asks: no HTTP, no tokens, no engine.

public import Evidence
public import LlamaHost

/// One request to continue a text or to answer a conversation.
public struct CompletionRequest: Sendable {
  /// What the model reads.
  public enum Prompt: Sendable {
    /// Text as it is, without a chat template. Names of control tokens in it are these tokens, as whoever templates by
    /// themselves expects, unless `parseSpecial` is false; then they stay text.
    case text(String, parseSpecial: Bool = true)
    /// Tokens of the model's vocabulary.
    case tokens([Int32])
    /// Texts and tokens in a row; texts as for ``text(_:parseSpecial:)``.
    case mixed([Part], parseSpecial: Bool = true)
    /// The gap between two texts, for models that were trained to fill it. Names of control tokens in them stay text.
    case infill(prefix: String, suffix: String)
    /// A conversation, through the model's chat template. Names of control tokens in messages stay text.
    case chat(ChatRequest)
  }

  /// A part of a prompt.
  public enum Part: Sendable, Hashable {
    /// Text as it is.
    case text(String)
    /// A token of the model's vocabulary.
    case token(Int32)
  }

  /// What is to be continued or answered.
  public var prompt: Prompt
  /// The session whose document stands before the conversation, by identifier.
  public var session: String?
  /// Most tokens to generate for each choice; more than fit into the context become as many as fit, which
  /// ``CompletionStatistics/shortenedTo`` then tells, and `Int.max` asks for just that. Nil for what the engine takes
  /// where nobody says.
  public var maximumTokens: Int?
  /// How tokens are chosen.
  public var sampling: SamplerSettings
  /// Whether the passages are found that answers come from: of the session's document, or of ``sources``.
  public var findsEvidence = false
  /// Texts of the prompt that answers may come from.
  public var sources: [SourceText] = []
  /// Tokens that are to be more likely or less.
  public var logitBias: [LogitBias]
  /// Texts that end a choice; they do not become part of it.
  public var stop: [String]
  /// How many answers to give to the same prompt.
  public var choiceCount: Int
  /// How many alternatives to report for each token; nil for no log-probabilities at all.
  public var alternatives: Int?

  /// A request.
  public init(
    prompt: Prompt, session: String? = nil, maximumTokens: Int? = nil, sampling: SamplerSettings = .greedy,
    logitBias: [LogitBias] = [], stop: [String] = [], choiceCount: Int = 1, alternatives: Int? = nil
  ) {
    self.prompt = prompt
    self.session = session
    self.maximumTokens = maximumTokens
    self.sampling = sampling
    self.logitBias = logitBias
    self.stop = stop
    self.choiceCount = choiceCount
    self.alternatives = alternatives
  }
}

/// Why a choice ended, in OpenAI's words.
public enum FinishReason: String, Sendable, Codable {
  /// The model ended its text, or a stop sequence came.
  case stop
  /// The limit of tokens was reached.
  case length
  /// The model asks for a tool.
  case toolCalls = "tool_calls"
}

/// A text of the prompt that an answer may come from.
public struct SourceText: Sendable, Hashable {
  /// What clients know it by.
  public var name: String
  /// As it stands in the prompt.
  public var text: String

  /// A text with its name.
  public init(name: String, text: String) {
    self.name = name
    self.text = text
  }
}

/// What happens to a request, in order.
public enum CompletionEvent: Sendable {
  /// The prompt was accepted: its tokens, and how many of them are taken from a stored context.
  case started(promptTokens: Int, cachedTokens: Int)
  /// Prompt tokens read so far, cached ones included, and the seconds that the rest will take; nil while unknown.
  case prefill(done: Int, total: Int, secondsLeft: Double?)
  /// More of one choice.
  case delta(choice: Int, CompletionDelta)
  /// The passages that a choice came from, behind all of its text.
  case evidence(choice: Int, EvidenceRecord)
  /// A choice is complete.
  case finished(choice: Int, reason: FinishReason, tokens: Int)
  /// All choices are complete; what it cost.
  case completed(CompletionStatistics)
}

/// A piece of a choice. Stop sequences are cut off, and characters are whole.
public struct CompletionDelta: Sendable, Hashable {
  /// What came since the last event; whole characters.
  public var text: String
  /// What the model thought meanwhile.
  public var reasoning: String
  /// More of the tools that it asks for.
  public var calls: [AnswerChange.Call]
  /// The tokens whose text ends in this piece, if log-probabilities were asked for.
  public var tokens: [TokenProbability]
  /// The stop sequence that ended the choice behind this piece.
  public var stop: String?

  /// A part of an answer.
  public init(
    text: String, reasoning: String = "", calls: [AnswerChange.Call] = [], tokens: [TokenProbability] = []
  ) {
    self.text = text
    self.reasoning = reasoning
    self.calls = calls
    self.tokens = tokens
  }
}

/// A token, its natural log-probability before any sampling setting, and its strongest rivals.
public struct TokenProbability: Sendable, Hashable {
  /// A token that might have been chosen.
  public struct Alternative: Sendable, Hashable {
    /// Its text, which may be a part of a character.
    public var bytes: [UInt8]
    /// Natural logarithm, before sampling settings change it.
    public var logProbability: Float

    /// A token and how likely it was.
    public init(bytes: [UInt8], logProbability: Float) {
      self.bytes = bytes
      self.logProbability = logProbability
    }
  }

  /// The token's bytes; possibly part of a character.
  public var bytes: [UInt8]
  /// Natural logarithm, before sampling settings change it.
  public var logProbability: Float
  /// The most probable tokens, best first.
  public var alternatives: [Alternative]

  /// A token with the most likely ones in its place.
  public init(bytes: [UInt8], logProbability: Float, alternatives: [Alternative] = []) {
    self.bytes = bytes
    self.logProbability = logProbability
    self.alternatives = alternatives
  }
}

/// What a request cost.
public struct CompletionStatistics: Sendable, Hashable {
  /// Seconds between the request's arrival and its first work.
  public var queueSeconds = 0.0
  /// Seconds of reading the prompt, from the first work on.
  public var prefillSeconds = 0.0
  /// Seconds from the first to the last token.
  public var decodeSeconds = 0.0
  /// Tokens of all choices.
  public var generatedTokens = 0
  /// Those among them of what was thought before.
  public var reasoningTokens = 0
  /// Tokens that were foreseen, and checked several at a time: those that were right, and those that were not.
  public var acceptedDrafts = 0
  public var rejectedDrafts = 0
  /// Share of the context's keys and values that a step looked up, from 0 to 1; nil if it was not counted.
  public var contextRead: Double?
  /// Most tokens of a choice, where that is fewer than was asked for: what the prompt left of the context.
  public var shortenedTo: Int?

  /// Nothing done yet.
  public init() {}

  /// Of decoding; 0 before there is a token.
  public var tokensPerSecond: Double { decodeSeconds > 0 ? Double(generatedTokens) / decodeSeconds : 0 }
}

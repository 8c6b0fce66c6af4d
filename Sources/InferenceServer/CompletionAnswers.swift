// The bodies of answers, field by field as OpenAI's reference has them.

import LlamaHost
import Serving

/// Tokens that a request used.
struct UsageBody: Encodable, Sendable {
  struct PromptDetails: Encodable, Sendable { var cachedTokens: Int }
  struct CompletionDetails: Encodable, Sendable { var reasoningTokens: Int }

  var promptTokens = 0
  var completionTokens = 0
  var totalTokens: Int { promptTokens + completionTokens }
  var promptTokensDetails = PromptDetails(cachedTokens: 0)
  var completionTokensDetails = CompletionDetails(reasoningTokens: 0)
  /// Most tokens of a choice, where fewer fitted into the context than were asked for. Not in OpenAI's reference.
  var completionTokensLimit: Int?

  private enum CodingKeys: CodingKey {
    case promptTokens, completionTokens, totalTokens, promptTokensDetails, completionTokensDetails
    case completionTokensLimit
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(promptTokens, forKey: .promptTokens)
    try container.encode(completionTokens, forKey: .completionTokens)
    try container.encode(totalTokens, forKey: .totalTokens)
    try container.encode(promptTokensDetails, forKey: .promptTokensDetails)
    try container.encode(completionTokensDetails, forKey: .completionTokensDetails)
    try container.encodeIfPresent(completionTokensLimit, forKey: .completionTokensLimit)
  }
}

/// What it cost: not in OpenAI's reference, which allows other fields.
struct StatisticsBody: Encodable, Sendable {
  var queueSeconds, prefillSeconds, decodeSeconds, tokensPerSecond: Double
  var contextRead: Double?
  /// Tokens that were foreseen: those that were right, and those that were not.
  var acceptedDrafts, rejectedDrafts: Int

  init(_ statistics: CompletionStatistics) {
    queueSeconds = statistics.queueSeconds
    prefillSeconds = statistics.prefillSeconds
    decodeSeconds = statistics.decodeSeconds
    tokensPerSecond = statistics.tokensPerSecond
    contextRead = statistics.contextRead
    acceptedDrafts = statistics.acceptedDrafts
    rejectedDrafts = statistics.rejectedDrafts
  }
}

/// Prompt tokens read so far (`return_progress`).
struct ProgressBody: Encodable, Sendable {
  var total, cache, processed: Int
  /// Until all of it is read, as far as is known.
  var secondsLeft: Double?
}

/// Log-probabilities of chat answers.
struct ChatLogprobs: Encodable, Sendable {
  struct Alternative: Encodable, Sendable {
    var token: String
    var logprob: Float
    var bytes: [UInt8]
  }

  struct Token: Encodable, Sendable {
    var token: String
    var logprob: Float
    var bytes: [UInt8]
    var topLogprobs: [Alternative]
  }

  var content: [Token]

  init(_ tokens: [TokenProbability]) {
    content = tokens.map { token in
      Token(
        token: String(decoding: token.bytes, as: UTF8.self), logprob: finite(token.logProbability),
        bytes: token.bytes,
        topLogprobs: token.alternatives.map {
          Alternative(
            token: String(decoding: $0.bytes, as: UTF8.self), logprob: finite($0.logProbability),
            bytes: $0.bytes)
        })
    }
  }
}

/// Log-probabilities of text answers.
struct TextLogprobs: Encodable, Sendable {
  var tokens: [String]
  var tokenLogprobs: [Float]
  var topLogprobs: [TopTokens]
  /// Where each token starts in the answer, in Unicode scalars.
  var textOffset: [Int]

  /// Tokens as keys, which must not be turned into snake case.
  struct TopTokens: Encodable, Sendable {
    var entries: [(token: String, logprob: Float)]

    private struct Key: CodingKey {
      var stringValue: String
      var intValue: Int? { nil }
      init(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }

    func encode(to encoder: any Encoder) throws {
      // A dictionary keeps its keys as they are; a keyed container would convert them.
      var container = encoder.singleValueContainer()
      try container.encode(Dictionary(entries.map { ($0.token, $0.logprob) }, uniquingKeysWith: max))
    }
  }

  init(_ tokens: [TokenProbability], offset: Int) {
    var offset = offset
    self.tokens = tokens.map { String(decoding: $0.bytes, as: UTF8.self) }
    tokenLogprobs = tokens.map { finite($0.logProbability) }
    topLogprobs = tokens.map { token in
      TopTokens(
        entries: token.alternatives.map {
          (String(decoding: $0.bytes, as: UTF8.self), finite($0.logProbability))
        })
    }
    textOffset = self.tokens.map { text in
      defer { offset += text.unicodeScalars.count }
      return offset
    }
  }
}

/// OpenAI's number for "impossible", since JSON has no infinity.
private func finite(_ value: Float) -> Float { value.isFinite ? value : -9999 }

/// `/v1/chat/completions`, whole.
struct ChatAnswer: Encodable, Sendable {
  struct Message: Encodable, Sendable {
    var role = "assistant"
    @Nullable var content: String?
    @Nullable var refusal: String? = nil
    var reasoningContent: String?
    var toolCalls: [ToolCallBody]?
    var annotations: [AnnotationBody]?
  }

  struct Choice: Encodable, Sendable {
    var index: Int
    var message: Message
    @Nullable var logprobs: ChatLogprobs? = nil
    var finishReason: FinishReason
  }

  var id: String
  var object = "chat.completion"
  var created: Int
  var model: String
  var systemFingerprint: String
  var choices: [Choice]
  var usage: UsageBody
  var statistics: StatisticsBody?
}

/// A call of a tool, or a piece of one.
struct ToolCallBody: Encodable, Sendable {
  struct Function: Encodable, Sendable {
    var name: String?
    var arguments: String
  }

  /// In pieces alone.
  var index: Int?
  var id: String?
  var type: String?
  var function: Function

  /// A piece.
  init(_ piece: AnswerChange.Call) {
    index = piece.index
    id = piece.id
    type = piece.id == nil ? nil : "function"
    function = Function(name: piece.name, arguments: piece.arguments)
  }

  /// A whole call.
  init(_ call: ToolCall) {
    id = call.id
    type = "function"
    function = Function(name: call.name, arguments: call.arguments)
  }
}

/// `/v1/chat/completions`, a piece.
struct ChatChunk: Encodable, Sendable {
  struct Delta: Encodable, Sendable {
    var role: String?
    var content: String?
    var reasoningContent: String?
    var toolCalls: [ToolCallBody]?
    var annotations: [AnnotationBody]?
  }

  struct Choice: Encodable, Sendable {
    var index: Int
    var delta: Delta
    @Nullable var logprobs: ChatLogprobs? = nil
    @Nullable var finishReason: FinishReason? = nil
  }

  var id: String
  var object = "chat.completion.chunk"
  var created: Int
  var model: String
  var systemFingerprint: String
  var choices: [Choice] = []
  var usage: UsageBody?
  var statistics: StatisticsBody?
  var promptProgress: ProgressBody?
}

/// `/v1/completions`, whole or a piece.
struct TextAnswer: Encodable, Sendable {
  struct Choice: Encodable, Sendable {
    var index: Int
    var text: String
    @Nullable var logprobs: TextLogprobs? = nil
    @Nullable var finishReason: FinishReason? = nil
  }

  var id: String
  var object = "text_completion"
  var created: Int
  var model: String
  var systemFingerprint: String
  var choices: [Choice] = []
  var usage: UsageBody?
  var statistics: StatisticsBody?
  var promptProgress: ProgressBody?
}

// Results as they are kept: a line of JSON each.

/// How one question was answered.
public struct AnswerRecord: Sendable, Hashable, Codable {
  /// The task's name.
  public var task: String
  /// Tokens that were asked for.
  public var length: Int
  /// The attention's name.
  public var attention: String
  /// Which context of its task and length, from 0.
  public var sample: Int
  /// Which question about it, from 0.
  public var question: Int
  /// Questions of the same context.
  public var questionCount: Int
  /// Where the answer stands in the context, 0...1; nil for several places.
  public var depth: Double?
  /// Tokens of the prompt.
  public var promptTokens: Int
  /// What a right answer holds.
  public var expected: [String]
  /// What the model said.
  public var answer: String
  /// 0...1 by the task's rule.
  public var score: Double
  /// Decode steps that were timed.
  public var steps: Int
  /// Median over decode steps; nil without any.
  public var millisecondsPerToken: Double?
  /// Mean over decode steps; nil for the host.
  public var bytesPerToken: Double?
  /// Share of the context that was looked up, 0...1; nil for the host.
  public var keysRead: Double?
  /// The same with sink and window.
  public var keysReadWithStatic: Double?
  /// Seconds of reading the context, shared by all questions and by attentions that share a context.
  public var prefillSeconds: Double
  /// Share of the keys, 0...1, that tokens of the context read, estimates counted as keys; nil for the host.
  public var promptKeysRead: Double?
  /// The passages of the context that the answer came from, best first; nil where they were not noted, and for the
  /// host.
  public var passages: [ReadPassage]?

  /// What makes it one of its kind.
  package var key: EvaluationKey {
    .answer(task: task, length: length, attention: attention, sample: sample, question: question)
  }
}

/// A passage of a context that an answer came from.
public struct ReadPassage: Sendable, Hashable, Codable {
  /// As it stands in the context.
  public var quote: String
  /// Where in the context it begins, 0...1 of its characters.
  public var depth: Double
  /// What it has of the attention to the context beyond an even spread, 0...1.
  public var score: Double

  /// A passage with how much it was read.
  public init(quote: String, depth: Double, score: Double) {
    (self.quote, self.depth, self.score) = (quote, depth, score)
  }
}

/// How far next-token distributions are from those of exact attention on a plain text.
public struct FidelityRecord: Sendable, Hashable, Codable {
  /// The length that was asked for, in tokens: context and decoded text.
  public var length: Int
  /// The attention's name.
  public var attention: String
  /// Decoded tokens.
  public var tokens: Int
  /// Mean of KL(exact || this), in nats.
  public var meanKL: Double
  /// 99th percentile of the divergence, in nats.
  public var p99KL: Double
  /// Share of tokens whose most probable successor is the same.
  public var top1: Double
  /// Of the text that was decoded.
  public var perplexity: Double
  /// Of the same text, with exact attention.
  public var referencePerplexity: Double
  /// Median time of a token; nil when not measured.
  public var millisecondsPerToken: Double?
  /// Bytes of keys, values and index read for a token; nil for attentions that do not count.
  public var bytesPerToken: Double?
  /// See ``RetrievalAttention/ReadStatistics/keysRead``; nil for the host.
  public var keysRead: Double?
  /// The same with sink and window.
  public var keysReadWithStatic: Double?
  /// What single heads lost; nil for the host.
  public var heads: HeadErrors?

  package var key: EvaluationKey { .fidelity(length: length, attention: attention) }
}

/// Errors of single query heads, mean over decoded tokens, `[layer][query head]`.
public struct HeadErrors: Sendable, Hashable, Codable {
  /// Relative L2 distance of a head's output from exact attention over the same rows; nil for sliding windows and
  /// where a method keeps too few rows to tell.
  public var outputError: [[Double?]]
  /// Share of the exact attention weights on keys that were read, 0...1; nil where a method does not tell what it
  /// reads.
  public var recoveredMass: [[Double?]]

  /// Both `[layer][query head]`.
  public init(outputError: [[Double?]], recoveredMass: [[Double?]]) {
    self.outputError = outputError
    self.recoveredMass = recoveredMass
  }

  /// Mean over all heads that have a number.
  public static func mean(_ table: [[Double?]]) -> Double? {
    let numbers = table.joined().compactMap { $0 }
    return numbers.isEmpty ? nil : numbers.reduce(0, +) / Double(numbers.count)
  }
}

/// Which result a record is.
package enum EvaluationKey: Hashable {
  case answer(task: String, length: Int, attention: String, sample: Int, question: Int)
  case fidelity(length: Int, attention: String)
}

/// A line of a result file.
enum EvaluationLine: Codable {
  case header(EvaluationHeader)
  case answer(AnswerRecord)
  case fidelity(FidelityRecord)

  private enum Kind: String, Codable { case settings, answer, fidelity }
  private enum CodingKeys: CodingKey { case kind }

  init(from decoder: any Decoder) throws {
    switch try decoder.container(keyedBy: CodingKeys.self).decode(Kind.self, forKey: .kind) {
    case .settings: self = .header(try EvaluationHeader(from: decoder))
    case .answer: self = .answer(try AnswerRecord(from: decoder))
    case .fidelity: self = .fidelity(try FidelityRecord(from: decoder))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .header(let header):
      try container.encode(Kind.settings, forKey: .kind)
      try header.encode(to: encoder)
    case .answer(let record):
      try container.encode(Kind.answer, forKey: .kind)
      try record.encode(to: encoder)
    case .fidelity(let record):
      try container.encode(Kind.fidelity, forKey: .kind)
      try record.encode(to: encoder)
    }
  }
}

/// All results of a run, as far as it got.
public struct EvaluationResults: Sendable {
  /// What was run.
  public var header: EvaluationHeader
  /// One for each question that was asked.
  public var answers: [AnswerRecord] = []
  /// One for each length and attention that was compared.
  public var fidelity: [FidelityRecord] = []

  /// No results yet.
  public init(header: EvaluationHeader) {
    self.header = header
  }
}

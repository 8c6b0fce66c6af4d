// What a result file says about itself: which results may stand beside each other in it.

/// The first line of a result file.
public struct EvaluationHeader: Sendable, Hashable, Codable {
  /// The form of the lines; another number is not read.
  public static let currentVersion = 1

  /// Of the file's format.
  public var version = currentVersion
  /// Results of one file agree in this; it covers all that a single result depends on: the file's form, the model,
  /// the filler text, the seed, how questions are put.
  public var fingerprint: String
  /// The model in words.
  public var model: String
  /// The model's file name, without its folder.
  public var modelFile: String
  /// What the haystacks are made of, as it was named.
  public var filler: String
  /// Of everything that is random.
  public var seed: UInt64
  /// Most questions about one context.
  public var questionsPerContext: Int
  /// How a question is read: `batch` (exact attention, as in a prompt) or `token` (decode steps).
  public var questionReading: String
  /// Whether every attention read contexts by itself, in its own way; nil for no.
  public var readsApart: Bool?
  /// Whether prompts went without a chat template.
  public var raw: Bool
  /// Tokens at which distributions were compared; 0 for none.
  public var fidelityTokens: Int
  /// The machine that began the file.
  public var machine: String
  /// Threads that computed.
  public var threads: Int
  /// UTC, ISO 8601.
  public var started: String
}

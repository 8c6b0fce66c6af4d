// Texts as vectors, and how well texts answer a query.

/// What is turned into a vector.
public enum EmbeddingInput: Sendable, Hashable {
  /// A text.
  case text(String)
  /// Tokens of the model's vocabulary.
  case tokens([Int32])
}

/// A text as a vector, as the model makes it: not normalized.
public struct Embedding: Sendable, Hashable {
  /// Its elements.
  public var vector: [Float]
  /// Tokens that were read for it.
  public var tokens: Int

  /// An embedding.
  public init(vector: [Float], tokens: Int) {
    self.vector = vector
    self.tokens = tokens
  }
}

/// How well a document answers a query.
public struct Ranking: Sendable, Hashable {
  /// Higher is better; the scale is the model's own.
  public var score: Float
  /// Tokens that were read for it.
  public var tokens: Int

  /// A ranking.
  public init(score: Float, tokens: Int) {
    self.score = score
    self.tokens = tokens
  }
}

// What makes tokens more or less likely, before it is known which tokens these are.

/// A number that is added to the logits of some tokens.
public struct LogitBias: Sendable, Hashable {
  /// Which tokens.
  public enum Target: Sendable, Hashable {
    /// One of the vocabulary.
    case token(Int32)
    /// Every token that a text consists of, by itself.
    case text(String)
  }

  /// Which tokens.
  public var target: Target
  /// What is added; minus infinity forbids the tokens.
  public var bias: Float

  /// A bias.
  public init(_ target: Target, _ bias: Float) {
    self.target = target
    self.bias = bias
  }
}

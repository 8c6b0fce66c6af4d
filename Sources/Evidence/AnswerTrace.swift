// What the heads of an answer attended to.

/// The weight that one head gives to one position of the context.
public struct PositionWeight: Sendable, Equatable, BitwiseCopyable {
  /// A position of the context, from 0 on. Those of no document do not count.
  public var position: UInt32
  /// The head's softmax weight, 0...1; all weights of a head add up to at most 1.
  public var weight: Float

  /// A weight at a position.
  public init(position: UInt32, weight: Float) {
    self.position = position
    self.weight = weight
  }
}

/// A whole answer with the weights of a few heads for each of its tokens.
public struct AnswerTrace: Sendable, Equatable {
  /// A token of the answer.
  public struct Token: Sendable, Equatable {
    /// Its UTF-8 bytes of the answer; may be empty, or begin or end within a character.
    public var bytes: Range<Int>
    /// `[head][position weight]`, in any order, no position twice: the weights of the step that chose this token, so
    /// those of the query at the token in front of it.
    public var weights: [[PositionWeight]]

    /// A token with the weights of the step that chose it.
    public init(bytes: Range<Int>, weights: [[PositionWeight]]) {
      self.bytes = bytes
      self.weights = weights
    }
  }

  /// The answer.
  public var text: String
  /// How much each head counts, from 0 on, relative to each other.
  public var headWeights: [Double]
  /// In the order of the answer; their ranges ascend, and bytes may belong to no token.
  public var tokens: [Token]
  /// Weights of steps whose attention has nothing to do with the answer, `[step][head][position weight]`, for example
  /// of the tokens of a chat template in front of the question. They add to the background that is taken away.
  public var background: [[[PositionWeight]]]
  /// Weights of the question's tokens, `[token][head][position weight]`. Where an answer follows from two passages, the
  /// question has often read the first one already (QRHead, arXiv 2506.09944, finds passages by just these).
  public var question: [[[PositionWeight]]]

  /// An answer with what its heads attended to.
  public init(
    text: String, headWeights: [Double], tokens: [Token], background: [[[PositionWeight]]] = [],
    question: [[[PositionWeight]]] = []
  ) {
    self.text = text
    self.headWeights = headWeights
    self.tokens = tokens
    self.background = background
    self.question = question
  }
}

// How passages are cut, weighed and chosen.

/// Settings of citations. Values out of range are taken as the nearest that is in range.
///
/// What is computed: for each token of an answer and each head, the weights of positions of documents; less the
/// *background*, which the head gives to the same position whatever the token is; of these the largest, or the sum, in
/// each passage. Heads are averaged by their weights and tokens of a sentence plainly, which is the passage's
/// *strength*. Its *score* is the share that it has of all passages' strengths, beyond what an even spread would give
/// it: 0 for as much as every passage or less, 1 for all.
public struct EvidenceSettings: Sendable, Equatable {
  /// How the weights of a passage's positions become one number.
  public enum Pooling: String, Sendable, CaseIterable {
    /// The largest. A head that copies looks at one place; many small weights of a long passage are not evidence.
    case largest
    /// All of them, so that long passages get more of what is spread.
    case sum
  }

  /// Longest passage in bytes, at least 16; longer sentences and lines are cut, where possible behind a clause.
  public var longestSegment = 600
  /// How a passage's positions are pooled.
  public var pooling = Pooling.largest
  /// Weights below this one are left out: tenths of a percent add up over a long document and say nothing.
  public var smallestWeight = 0.005
  /// So many positions at the beginning of the context do not count: heads park there what they have no use for
  /// (Xiao et al., arXiv 2309.17453, section 3).
  public var ignoredPositions = 4
  /// Whether tokens of a document without a letter or a digit count. Heads park weights on line ends and stops, too.
  public var countsPunctuation = false
  /// How many times the background is taken away; 0 leaves weights as they are.
  public var backgroundFactor = 1.0
  /// So many steps without any weight are added to the background's mean, so that the few tokens of a short answer do
  /// not take each other away. A sink and the evidence of a short sentence at an answer's beginning look alike; steps
  /// that the caller adds to the background tell them apart.
  public var backgroundPrior = 1.0
  /// A sentence is cited only if its best passage has at least this strength, 0...1.
  public var minimumStrength = 0.02
  /// A passage is cited only with at least this score, 0...1.
  public var minimumScore = 0.1
  /// A passage is cited only with at least this share of the best passage's score, 0...1.
  public var minimumShareOfBest = 0.4
  /// The passage that the question read most is cited beside those of the answer with at least this score of its own,
  /// 0...1; 1 hardly ever. A question about something that is told of many has a low score with each.
  public var minimumQuestionScore = 0.3
  /// At most so many passages for a sentence of the answer, counted before neighbors are joined; 0 cites none.
  public var passagesPerSentence = 3

  /// The defaults.
  public init() {}
}

// Models with two sets of RoPE factors: one for short contexts, one for long ones.

/// Which of its two sets of per-pair factors a model turns queries and keys with (LongRoPE, arXiv 2402.13753).
///
/// The host chooses by the length of its own context, which a guest does not use, so it has to be told when the model
/// is loaded. Keys that one set has turned mean nothing to the other: a context belongs to the set that it was begun
/// with.
public enum RopeFactors: String, Sendable, Codable, CaseIterable {
  /// For contexts up to the one that the model was first trained for.
  case short
  /// For longer ones.
  case long
}

extension GGUFFile {
  /// Whether the model has two sets of RoPE factors.
  public var hasTwoRopeFactors: Bool {
    tensors.contains { $0.name.hasSuffix("rope_factors_long.weight") }
      && !tensors.contains { $0.name.hasSuffix("rope_freqs.weight") }
  }

  /// The longest context that the short factors are for: the one of the first training.
  public var originalContextLength: Int? {
    guard let architecture else { return nil }
    return integer(Self.originalContextKey(architecture)) ?? integer("\(architecture).context_length")
  }

  /// The factors for a context of so many tokens; nil for models that have one set, or none.
  public func ropeFactors(forContext tokens: Int) -> RopeFactors? {
    guard hasTwoRopeFactors, let original = originalContextLength else { return nil }
    return tokens > original ? .long : .short
  }

  static func originalContextKey(_ architecture: String) -> String {
    "\(architecture).rope.scaling.original_context_length"
  }

  /// Positions that the model has learned, each a row of a table; nil for models that compute them.
  public var learnedPositionCount: Int? {
    tensors.first { $0.name == "position_embd.weight" }?.shape.last
  }
}

// A grammar that is known to be valid.

/// A GBNF grammar with a rule `root`, checked and made ready for use with any model.
final class Grammar: Hashable, Sendable {
  let text: String
  let network: GrammarNetwork

  /// Cost: time and memory in proportion to the text and its repetitions written out, bounded by ``GrammarLimits``.
  ///
  /// - Throws: ``GrammarError`` for anything that could not be followed.
  init(_ text: String) throws(GrammarError) {
    self.text = text
    network = try GrammarNetwork(text)
  }

  static func == (left: Grammar, right: Grammar) -> Bool { left === right || left.text == right.text }

  func hash(into hasher: inout Hasher) { hasher.combine(text) }
}

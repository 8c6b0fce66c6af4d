// Prompts that ask for what is missing in the middle of a text.

import CLlama

/// The tokens by which a model is asked to fill a gap (arXiv 2207.14255): in front of what comes before the gap, in
/// front of what comes after it, and where the filling begins.
public struct InfillTokens: Sendable, Hashable {
  /// In front of the text before the gap.
  public let prefix: Int32
  /// In front of the text after it.
  public let suffix: Int32
  /// In front of what the model writes.
  public let middle: Int32
}

extension Tokenizer {
  /// Nil for models that were not trained to fill gaps.
  public var infill: InfillTokens? {
    let vocabulary = unsafe model.vocabulary
    let tokens = unsafe [
      llama_vocab_fim_pre(vocabulary), llama_vocab_fim_suf(vocabulary), llama_vocab_fim_mid(vocabulary),
    ]
    guard !tokens.contains(LLAMA_TOKEN_NULL) else { return nil }
    return InfillTokens(prefix: tokens[0], suffix: tokens[1], middle: tokens[2])
  }

  /// The prompt whose continuation stands between `prefix` and `suffix`. Names of control tokens in them stay text.
  ///
  /// - Returns: Nil where ``infill`` is.
  /// - Throws: ``LlamaError`` for a text that the tokenizer cannot take.
  public func tokenize(prefix: String, suffix: String) throws -> [Int32]? {
    guard let infill else { return nil }
    let before = try tokenize(prefix, addSpecial: false, parseSpecial: false)
    let after = try tokenize(suffix, addSpecial: false, parseSpecial: false)
    return withBOS([infill.prefix] + before + [infill.suffix] + after + [infill.middle])
  }
}

// How few tokens a text can have, for whoever wants to know before it is tokenized.

import CLlama

/// A lower bound of the number of a text's tokens: its bytes divided by those of the longest token.
///
/// Bytes that may be lost on the way do not count: white space, which templates and control tokens strip, and bytes
/// that the vocabulary has no token for.
package struct TokenBound: Sendable {
  /// Most counted bytes that one token stands for.
  package let longestToken: Int
  private let counts: [Bool]

  /// Nil for vocabularies in which one token may stand for any number of bytes, such as an unknown word.
  ///
  /// Cost: one pass over the vocabulary, some milliseconds.
  package init?(_ tokenizer: Tokenizer) {
    let type = unsafe llama_vocab_type(tokenizer.model.vocabulary)
    guard type == LLAMA_VOCAB_TYPE_BPE || type == LLAMA_VOCAB_TYPE_SPM else { return nil }
    var longest = 1
    var counts = [Bool](repeating: false, count: 256)
    var bytes: [UInt8] = []
    for token in 0..<Int32(clamping: tokenizer.vocabularySize) {
      bytes.removeAll(keepingCapacity: true)
      tokenizer.append(token, renderSpecial: true, to: &bytes)
      if bytes.count == 1, bytes[0] > 32 { counts[Int(bytes[0])] = true }
      longest = max(longest, bytes.count(where: { $0 > 32 }))
    }
    longestToken = longest
    self.counts = counts
  }

  /// The least number of tokens that texts can have together.
  package func leastTokens(_ texts: [String]) -> Int {
    let count = texts.reduce(0) { total, text in
      var text = text
      return total + text.withUTF8 { bytes in unsafe bytes.reduce(0) { $0 + (counts[Int($1)] ? 1 : 0) } }
    }
    return (count + longestToken - 1) / longestToken
  }
}

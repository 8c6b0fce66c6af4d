// Text to tokens and back.

import CLlama

/// The vocabulary of a model.
///
/// Special tokens in text become tokens only with `parseSpecial`, which is for prompts that the program
/// wrote. For a document or a user's message leave it off: `<|im_end|>` in it is then ordinary text.
public struct Tokenizer: Sendable {
  /// Tokens are below this.
  public let vocabularySize: Int
  /// Beginning of a sequence, end of a sequence, end of a turn, line break; nil where the model has none.
  public let bos, eos, eot, newline: Int32?
  /// Whether the model wants BOS before everything, EOS after everything.
  public let addsBOS, addsEOS: Bool
  let specials: SpecialTokens
  let grammarVocabulary = GrammarVocabulary.Lazy()
  /// Keeps the vocabulary alive.
  let model: ModelHandle

  init(model: ModelHandle, path: String) throws {
    self.model = model
    guard let vocabulary = unsafe model.vocabulary,
      unsafe llama_vocab_type(vocabulary) != LLAMA_VOCAB_TYPE_NONE
    else { throw LlamaError.modelNotLoaded(path: path, log: ["the model has no vocabulary"]) }
    func optional(_ token: llama_token) -> Int32? { token == LLAMA_TOKEN_NULL ? nil : token }
    vocabularySize = unsafe Int(llama_vocab_n_tokens(vocabulary))
    bos = unsafe optional(llama_vocab_bos(vocabulary))
    eos = unsafe optional(llama_vocab_eos(vocabulary))
    eot = unsafe optional(llama_vocab_eot(vocabulary))
    newline = unsafe optional(llama_vocab_nl(vocabulary))
    addsBOS = unsafe llama_vocab_get_add_bos(vocabulary)
    addsEOS = unsafe llama_vocab_get_add_eos(vocabulary)
    specials = SpecialTokens(of: model)
  }

  /// The tokens of `text`.
  ///
  /// - Parameters:
  ///   - addSpecial: Add BOS and EOS as the model wants them.
  ///   - parseSpecial: Turn the names of control tokens in the text into these tokens.
  /// - Throws: ``LlamaError`` for a text that the tokenizer cannot take.
  public func tokenize(_ text: String, addSpecial: Bool, parseSpecial: Bool) throws -> [Int32] {
    let utf8 = Array(text.utf8)
    // The host's time grows with the square of the number of special tokens found in the text. Where line
    // breaks are such tokens (Gemma: 23 s for 1 MB of code), cut the text in front of some; and in front of some
    // control tokens, where these count.
    guard utf8.count > 2 * Self.pieceSize, specials.separatesLines || parseSpecial else {
      return try tokenizeAtOnce(utf8[...], addSpecial: addSpecial, parseSpecial: parseSpecial)
    }
    var tokens: [Int32] = []
    if addSpecial, addsBOS, let bos { tokens.append(bos) }
    var start = 0
    while start < utf8.count {
      var end = min(start + Self.pieceSize, utf8.count)
      while end < utf8.count {
        // In front of a run of line breaks, which may be one token.
        if specials.separatesLines, utf8[end] == UInt8(ascii: "\n"), utf8[end - 1] != UInt8(ascii: "\n") {
          break
        }
        if parseSpecial, specials.separates(utf8, at: end) { break }
        end += 1
      }
      tokens += try tokenizeAtOnce(utf8[start..<end], addSpecial: false, parseSpecial: parseSpecial)
      start = end
    }
    if addSpecial, addsEOS, let eos { tokens.append(eos) }
    return tokens
  }

  /// Bytes to hand over at once where a text may be cut.
  private static let pieceSize = 1 << 15

  private func tokenizeAtOnce(
    _ utf8: ArraySlice<UInt8>, addSpecial: Bool, parseSpecial: Bool
  ) throws -> [Int32] {
    // One token a byte is the worst case, besides a space in front, BOS and EOS.
    guard let length = Int32(exactly: utf8.count), length < Int32.max - 8 else {
      throw LlamaError.textTooLong(byteCount: utf8.count)
    }
    let vocabulary = unsafe model.vocabulary
    // Room for the worst case would be four times too much for a long text, so guess, and ask again if wrong.
    var capacity = utf8.count < 4096 ? utf8.count + 8 : utf8.count / 2
    for _ in 0..<2 {
      var result: Int32 = 0
      let tokens = unsafe [Int32](unsafeUninitializedCapacity: capacity) { buffer, count in
        result = unsafe utf8.withUnsafeBufferPointer {
          unsafe $0.withMemoryRebound(to: CChar.self) { characters in
            // A null pointer with length 0 would still be dereferenced.
            guard let start = characters.baseAddress else {
              return unsafe llama_tokenize(
                vocabulary, "", 0, buffer.baseAddress, Int32(buffer.count), addSpecial, parseSpecial)
            }
            return unsafe llama_tokenize(
              vocabulary, start, length, buffer.baseAddress, Int32(buffer.count), addSpecial, parseSpecial)
          }
        }
        count = max(0, Int(result))
      }
      if result >= 0 { return tokens }
      guard result != .min else { break }
      capacity = Int(-result)
    }
    throw LlamaError.tokenizationFailed(byteCount: utf8.count)
  }

  /// The bytes a token stands for: possibly part of a character, so decode with ``TextStreamDecoder``.
  ///
  /// - Parameter renderSpecial: Give the names of control tokens instead of nothing.
  public func bytes(of token: Int32, renderSpecial: Bool = false) -> [UInt8] {
    var bytes: [UInt8] = []
    append(token, renderSpecial: renderSpecial, to: &bytes)
    return bytes
  }

  /// Appends the bytes of a token; for loops. A token outside the vocabulary has none.
  public func append(_ token: Int32, renderSpecial: Bool = false, to bytes: inout [UInt8]) {
    guard token >= 0, Int(token) < vocabularySize else { return }
    // 64 bytes hold nearly every piece; the answer is negative and tells the size when they do not.
    var capacity: Int32 = 64
    for _ in 0..<2 {
      let count = unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Int(capacity)) {
        buffer -> Int32 in
        guard let start = buffer.baseAddress else { return 0 }
        let count = unsafe start.withMemoryRebound(to: CChar.self, capacity: buffer.count) {
          unsafe llama_token_to_piece(model.vocabulary, token, $0, capacity, 0, renderSpecial)
        }
        if count > 0 { unsafe bytes.append(contentsOf: buffer.prefix(Int(count))) }
        return count
      }
      guard count < 0 else { return }
      capacity = -count
    }
  }

  /// The text of `tokens`, with U+FFFD for bytes that are no UTF-8.
  public func detokenize(_ tokens: some Sequence<Int32>, renderSpecial: Bool = false) -> String {
    var bytes: [UInt8] = []
    for token in tokens { append(token, renderSpecial: renderSpecial, to: &bytes) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Whether generation ends with this token: EOS, end of turn and the like.
  public func isEndOfGeneration(_ token: Int32) -> Bool {
    unsafe contains(token) && llama_vocab_is_eog(model.vocabulary, token)
  }

  /// Whether the token steers the model instead of standing for text.
  public func isControl(_ token: Int32) -> Bool {
    unsafe contains(token) && llama_vocab_is_control(model.vocabulary, token)
  }

  private func contains(_ token: Int32) -> Bool { token >= 0 && Int(token) < vocabularySize }
}

// Prompts that ask how well a document answers a query.

import CLlama

extension LlamaModel {
  /// The tokens that a reranking model scores: by the model's own template for it, or query and document, apart as the
  /// vocabulary wants it. What they say stays text.
  ///
  /// - Throws: ``LlamaError`` for a text that the tokenizer cannot take.
  public func rankingPrompt(query: String, document: String) throws -> [Int32] {
    if let template = unsafe llama_model_chat_template(handle.pointer, "rerank") {
      return try tokenizer.tokenize(Self.pieces(unsafe String(cString: template), query, document))
    }
    let vocabulary = unsafe handle.vocabulary
    let separator = unsafe llama_vocab_sep(vocabulary)
    let end = tokenizer.eos ?? (separator == LLAMA_TOKEN_NULL ? nil : separator)
    let ends = tokenizer.addsEOS ? [end].compactMap(\.self) : []
    var tokens = tokenizer.addsBOS ? [tokenizer.bos].compactMap(\.self) : []
    tokens += try tokenizer.tokenize(query, addSpecial: false, parseSpecial: false) + ends
    if unsafe llama_vocab_get_add_sep(vocabulary), separator != LLAMA_TOKEN_NULL { tokens.append(separator) }
    return tokens + (try tokenizer.tokenize(document, addSpecial: false, parseSpecial: false)) + ends
  }

  /// A template with `{query}` and `{document}`, filled in.
  private static func pieces(_ template: String, _ query: String, _ document: String) -> [PromptPiece] {
    var pieces: [PromptPiece] = []
    var rest = template[...]
    while let place = rest.firstIndex(of: "{") {
      pieces.append(.template(String(rest[..<place])))
      rest = rest[place...]
      if rest.hasPrefix("{query}") {
        pieces.append(.content(query))
        rest = rest.dropFirst("{query}".count)
      } else if rest.hasPrefix("{document}") {
        pieces.append(.content(document))
        rest = rest.dropFirst("{document}".count)
      } else {
        pieces.append(.template("{"))
        rest = rest.dropFirst()
      }
    }
    return pieces + [.template(String(rest))]
  }
}

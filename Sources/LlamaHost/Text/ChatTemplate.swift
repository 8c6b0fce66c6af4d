// Conversations to prompts, without letting a message speak the template's language.

import CLlama

/// The template that comes with a model, as llama.cpp understands it (a fixed list of known ones, no Jinja).
///
///     let prompt = try model.chatTemplate?.tokenize([ChatMessage(role: .user, content: "Hello")])
///
/// The template is rendered with a marker in the place of each content, so that contents never take part in
/// the search for control tokens: `<|im_end|>` inside a message stays text.
public struct ChatTemplate: Sendable {
  /// The template as the file has it.
  public let source: String
  private let tokenizer: Tokenizer

  init(source: String, tokenizer: Tokenizer) {
    self.source = source
    self.tokenizer = tokenizer
  }

  /// The prompt as text: for display. To evaluate it use ``tokenize(_:addGenerationPrompt:)``.
  ///
  /// - Throws: ``LlamaError/chatTemplateUnknown(start:)``.
  public func render(_ messages: [ChatMessage], addGenerationPrompt: Bool = true) throws -> String {
    try pieces(messages, addGenerationPrompt: addGenerationPrompt).map(\.text).joined()
  }

  /// The prompt as tokens, with BOS exactly once if the vocabulary wants it.
  ///
  /// Equal to tokenizing the rendered text with control tokens recognized, when no content holds one.
  public func tokenize(_ messages: [ChatMessage], addGenerationPrompt: Bool = true) throws -> [Int32] {
    var tokens = try tokenizer.tokenize(pieces(messages, addGenerationPrompt: addGenerationPrompt))
    if tokenizer.addsBOS, let bos = tokenizer.bos, tokens.first != bos { tokens.insert(bos, at: 0) }
    return tokens
  }

  /// The prompt cut into the template's own text and contents.
  func pieces(_ messages: [ChatMessage], addGenerationPrompt: Bool) throws -> [PromptPiece] {
    // Unguessable, so that no content can contain a marker; letters only, so that no template changes it.
    let nonce = String((0..<16).map { _ in "ABCDEFGHIJKLMNOPQRSTUVWXYZ".randomElement() ?? "Q" })
    // Tabs around it: they show whether the template trims this content.
    let markers = messages.indices.map { "Q\(nonce)N\($0)Q" }
    var rest = Substring(
      try apply(
        zip(messages, markers).map { (role: $0.role.rawValue, content: "\t\($1)\t") },
        addGenerationPrompt: addGenerationPrompt))
    var pieces: [PromptPiece] = []
    for (index, message) in messages.enumerated() {
      guard let place = rest.firstRange(of: markers[index]) else {
        throw LlamaError.chatTemplateLostMessage(index: index, role: message.role.rawValue)
      }
      var before = rest[..<place.lowerBound]
      rest = rest[place.upperBound...]
      var content = Substring(message.content)
      if before.last == "\t" { before.removeLast() } else { content = content.drop { $0.isWhitespace } }
      if rest.first == "\t" {
        rest.removeFirst()
      } else {
        while content.last?.isWhitespace == true { content.removeLast() }
      }
      pieces.append(PromptPiece(text: String(before), isContent: false))
      pieces.append(PromptPiece(text: String(content), isContent: true))
    }
    pieces.append(PromptPiece(text: String(rest), isContent: false))
    return pieces
  }

  private func apply(_ messages: [(role: String, content: String)], addGenerationPrompt: Bool) throws
    -> String
  {
    // C strings that live until the call returns.
    var strings: [UnsafeMutablePointer<CChar>] = unsafe []
    defer { unsafe strings.forEach { unsafe $0.deallocate() } }
    func copy(_ text: String) -> UnsafePointer<CChar> {
      let bytes = text.utf8CString
      let string = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
      unsafe bytes.withUnsafeBufferPointer { source in
        if let start = source.baseAddress { unsafe string.initialize(from: start, count: source.count) }
      }
      unsafe strings.append(string)
      return unsafe UnsafePointer(string)
    }
    let chat = unsafe messages.map {
      unsafe llama_chat_message(role: copy($0.role), content: copy($0.content))
    }
    // Only markers go in, so the guess of what the template adds need not be generous; asked again if it is
    // short.
    var capacity = 1024 + messages.reduce(0) { $0 + $1.content.utf8.count + 256 }
    while true {
      var buffer = [CChar](repeating: 0, count: capacity + 1)
      let count = unsafe llama_chat_apply_template(
        source, chat, chat.count, addGenerationPrompt, &buffer, Int32(clamping: capacity))
      guard count >= 0 else { throw LlamaError.chatTemplateUnknown(start: String(source.prefix(60))) }
      guard Int(count) > capacity else {
        return String(decoding: buffer.prefix(Int(count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
      }
      capacity = Int(count)
    }
  }
}

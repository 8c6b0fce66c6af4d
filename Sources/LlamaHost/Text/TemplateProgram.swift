// A parsed template behind the C interface.

import CChatTemplates

/// Owns a template of `CChatTemplates`, which never changes and may be used from any thread.
final class TemplateProgram: @unchecked Sendable {
  private let pointer: OpaquePointer

  init(source: String, bos: String, eos: String) throws(LlamaError) {
    var error: UnsafeMutablePointer<CChar>?
    guard let pointer = ct_template_create(source, source.utf8.count, bos, eos, &error) else {
      throw LlamaError.chatTemplateUnusable(reason: Self.take(error))
    }
    self.pointer = pointer
  }

  deinit { ct_template_free(pointer) }

  private static func take(_ error: UnsafeMutablePointer<CChar>?) -> String {
    guard let error else { return "there is no memory for it" }
    defer { ct_string_free(error) }
    return String(cString: error)
  }

  /// The prompt of messages, in pieces that follow each other.
  func render(
    _ messages: [ChatMessage], addGenerationPrompt: Bool, options: ChatTemplate.Options
  ) throws(LlamaError) -> [PromptPiece] {
    let strings = MessageStrings(messages, arguments: options.arguments)
    defer { strings.deallocate() }
    let settings = ct_options(
      add_generation_prompt: addGenerationPrompt,
      enable_thinking: options.enableThinking.map { $0 ? 1 : 0 } ?? -1,
      arguments: strings.arguments, time: -1)
    var error: UnsafeMutablePointer<CChar>?
    var isRefusal = false
    guard
      let prompt = ct_template_render(
        pointer, strings.messages, strings.messages.count, settings, &error, &isRefusal)
    else {
      let reason = Self.take(error)
      throw isRefusal ? .chatTemplateRefused(reason: reason) : .chatTemplateUnusable(reason: reason)
    }
    defer { ct_prompt_free(prompt) }
    return (0..<ct_prompt_count(prompt)).map { index in
      let piece = ct_prompt_piece(prompt, index)
      let bytes = UnsafeRawBufferPointer(start: piece.text, count: piece.length)
      return PromptPiece(text: String(decoding: bytes, as: UTF8.self), isContent: !piece.is_template)
    }
  }
}

/// Messages as C strings.
private struct MessageStrings {
  private var strings: [UnsafeMutablePointer<CChar>] = []
  private(set) var messages: [ct_message] = []
  private(set) var arguments: UnsafePointer<CChar>?

  init(_ messages: [ChatMessage], arguments: String?) {
    self.messages = messages.map { message in
      ct_message(
        role: copy(message.role.rawValue), content: copy(message.content),
        content_length: message.content.utf8.count)
    }
    self.arguments = arguments.map { copy($0) }
  }

  private mutating func copy(_ text: String) -> UnsafePointer<CChar> {
    let bytes = text.utf8CString
    let string = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
    bytes.withUnsafeBufferPointer { source in
      if let start = source.baseAddress { string.initialize(from: start, count: source.count) }
    }
    strings.append(string)
    return UnsafePointer(string)
  }

  func deallocate() {
    for string in strings { string.deallocate() }
  }
}

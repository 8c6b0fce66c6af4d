// A parsed template behind the C interface.

import CChatTemplates

/// Owns a template of `CChatTemplates`, which never changes and may be used from any thread.
@safe final class TemplateProgram: @unchecked Sendable {
  private let pointer: OpaquePointer

  init(source: String, bos: String, eos: String) throws(LlamaError) {
    var error: UnsafeMutablePointer<CChar>?
    guard let pointer = unsafe ct_template_create(source, source.utf8.count, bos, eos, &error) else {
      throw unsafe LlamaError.chatTemplateUnusable(reason: Self.take(error))
    }
    unsafe self.pointer = unsafe pointer
  }

  deinit { unsafe ct_template_free(pointer) }

  /// The text of an error, which is freed.
  static func take(_ error: UnsafeMutablePointer<CChar>?) -> String {
    guard let error = unsafe error else { return "there is no memory for it" }
    defer { unsafe ct_string_free(error) }
    return unsafe String(cString: error)
  }

  /// A text that a function of the C interface makes, which is freed.
  static func text(
    _ make: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> UnsafeMutablePointer<CChar>?
  ) throws(LlamaError) -> String {
    var error: UnsafeMutablePointer<CChar>?
    guard let made = unsafe make(&error) else {
      throw unsafe .chatTemplateUnusable(reason: take(error))
    }
    defer { unsafe ct_string_free(made) }
    return unsafe String(cString: made)
  }

  /// The prompt of messages, in pieces that follow each other.
  func render(
    _ messages: [ChatMessage], addGenerationPrompt: Bool, options: ChatTemplate.Options
  ) throws(LlamaError) -> [PromptPiece] {
    let strings = MessageStrings(messages, arguments: options.arguments)
    let settings = unsafe ct_options(
      add_generation_prompt: addGenerationPrompt,
      enable_thinking: options.enableThinking.map { $0 ? 1 : 0 } ?? -1,
      arguments: strings.arguments, time: -1)
    var error: UnsafeMutablePointer<CChar>?
    var isRefusal = false
    let prompt = unsafe withExtendedLifetime(strings) {
      unsafe ct_template_render(
        pointer, strings.messages, strings.messages.count, settings, &error, &isRefusal)
    }
    guard let prompt = unsafe prompt else {
      let reason = unsafe Self.take(error)
      throw isRefusal ? .chatTemplateRefused(reason: reason) : .chatTemplateUnusable(reason: reason)
    }
    defer { unsafe ct_prompt_free(prompt) }
    return unsafe (0..<ct_prompt_count(prompt)).map { unsafe PromptPiece(ct_prompt_piece(prompt, $0)) }
  }
}

extension PromptPiece {
  /// A copy of a piece.
  init(_ piece: ct_piece) {
    let bytes = unsafe UnsafeRawBufferPointer(start: piece.text, count: piece.length)
    self = unsafe PromptPiece(text: String(decoding: bytes, as: UTF8.self), isContent: !piece.is_template)
  }
}

/// Messages as C strings, which it owns.
@safe private final class MessageStrings {
  private var strings: [UnsafeMutablePointer<CChar>] = unsafe []
  private(set) var messages: [ct_message] = unsafe []
  private(set) var arguments: UnsafePointer<CChar>?

  init(_ messages: [ChatMessage], arguments: String?) {
    for message in messages {
      let text = unsafe ct_message(
        role: copy(message.role.rawValue), content: copy(message.content),
        content_length: message.content.utf8.count)
      unsafe self.messages.append(text)
    }
    if let arguments { unsafe self.arguments = copy(arguments) }
  }

  deinit { unsafe strings.forEach { unsafe $0.deallocate() } }

  private func copy(_ text: String) -> UnsafePointer<CChar> {
    let bytes = text.utf8CString
    let string = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
    unsafe bytes.withUnsafeBufferPointer { source in
      if let start = source.baseAddress { unsafe string.initialize(from: start, count: source.count) }
    }
    unsafe strings.append(string)
    return unsafe UnsafePointer(string)
  }
}

// Chat templates in place of the one that a model uses by default.

extension ChatTemplate {
  /// A chat template: its text, or a name.
  public enum Choice: Sendable, Hashable {
    /// In Jinja's language.
    case source(String)
    /// One of the model's others, such as `tool_use` (the metadata `tokenizer.chat_template.NAME`), or ``chatML``.
    case named(String)
  }

  /// The name of the template that is there for every model: `<|im_start|>ROLE`, the text, `<|im_end|>`.
  public static let chatML = "chatml"

  static let chatMLSource = """
    {%- for message in messages -%}
    {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' -}}
    {%- endfor -%}
    {%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
    """
}

extension ChatTemplate.Choice {
  private static let prefix = "tokenizer.chat_template."

  /// The text of the template.
  ///
  /// - Parameter own: the host's answer for a template of the model by its name.
  /// - Throws: ``LlamaError/unknownChatTemplate(name:available:)``.
  func source(in file: GGUFFile, own: (String) -> String?) throws(LlamaError) -> String {
    switch self {
    case .source(let text): return text
    case .named(let name):
      let others = file.metadata.keys.filter { $0.hasPrefix(Self.prefix) }
        .map { String($0.dropFirst(Self.prefix.count)) }
      if others.contains(name), let text = own(name) { return text }
      if name == ChatTemplate.chatML { return ChatTemplate.chatMLSource }
      throw .unknownChatTemplate(name: name, available: others.sorted() + [ChatTemplate.chatML])
    }
  }
}

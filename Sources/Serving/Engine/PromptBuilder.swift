// From requests to tokens.

import Generation
import LlamaHost

/// Makes prompts for one model. Used by many tasks at once: models and tokenizers never change.
struct PromptBuilder: Sendable {
  let model: LlamaModel

  /// The tokens of a request's prompt; `document` stands before its conversation.
  ///
  /// The document comes first of all, before a system message as well, so that every question about it begins with the
  /// same tokens.
  func tokens(_ prompt: CompletionRequest.Prompt, document: String?) throws -> [Int32] {
    let tokens: [Int32]
    switch prompt {
    case .text(let text):
      guard document == nil else {
        throw ServingError.invalidParameter(
          "session", message: "A session needs a conversation: use chat completions.")
      }
      tokens = try model.tokenizer.tokenize(text, addSpecial: true, parseSpecial: false)
    case .tokens(let list):
      guard document == nil else {
        throw ServingError.invalidParameter(
          "session", message: "A session needs a conversation: use chat completions.")
      }
      let size = model.tokenizer.vocabularySize
      if let bad = list.first(where: { $0 < 0 || Int($0) >= size }) {
        throw ServingError.invalidParameter("prompt", message: "Token \(bad) is not in 0..<\(size).")
      }
      tokens = list
    case .chat(let messages): tokens = try chat(messages, document: document)
    }
    guard !tokens.isEmpty else {
      throw ServingError.invalidParameter("prompt", message: "The prompt is empty.")
    }
    return tokens
  }

  /// The tokens that every question about `document` begins with.
  func documentTokens(_ document: String) throws -> [Int32] {
    // What a question begins with can join the document's last token, so two that differ tell where the common part
    // ends.
    let probes = try ["What", "1"].map {
      try chat([ChatMessage(role: .user, content: $0)], document: document)
    }
    let common = zip(probes[0], probes[1]).prefix { $0 == $1 }.count
    return Array(probes[0].prefix(common))
  }

  private func chat(_ messages: [ChatMessage], document: String?) throws -> [Int32] {
    guard let template = model.chatTemplate else {
      throw ServingError.invalidParameter(
        "messages", message: "This model has no chat template. Use /v1/completions with a plain text.")
    }
    do {
      return try template.tokenize(document.map { Self.insert($0, into: messages) } ?? messages)
    } catch let error as LlamaError {
      throw ServingError.invalidParameter("messages", message: "\(error)")
    }
  }

  private static func insert(_ document: String, into messages: [ChatMessage]) -> [ChatMessage] {
    let leading = messages.prefix { $0.role == .system }
    var rest = Array(messages.dropFirst(leading.count))
    var parts = [document] + leading.map(\.content)
    if let first = rest.first, first.role == .user {
      parts.append(first.content)
      rest.removeFirst()
    }
    return [ChatMessage(role: .user, content: parts.joined(separator: "\n\n"))] + rest
  }
}

// Conversations as llama.cpp's chat library takes them.

import Foundation

extension ChatRequest {
  /// The request for the C interface. Texts that are JSON already stay as they are, so that schemas keep their order.
  ///
  /// - Throws: ``LlamaError/chatTemplateRefused(reason:)`` for arguments, schemas and tools that are no JSON objects.
  func json(_ options: ChatTemplate.Options) throws(LlamaError) -> String {
    var fields = [
      "\"messages\": [" + (try list(messages) { (message) throws(LlamaError) in try json(message) }) + "]"
    ]
    var tools = self.tools
    var choice = "auto"
    switch toolChoice {
    case .automatic: break
    case .none: choice = "none"
    case .required: choice = "required"
    case .tool(let name):
      choice = "required"
      tools = tools.filter { $0.name == name }
      guard !tools.isEmpty else {
        throw .chatTemplateRefused(reason: "there is no tool '\(name)' among those that were given")
      }
    }
    if !tools.isEmpty {
      fields.append("\"tools\": [" + (try list(tools) { (tool) throws(LlamaError) in try json(tool) }) + "]")
      fields.append("\"tool_choice\": \"\(choice)\"")
      fields.append("\"parallel_tool_calls\": \(allowsParallelCalls)")
    }
    if let schema { fields.append("\"json_schema\": " + (try Self.object(schema, "the schema"))) }
    if continuesAnswer { fields.append("\"continue_final_message\": \"content\"") }
    if let thinks = enableThinking ?? options.enableThinking {
      fields.append("\"enable_thinking\": \(thinks)")
    }
    if let arguments = try Self.merged(options.arguments, arguments) {
      fields.append("\"arguments\": " + arguments)
    }
    return "{" + fields.joined(separator: ", ") + "}"
  }

  private func json(_ message: ChatMessage) throws(LlamaError) -> String {
    var fields = ["\"role\": \"\(message.role.rawValue)\""]
    let isCall = !message.toolCalls.isEmpty && message.content.isEmpty
    fields.append("\"content\": " + (isCall ? "null" : Self.quoted(message.content)))
    if let reasoning = message.reasoning { fields.append("\"reasoning_content\": " + Self.quoted(reasoning)) }
    if let id = message.toolCallID { fields.append("\"tool_call_id\": " + Self.quoted(id)) }
    if let name = message.toolName { fields.append("\"name\": " + Self.quoted(name)) }
    if !message.toolCalls.isEmpty {
      let calls = try list(message.toolCalls) { (call) throws(LlamaError) in
        // Templates may take arguments apart.
        _ = try Self.object(call.arguments, "the arguments of the call of '\(call.name)'")
        return "{\"id\": \(Self.quoted(call.id)), \"type\": \"function\", \"function\": {\"name\": "
          + "\(Self.quoted(call.name)), \"arguments\": \(Self.quoted(call.arguments))}}"
      }
      fields.append("\"tool_calls\": [" + calls + "]")
    }
    return "{" + fields.joined(separator: ", ") + "}"
  }

  private func json(_ tool: ChatTool) throws(LlamaError) -> String {
    let parameters = try tool.parameters.map { (text) throws(LlamaError) in
      try Self.object(text, "the parameters of the tool '\(tool.name)'")
    }
    return "{\"type\": \"function\", \"function\": {\"name\": \(Self.quoted(tool.name)), \"description\": "
      + Self.quoted(tool.description) + (parameters.map { ", \"parameters\": " + $0 } ?? "") + "}}"
  }

  private func list<Element>(
    _ elements: [Element], _ json: (Element) throws(LlamaError) -> String
  ) throws(LlamaError) -> String {
    var texts: [String] = []
    for element in elements { texts.append(try json(element)) }
    return texts.joined(separator: ", ")
  }

  /// A text that must be a JSON object.
  private static func object(_ text: String, _ name: String) throws(LlamaError) -> String {
    guard (try? JSONSerialization.jsonObject(with: Data(text.utf8))) is [String: Any] else {
      throw .chatTemplateRefused(reason: "\(name) must be a JSON object, not '\(text.prefix(60))'")
    }
    return text
  }

  /// The variables of two objects, of which the second one's win.
  private static func merged(_ first: String?, _ second: String?) throws(LlamaError) -> String? {
    guard let first else {
      return try second.map { (text) throws(LlamaError) in try object(text, "the arguments") }
    }
    guard let second else { return try object(first, "the arguments") }
    let (old, new) = (try object(first, "the arguments"), try object(second, "the arguments"))
    let values = (try? JSONSerialization.jsonObject(with: Data(old.utf8))) as? [String: Any] ?? [:]
    let others = (try? JSONSerialization.jsonObject(with: Data(new.utf8))) as? [String: Any] ?? [:]
    let data = try? JSONSerialization.data(
      withJSONObject: values.merging(others) { $1 }, options: .sortedKeys)
    return data.map { String(decoding: $0, as: UTF8.self) }
  }

  static func quoted(_ text: String) -> String {
    // A string can always be encoded.
    (try? JSONEncoder().encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
  }
}

// Tools for models whose chat template knows none: told in a system message, called with a JSON object.

import CChatTemplates
import Foundation

/// Calls written as `{"name": "…", "arguments": {…}}`, by models that have no form of their own or do not keep to it.
enum PlainTools {
  /// The same conversation without tools: a system message tells of them, and calls and results are texts.
  static func told(_ request: ChatRequest) -> ChatRequest {
    var told = request
    told.tools = []
    told.toolChoice = .none
    var messages = request.messages.map(plain)
    let text = description(request)
    if messages.first?.role == .system {
      messages[0].content += "\n\n" + text
    } else {
      messages.insert(ChatMessage(role: .system, content: text), at: 0)
    }
    told.messages = messages
    return told
  }

  private static func description(_ request: ChatRequest) -> String {
    let tools = request.tools.map { tool in
      #"{"name": "\#(tool.name)", "description": "# + ChatRequest.quoted(tool.description)
        + #", "parameters": \#(tool.parameters ?? "{}")}"#
    }
    let when =
      switch request.toolChoice {
      case .required, .tool: "Answer with a call of a tool"
      default: "To call a tool, answer with the call"
      }
    return "You can call these tools:\n" + tools.joined(separator: "\n") + "\n\n" + when
      + #", as a JSON object and nothing else: {"name": "NAME", "arguments": {...}}. "#
      + "You are told its result then, and answer in words."
  }

  private static func plain(_ message: ChatMessage) -> ChatMessage {
    switch message.role {
    case .tool:
      let name = message.toolName.map { " of \($0)" } ?? ""
      return ChatMessage(role: .user, content: "Result\(name): " + message.content)
    case .assistant where !message.toolCalls.isEmpty:
      let calls = message.toolCalls.map { #"{"name": "\#($0.name)", "arguments": \#($0.arguments)}"# }
      let parts = (message.content.isEmpty ? [] : [message.content]) + calls
      return ChatMessage(role: .assistant, content: parts.joined(separator: "\n"))
    default: return message
    }
  }

  /// A grammar of one call of one of the tools.
  ///
  /// - Throws: ``LlamaError/chatTemplateRefused(reason:)`` for a schema that cannot be followed.
  static func grammar(_ tools: [ChatTool]) throws(LlamaError) -> Grammar {
    let calls = tools.map { tool in
      #"{"type": "object", "properties": {"name": {"const": "\#(tool.name)"}, "arguments": "#
        + (tool.parameters ?? #"{"type": "object", "properties": {}}"#)
        + #"}, "required": ["name", "arguments"]}"#
    }
    let schema = #"{"anyOf": ["# + calls.joined(separator: ", ") + "]}"
    do {
      return try Grammar(unsafe TemplateProgram.text { unsafe ct_schema_grammar(schema, $0) })
    } catch {
      throw .chatTemplateRefused(reason: "the parameters of the tools cannot be followed: \(error)")
    }
  }

  /// An answer that is a call, or begins like one, with its call taken out.
  static func found(_ answer: ChatAnswer, names: [String], isPartial: Bool) -> ChatAnswer {
    let text = answer.content.trimmingCharacters(in: .whitespacesAndNewlines)
    guard answer.calls.isEmpty, text.hasPrefix("{") || text.hasPrefix("```json\n{") else { return answer }
    var found = answer
    if isPartial {
      // Told when it is known what it is.
      found.content = ""
      return found
    }
    var json = text
    if json.hasPrefix("```json\n") { json = String(json.dropFirst(8)) }
    if json.hasSuffix("```") { json = String(json.dropLast(3)) }
    guard let object = try? JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any],
      Set(object.keys).isSubset(of: ["name", "arguments", "parameters", "type", "id"]),
      let name = object["name"] as? String, names.contains(name),
      let arguments = object["arguments"] ?? object["parameters"], arguments is [String: Any],
      let data = try? JSONSerialization.data(
        withJSONObject: arguments, options: [.sortedKeys, .withoutEscapingSlashes])
    else { return answer }
    found.content = ""
    found.calls = [ToolCall(id: "", name: name, arguments: String(decoding: data, as: UTF8.self))]
    return found
  }
}

// The requests of Anthropic's messages interface.

import LlamaHost
import Serving

/// Reads requests of `/v1/messages`.
enum MessageFields {
  /// - Throws: ``APIError`` that names the field.
  static func parameters(
    _ fields: RequestFields, model: ModelCard, settings: ServerSettings
  ) throws(APIError) -> CompletionParameters {
    guard let maximum = try fields.integer("max_tokens", 1...Int(Int32.max)) else {
      throw APIError(
        .badRequest, "max_tokens: Field required", parameter: "max_tokens", code: "missing_required_parameter"
      )
    }
    var parameters = try CompletionParameters.common(fields, model: model, settings: settings)
    parameters.request.prompt = .chat(try conversation(fields))
    parameters.request.sources = try sources(fields)
    if try wantsCitations(fields) { parameters.request.findsEvidence = true }
    parameters.request.maximumTokens = maximum
    if let stops = fields["stop_sequences"] {
      guard let list = stops.array, list.allSatisfy({ $0.string != nil }), list.count <= 16 else {
        throw .invalid("stop_sequences", "'stop_sequences' must be a list of at most 16 strings.")
      }
      parameters.request.stop = list.compactMap(\.string).filter { !$0.isEmpty }
    }
    return parameters
  }

  /// The documents of all messages.
  private static func documents(_ fields: RequestFields) throws(APIError) -> [RequestFields] {
    var documents: [RequestFields] = []
    for message in try fields.objects("messages") ?? [] where message["content"]?.array != nil {
      for block in try message.objects("content") ?? [] where try block.string("type") == "document" {
        documents.append(block)
      }
    }
    return documents
  }

  private static func sources(_ fields: RequestFields) throws(APIError) -> [SourceText] {
    var sources: [SourceText] = []
    for (number, block) in try documents(fields).enumerated() {
      sources.append(
        SourceText(name: try block.string("title") ?? "document \(number + 1)", text: try documentText(block))
      )
    }
    return sources
  }

  private static func wantsCitations(_ fields: RequestFields) throws(APIError) -> Bool {
    for block in try documents(fields) where try block.object("citations")?.flag("enabled") == true {
      return true
    }
    return false
  }

  /// The conversation alone, for counting.
  static func conversation(_ fields: RequestFields) throws(APIError) -> ChatRequest {
    var messages: [ChatMessage] = []
    let system = try texts(fields, "system")
    if !system.isEmpty { messages.append(ChatMessage(role: .system, content: system)) }
    guard let list = try fields.objects("messages"), !list.isEmpty else {
      throw APIError(
        .badRequest, "messages: Field required", parameter: "messages", code: "missing_required_parameter")
    }
    for message in list { messages += try Self.messages(message) }
    var request = ChatRequest(messages)
    for tool in try fields.objects("tools") ?? [] {
      // Tools that the service itself would run have a type with a date.
      if let type = try tool.string("type"), type != "custom" {
        throw .invalid(
          tool.name("type"), "'\(tool.name("type"))' is \(type): this server runs no tools of its own.")
      }
      request.tools.append(try ChatFields.tool(tool, parameters: "input_schema"))
    }
    request.allowsParallelCalls = true
    try choice(fields, &request)
    request.continuesAnswer =
      list.last.flatMap { try? $0.string("role") } == "assistant"
      && messages.last?.toolCalls.isEmpty == true
    if let thinking = try fields.object("thinking") {
      switch try thinking.string("type") {
      case "enabled"?, "adaptive"?: request.enableThinking = true
      case "disabled"?: request.enableThinking = false
      default: throw .invalid("thinking.type", "'thinking.type' must be enabled, adaptive or disabled.")
      }
      request.reasoningBudget = try thinking.integer("budget_tokens", 0...Int(Int32.max))
    }
    return request
  }

  private static func choice(_ fields: RequestFields, _ request: inout ChatRequest) throws(APIError) {
    guard let choice = try fields.object("tool_choice") else { return }
    if try choice.flag("disable_parallel_tool_use") == true { request.allowsParallelCalls = false }
    switch try choice.string("type") {
    case "auto"?: break
    case "none"?: request.tools = []
    case "any"?:
      guard !request.tools.isEmpty else {
        throw .invalid("tool_choice", "'tool_choice' is any, but there are no 'tools'.")
      }
      request.toolChoice = .required
    case "tool"?:
      guard let name = try choice.string("name"), request.tools.contains(where: { $0.name == name }) else {
        throw .invalid("tool_choice.name", "'tool_choice.name' must name one of the tools.")
      }
      request.toolChoice = .tool(name)
    default: throw .invalid("tool_choice.type", "'tool_choice.type' must be auto, any, tool or none.")
    }
  }

  /// One message becomes several where it has results of tools.
  private static func messages(_ fields: RequestFields) throws(APIError) -> [ChatMessage] {
    guard let name = try fields.string("role"), let role = ChatMessage.Role(rawValue: name), role != .tool
    else {
      throw .invalid(fields.name("role"), "'\(fields.name("role"))' must be user, assistant or system.")
    }
    if let text = fields["content"]?.string { return [ChatMessage(role: role, content: text)] }
    guard let blocks = try fields.objects("content") else {
      throw fields.mismatch("content", "a string or a list of blocks")
    }
    var results: [ChatMessage] = []
    var message = ChatMessage(role: role, content: "")
    var pieces: [String] = []
    for block in blocks {
      switch try block.string("type") {
      case "text"?: pieces.append(try block.string("text") ?? "")
      case "thinking"? where role == .assistant:
        message.reasoning = (message.reasoning ?? "") + (try block.string("thinking") ?? "")
      case "redacted_thinking"? where role == .assistant: break
      case "tool_use"? where role == .assistant:
        guard let name = try block.string("name") else { throw block.mismatch("name", "a string") }
        let input = try block.object("input")
        message.toolCalls.append(
          ToolCall(
            id: try block.string("id") ?? "", name: name,
            arguments: input.map { JSONValue.object($0.fields).text } ?? "{}"))
      case "tool_result"? where role == .user:
        results.append(
          ChatMessage(
            role: .tool, content: try texts(block, "content"), toolCallID: try block.string("tool_use_id")))
      case "document"? where role == .user: pieces.append(try document(block))
      case let type:
        throw .invalid(
          block.name("type"),
          "'\(block.name("type"))' is \((type ?? "absent").prefix(40)), which this server cannot read here: it reads "
            + "text, documents of text, tools and thoughts.")
      }
    }
    message.content = pieces.joined(separator: role == .assistant ? "" : "\n\n")
    let isEmpty = pieces.isEmpty && message.toolCalls.isEmpty && message.reasoning == nil
    return isEmpty && !results.isEmpty ? results : results + [message]
  }

  /// A string, or the texts of a list of blocks.
  private static func texts(_ fields: RequestFields, _ name: String) throws(APIError) -> String {
    guard let value = fields[name] else { return "" }
    if let text = value.string { return text }
    var pieces: [String] = []
    for block in try fields.objects(name) ?? [] {
      guard try block.string("type") ?? "text" == "text", let text = try block.string("text") else {
        throw .invalid(
          block.name("type"), "'\(block.name("type"))' must be 'text': this server reads only text.")
      }
      pieces.append(text)
    }
    return pieces.joined(separator: "\n\n")
  }

  private static func document(_ block: RequestFields) throws(APIError) -> String {
    var lines: [String] = []
    if let title = try block.string("title") { lines.append("Document: \(title)") }
    if let context = try block.string("context") { lines.append(context) }
    return (lines + [try documentText(block)]).joined(separator: "\n")
  }

  private static func documentText(_ block: RequestFields) throws(APIError) -> String {
    guard let source = try block.object("source") else { throw block.mismatch("source", "an object") }
    switch try source.string("type") {
    case "text"?: return try source.string("data") ?? ""
    case "content"?: return try texts(source, "content")
    case let type:
      throw .invalid(
        source.name("type"),
        "'\(source.name("type"))' is \((type ?? "absent").prefix(40)), but must be text or content: convert the "
          + "document to text first.")
    }
  }
}

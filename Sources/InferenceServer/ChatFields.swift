// Messages, tools and what else makes a conversation, in OpenAI's spelling and that of other servers.

import LlamaHost
import Serving

/// Reads conversations from requests.
enum ChatFields {
  /// The conversation of a request of `/v1/chat/completions`.
  static func conversation(_ fields: RequestFields) throws(APIError) -> ChatRequest {
    guard let list = try fields.objects("messages") else {
      throw APIError(
        .badRequest, "'messages' is missing.", parameter: "messages", code: "missing_required_parameter")
    }
    guard !list.isEmpty else { throw .invalid("messages", "'messages' must have at least one message.") }
    var messages: [ChatMessage] = []
    for message in list { messages.append(try Self.message(message)) }
    var request = try settings(fields)
    request.messages = messages
    request.schema = try schema(fields)
    // Clients that send the beginning of an answer want its end.
    let continues = try fields.flag("continue_final_message") ?? true
    request.continuesAnswer =
      continues && messages.last?.role == .assistant && messages.last?.toolCalls.isEmpty == true
    return request
  }

  /// Tools and reasoning of a request, for no messages yet.
  static func settings(_ fields: RequestFields) throws(APIError) -> ChatRequest {
    var request = ChatRequest([])
    request.tools = try tools(fields)
    request.toolChoice = try toolChoice(fields, tools: request.tools)
    if request.toolChoice == .none { request.tools = [] }
    request.allowsParallelCalls = try fields.flag("parallel_tool_calls") ?? true
    try reasoning(fields, of: &request)
    return request
  }

  /// How much the model thinks: `reasoning_effort`, `enable_thinking`, budgets, and the variables of the template.
  private static func reasoning(_ fields: RequestFields, of request: inout ChatRequest) throws(APIError) {
    request.enableThinking = try fields.flag("enable_thinking")
    var arguments: JSONObject = [:]
    if let more = try fields.object("chat_template_kwargs") {
      arguments = more.fields
      if let thinks = try more.flag("enable_thinking") { request.enableThinking = thinks }
      arguments["enable_thinking"] = nil
    }
    if let effort = try fields.string("reasoning_effort") { apply(effort: effort, to: &request, &arguments) }
    if !arguments.isEmpty { request.arguments = JSONValue.object(arguments).text }
    for name in ["reasoning_budget", "reasoning_budget_tokens", "thinking_budget_tokens"] {
      guard let budget = try fields.integer(name, -1...Int(Int32.max)), budget >= 0 else { continue }
      request.reasoningBudget = budget
    }
    if request.reasoningBudget == 0 {
      request.enableThinking = request.enableThinking ?? false
    }
  }

  /// OpenAI's efforts: templates that have such a variable read it; `none` turns thinking off.
  static func apply(effort: String, to request: inout ChatRequest, _ arguments: inout JSONObject) {
    guard effort != "none" else {
      request.enableThinking = request.enableThinking ?? false
      return
    }
    arguments["reasoning_effort"] = .string(effort)
  }

  static func message(_ fields: RequestFields) throws(APIError) -> ChatMessage {
    let names = ["developer": ChatMessage.Role.system, "function": .tool]
    guard let name = try fields.string("role") else { throw fields.mismatch("role", "a string") }
    guard let role = ChatMessage.Role(rawValue: name) ?? names[name] else {
      throw .invalid(
        fields.name("role"),
        "'\(fields.name("role"))' must be system, developer, user, assistant or tool, not '\(name.prefix(40))'."
      )
    }
    var message = ChatMessage(role: role, content: "")
    message.toolCallID = try fields.string("tool_call_id")
    if role == .tool { message.toolName = try fields.string("name") }
    if role == .assistant {
      for name in ["reasoning", "reasoning_content"] {
        if let reasoning = try fields.string(name) { message.reasoning = reasoning }
      }
      for call in try fields.objects("tool_calls") ?? [] { message.toolCalls.append(try toolCall(call)) }
    }
    switch fields["content"] {
    case .string(let text)?: message.content = text
    case .array?: message.content = try parts(fields)
    case nil where role == .assistant: break
    default: throw fields.mismatch("content", "a string or a list of text parts")
    }
    return message
  }

  private static func parts(_ fields: RequestFields) throws(APIError) -> String {
    var text = ""
    for part in try fields.objects("content") ?? [] {
      switch try part.string("type") {
      case "text"?, "input_text"?, "output_text"?:
        guard let piece = try part.string("text") else { throw part.mismatch("text", "a string") }
        text += piece
      case "refusal"?: text += try part.string("refusal") ?? ""
      default:
        throw .invalid(
          part.name("type"), "'\(part.name("type"))' must be 'text': this server reads only text.")
      }
    }
    return text
  }

  private static func toolCall(_ fields: RequestFields) throws(APIError) -> ToolCall {
    guard let function = try fields.object("function") else { throw fields.mismatch("function", "an object") }
    guard let name = try function.string("name") else { throw function.mismatch("name", "a string") }
    var arguments = "{}"
    switch function["arguments"] {
    case .string(let text)?: arguments = text.isEmpty ? "{}" : text
    case .object(let object)?: arguments = JSONValue.object(object).text
    case nil: break
    default: throw function.mismatch("arguments", "the text of a JSON object")
    }
    return ToolCall(id: try fields.string("id") ?? "", name: name, arguments: arguments)
  }

  private static func tools(_ fields: RequestFields) throws(APIError) -> [ChatTool] {
    var tools: [ChatTool] = []
    for entry in try fields.objects("tools") ?? [] {
      guard try entry.string("type") ?? "function" == "function" else {
        throw .invalid(
          entry.name("type"),
          "'\(entry.name("type"))' must be 'function': this server runs no tools of its own.")
      }
      // Responses have the function's fields beside its type.
      let function = try entry.object("function") ?? entry
      tools.append(
        try tool(function, parameters: function["parameters"] == nil ? "input_schema" : "parameters"))
    }
    return tools
  }

  /// A tool whose schema is in the field `parameters`.
  static func tool(_ fields: RequestFields, parameters: String) throws(APIError) -> ChatTool {
    guard let name = try fields.string("name") else { throw fields.mismatch("name", "a string") }
    let allowed: (Character) -> Bool = { $0.isASCII && ($0.isLetter || $0.isNumber || "_-.".contains($0)) }
    guard (1...128).contains(name.utf8.count), name.allSatisfy(allowed) else {
      throw .invalid(
        fields.name("name"),
        "'\(fields.name("name"))' must be 1 to 128 letters, digits, '_', '-' or '.', not '\(name.prefix(60))'."
      )
    }
    let schema = try fields.object(parameters)
    return ChatTool(
      name: name, description: try fields.string("description") ?? "",
      parameters: schema.map { JSONValue.object($0.fields).text })
  }

  private static func toolChoice(
    _ fields: RequestFields, tools: [ChatTool]
  ) throws(APIError) -> ChatRequest.ToolChoice {
    let choice: ChatRequest.ToolChoice
    switch fields["tool_choice"] {
    case nil, .string("auto")?: choice = .automatic
    case .string("none")?: choice = .none
    case .string("required")?, .string("any")?: choice = .required
    case .string(let name)? where tools.contains { $0.name == name }: choice = .tool(name)
    case .object?:
      guard let object = try fields.object("tool_choice") else { return .automatic }
      switch try object.string("type") {
      case "auto"?: choice = .automatic
      case "none"?: choice = .none
      case "any"?, "required"?: choice = .required
      case "allowed_tools"?: choice = try object.string("mode") == "required" ? .required : .automatic
      default:
        let function = try object.object("function")
        guard let name = try (function ?? object).string("name") else {
          throw object.mismatch("function", "an object with the name of a tool")
        }
        choice = .tool(name)
      }
    default:
      throw .invalid(
        "tool_choice", "'tool_choice' must be auto, none, required, or an object that names a function.")
    }
    if case .tool(let name) = choice, !tools.contains(where: { $0.name == name }) {
      throw .invalid("tool_choice", "'tool_choice' names '\(name.prefix(60))', which is not among the tools.")
    }
    guard choice != .required || !tools.isEmpty else {
      throw .invalid("tool_choice", "'tool_choice' is required, but there are no 'tools'.")
    }
    return choice
  }

  /// The schema of the answer, where the request gives one: models that think, or that have tools, have it kept behind
  /// their thoughts or instead of a call.
  private static func schema(_ fields: RequestFields) throws(APIError) -> String? {
    if let format = try fields.object("response_format") {
      let wrapper = try format.object("json_schema") ?? format
      switch try format.string("type") {
      case "json_schema"?, "json_object"?:
        return wrapper["schema"].map(\.text) ?? #"{"type":"object"}"#
      default: return nil
      }
    }
    guard let value = fields["json_schema"], let object = value.object else { return nil }
    return (object["schema"] ?? value).text
  }
}

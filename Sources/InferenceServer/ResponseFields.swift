// The requests of OpenAI's responses interface.

import LlamaHost
import Serving

/// What a request of `/v1/responses` asks for, and what its answer repeats.
struct ResponseFields {
  var parameters: CompletionParameters
  /// The conversation before the answer, without instructions: these are of one request alone.
  var conversation: [ChatMessage]
  /// Fields that an answer repeats.
  var repeated: JSONObject
  /// Whether the answer can be continued by its identifier.
  var isStored: Bool

  /// - Parameter earlier: the conversation that an earlier answer ended; nil for an identifier that is not known.
  /// - Throws: ``APIError`` that names the field.
  init(
    _ fields: RequestFields, model: ModelCard, settings: ServerSettings,
    earlier: (String) -> [ChatMessage]?
  ) throws(APIError) {
    try fields.refuse("background", "conversation", "prompt")
    parameters = try CompletionParameters.common(fields, model: model, settings: settings)
    parameters.request.maximumTokens = try fields.integer("max_output_tokens", 1...Int(Int32.max))
    var messages: [ChatMessage] = []
    let previous = try fields.string("previous_response_id")
    if let previous {
      guard let known = earlier(previous) else {
        throw APIError(
          .notFound,
          "There is no response '\(previous.prefix(80))' here, or not any more: send the conversation.",
          parameter: "previous_response_id", code: "previous_response_not_found")
      }
      messages = known
    }
    switch fields["input"] {
    case .string(let text)?: messages.append(ChatMessage(role: .user, content: text))
    case .array?: for item in try fields.objects("input") ?? [] { try Self.add(item, to: &messages) }
    case nil where previous != nil: break
    case nil:
      throw APIError(
        .badRequest, "'input' is missing.", parameter: "input", code: "missing_required_parameter")
    default: throw fields.mismatch("input", "a string or a list of items")
    }
    guard !messages.isEmpty else { throw .invalid("input", "'input' must have at least one item.") }
    conversation = messages
    let instructions = try fields.string("instructions")
    if let instructions { messages.insert(ChatMessage(role: .system, content: instructions), at: 0) }
    var request = try ChatFields.settings(fields)
    request.messages = messages
    request.continuesAnswer = false
    var arguments: JSONObject = [:]
    let reasoning = try fields.object("reasoning")
    if let effort = try reasoning?.string("effort") {
      ChatFields.apply(effort: effort, to: &request, &arguments)
      if !arguments.isEmpty { request.arguments = JSONValue.object(arguments).text }
    }
    let format = try fields.object("text")?.object("format")
    try Self.constrain(format, &request, &parameters)
    parameters.request.prompt = .chat(request)
    parameters.request.sources = CompletionParameters.sources(of: request)
    isStored = try fields.flag("store") ?? true
    repeated = [
      "instructions": instructions.map { .string($0) } ?? .null,
      "max_output_tokens": fields["max_output_tokens"] ?? .null,
      "metadata": fields["metadata"] ?? .object([:]),
      "parallel_tool_calls": .bool(request.allowsParallelCalls),
      "previous_response_id": previous.map { .string($0) } ?? .null,
      "reasoning": fields["reasoning"] ?? .object(["effort": .null, "summary": .null]),
      "store": .bool(isStored),
      "temperature": fields["temperature"] ?? .number(1),
      "text": fields["text"] ?? .object(["format": .object(["type": .string("text")])]),
      "tool_choice": fields["tool_choice"] ?? .string("auto"),
      "tools": fields["tools"] ?? .array([]),
      "top_p": fields["top_p"] ?? .number(1),
      "truncation": fields["truncation"] ?? .string("disabled"),
      "user": fields["user"] ?? .null,
    ]
  }

  /// The form that an answer is to have.
  private static func constrain(
    _ format: RequestFields?, _ request: inout ChatRequest, _ parameters: inout CompletionParameters
  ) throws(APIError) {
    guard let format, let type = try format.string("type"), type != "text" else { return }
    let grammar: String
    switch type {
    case "json_object":
      request.schema = #"{"type":"object"}"#
      grammar = JSONGrammar.anyObject
    case "json_schema":
      guard let schema = format["schema"] else { throw format.mismatch("schema", "a JSON schema") }
      request.schema = schema.text
      do {
        grammar = try JSONGrammar.grammar(schema: schema)
      } catch {
        throw .invalid(format.name("schema"), "\(error)")
      }
    default:
      throw .invalid(
        format.name("type"), "'\(format.name("type"))' must be text, json_object or json_schema.")
    }
    do {
      parameters.request.sampling = try parameters.request.sampling.with(grammar: grammar)
    } catch {
      throw .invalid(format.name("schema"), "\(error)")
    }
  }

  /// An item is a message, a thought before one, a call, or a tool's answer.
  private static func add(_ item: RequestFields, to messages: inout [ChatMessage]) throws(APIError) {
    switch try item.string("type") ?? "message" {
    case "message": messages.append(try ChatFields.message(item))
    case "function_call":
      guard let name = try item.string("name") else { throw item.mismatch("name", "a string") }
      let arguments = try item.string("arguments") ?? ""
      let call = ToolCall(
        id: try item.string("call_id") ?? "", name: name, arguments: arguments.isEmpty ? "{}" : arguments)
      // Calls that follow each other are of one answer.
      if let last = messages.last, last.role == .assistant {
        messages[messages.count - 1].toolCalls.append(call)
      } else {
        messages.append(ChatMessage(role: .assistant, content: "", toolCalls: [call]))
      }
    case "function_call_output":
      var text = ""
      switch item["output"] {
      case .string(let output)?: text = output
      case .array?:
        for part in try item.objects("output") ?? [] { text += try part.string("text") ?? "" }
      case nil: break
      case let value?: text = value.text
      }
      messages.append(
        ChatMessage(role: .tool, content: text, toolCallID: try item.string("call_id")))
    case "reasoning":
      var text = ""
      for part in try item.objects("content") ?? [] { text += try part.string("text") ?? "" }
      guard !text.isEmpty else { return }
      messages.append(ChatMessage(role: .assistant, content: "", reasoning: text))
    case let type:
      throw .invalid(
        item.name("type"),
        "'\(item.name("type"))' is \(type.prefix(40)), but must be message, reasoning, function_call or "
          + "function_call_output.")
    }
  }
}

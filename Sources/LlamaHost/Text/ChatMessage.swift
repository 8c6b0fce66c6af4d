// One turn of a conversation.

/// A message and who wrote it.
public struct ChatMessage: Sendable, Hashable {
  /// A closed set, because templates copy the role verbatim between control tokens.
  public enum Role: String, Sendable, Codable, CaseIterable {
    /// As chat templates name them.
    case system, user, assistant, tool
  }

  /// Who speaks.
  public var role: Role
  /// What is said, as text.
  public var content: String
  /// What the assistant thought before it answered; most templates leave it out of later turns.
  public var reasoning: String?
  /// What the assistant asked for.
  public var toolCalls: [ToolCall]
  /// Of a tool's message: the call that it answers, and the tool's name.
  public var toolCallID, toolName: String?

  /// A turn.
  public init(
    role: Role, content: String, reasoning: String? = nil, toolCalls: [ToolCall] = [],
    toolCallID: String? = nil, toolName: String? = nil
  ) {
    self.role = role
    self.content = content
    self.reasoning = reasoning
    self.toolCalls = toolCalls
    self.toolCallID = toolCallID
    self.toolName = toolName
  }

  /// Whether it is a role and a text, which every template takes.
  var isPlain: Bool { role != .tool && reasoning == nil && toolCalls.isEmpty }
}

/// A tool that a model asked for.
public struct ToolCall: Sendable, Hashable, Codable {
  /// Tells calls of one conversation apart; empty where the model gives none.
  public var id: String
  /// The tool's.
  public var name: String
  /// The text of a JSON object.
  public var arguments: String

  /// A call.
  public init(id: String, name: String, arguments: String) {
    self.id = id
    self.name = name
    self.arguments = arguments
  }
}

/// A function that a model may ask for.
public struct ChatTool: Sendable, Hashable {
  /// Letters, digits, `_`, `-` and `.`.
  public var name: String
  /// What it is for, as the model reads it.
  public var description: String
  /// A JSON schema of its arguments, as text; nil for none.
  public var parameters: String?

  /// A tool.
  public init(name: String, description: String = "", parameters: String? = nil) {
    self.name = name
    self.description = description
    self.parameters = parameters
  }
}

/// A conversation that a model is to answer, with what its answer may be.
public struct ChatRequest: Sendable, Hashable {
  /// Whether an answer is, or has, a tool call.
  public enum ToolChoice: Sendable, Hashable {
    /// As the model likes.
    case automatic
    /// It has none.
    case none
    /// It has at least one.
    case required
    /// It has one of this tool.
    case tool(String)
  }

  /// The turns so far.
  public var messages: [ChatMessage]
  /// What the model may ask for.
  public var tools: [ChatTool] = []
  public var toolChoice = ToolChoice.automatic
  /// Whether an answer may have several calls.
  public var allowsParallelCalls = false
  /// A JSON schema of the answer, as text: thoughts may come before it.
  public var schema: String?
  /// The answer goes on with the last message, which is the assistant's.
  public var continuesAnswer = false
  /// Before ``ChatTemplate/Options/enableThinking``.
  public var enableThinking: Bool?
  /// More variables of the template, as the text of a JSON object, besides ``ChatTemplate/Options/arguments``.
  public var arguments: String?
  /// Most tokens of reasoning; nil for no bound.
  public var reasoningBudget: Int?

  /// A conversation with nothing besides.
  public init(_ messages: [ChatMessage]) { self.messages = messages }

  /// Whether messages and the template's own options are all there is.
  var isPlain: Bool {
    tools.isEmpty && schema == nil && !continuesAnswer && enableThinking == nil && arguments == nil
      && messages.allSatisfy(\.isPlain)
  }
}

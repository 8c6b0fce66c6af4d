// Conversations to prompts, without letting a message speak the template's language.

import Platform

/// A model's chat template, filled in by llama.cpp's Jinja engine.
///
///     let prompt = try model.chatTemplate?.tokenize([ChatMessage(role: .user, content: "Hello")])
///
/// Names of control tokens count only in what was written in the template itself: `<|im_end|>` inside a message stays
/// text, whatever the template does with it. Templates see what transformers gives them: `messages`, `bos_token`,
/// `eos_token`, `add_generation_prompt`, `tools` and `documents` as none, and the arguments of ``Options``.
public struct ChatTemplate: Sendable {
  /// What a template is given beside messages.
  public struct Options: Sendable, Hashable {
    /// What the model is told before everything, where messages do not begin with a system message themselves. Nil
    /// leaves it to the template, which may have a text of its own.
    public var systemPrompt: String?
    /// The variable `enable_thinking`; nil leaves it out, which means what the template takes it for.
    public var enableThinking: Bool?
    /// More variables, as the text of a JSON object.
    public var arguments: String?
    /// Most tokens of thoughts where a request says nothing; nil for no bound.
    public var reasoningBudget: Int?
    /// Whether thoughts are told.
    public var showsReasoning: Bool

    /// The template as it is.
    public init(
      systemPrompt: String? = nil, enableThinking: Bool? = nil, arguments: String? = nil,
      reasoningBudget: Int? = nil, showsReasoning: Bool = true
    ) {
      self.systemPrompt = systemPrompt
      self.enableThinking = enableThinking
      self.arguments = arguments
      self.reasoningBudget = reasoningBudget
      self.showsReasoning = showsReasoning
    }
  }

  /// The template, in Jinja's language.
  public let source: String
  public var options: Options
  /// Whether it is the one that came with the model.
  public let isModelsOwn: Bool
  private let tokenizer: Tokenizer
  /// The parsed template, or why it cannot be parsed: a model can still be used without it.
  private let program: Result<TemplateProgram, LlamaError>
  private let formats: ChatFormats

  init(source: String, isModelsOwn: Bool = true, options: Options = Options(), tokenizer: Tokenizer) {
    self.source = source
    self.isModelsOwn = isModelsOwn
    self.options = options
    self.tokenizer = tokenizer
    func name(_ token: Int32?) -> String {
      token.map { tokenizer.detokenize([$0], renderSpecial: true) } ?? ""
    }
    let (bos, eos) = (name(tokenizer.bos), name(tokenizer.eos))
    formats = ChatFormats(source: source, bos: bos, eos: eos)
    program = Result { () throws(LlamaError) in
      try TemplateProgram(source: source, bos: bos, eos: eos)
    }
  }

  /// Another template for the same model.
  ///
  /// - Throws: ``LlamaError/chatTemplateUnusable(reason:)`` for one that cannot be parsed, or cannot be filled in
  ///   with a
  ///   user's message.
  public init(source: String, options: Options = Options(), model: LlamaModel) throws {
    self.init(source: source, isModelsOwn: false, options: options, tokenizer: model.tokenizer)
    try check()
  }

  /// Tells templates that cannot be used before there is something to say.
  ///
  /// - Throws: ``LlamaError/chatTemplateUnusable(reason:)`` when a user's message cannot be filled in with these
  ///   options.
  public func check() throws {
    let message = ChatMessage(role: .user, content: "Hello")
    do {
      guard try render([message]).contains(message.content) else {
        throw LlamaError.chatTemplateUnusable(reason: "it leaves out what the user says")
      }
    } catch LlamaError.chatTemplateRefused(let reason) {
      throw LlamaError.chatTemplateUnusable(reason: reason)
    }
  }

  /// Tells this template from others, for what was made with it and is kept.
  package var fingerprint: String {
    var source = source
    return String(source.withUTF8 { unsafe XXH64.hash(UnsafeRawBufferPointer($0)) }, radix: 16)
  }

  /// The prompt as text: for display. To evaluate it use ``tokenize(_:addGenerationPrompt:)``.
  ///
  /// - Throws: ``LlamaError/chatTemplateRefused(reason:)`` when the template does not take these messages,
  ///   ``LlamaError/chatTemplateUnusable(reason:)`` when it cannot be executed.
  public func render(_ messages: [ChatMessage], addGenerationPrompt: Bool = true) throws -> String {
    try pieces(messages, addGenerationPrompt: addGenerationPrompt).map(\.text).joined()
  }

  /// The prompt of a conversation with tools as text, as ``render(_:addGenerationPrompt:)`` gives it of messages.
  public func render(_ request: ChatRequest, addGenerationPrompt: Bool = true) throws -> String {
    guard addGenerationPrompt || !request.isPlain else {
      return try render(request.messages, addGenerationPrompt: false)
    }
    let pieces = try prepare(request).pieces
    return pieces.map(\.text).joined()
  }

  /// The prompt as tokens, with BOS exactly once if the vocabulary wants it.
  ///
  /// Equal to tokenizing the rendered text with control tokens recognized, when no content holds one.
  ///
  /// - Throws: as ``render(_:addGenerationPrompt:)-([ChatMessage],_)`` does.
  public func tokenize(_ messages: [ChatMessage], addGenerationPrompt: Bool = true) throws -> [Int32] {
    tokenizer.withBOS(try tokenizer.tokenize(pieces(messages, addGenerationPrompt: addGenerationPrompt)))
  }

  /// The prompt cut into the template's own text and all else.
  package func pieces(_ messages: [ChatMessage], addGenerationPrompt: Bool = true) throws -> [PromptPiece] {
    var messages = messages
    if let prompt = options.systemPrompt, messages.first?.role != .system {
      messages.insert(ChatMessage(role: .system, content: prompt), at: 0)
    }
    guard messages.allSatisfy(\.isPlain) else { return try format(ChatRequest(messages)).pieces }
    return try program.get().render(messages, addGenerationPrompt: addGenerationPrompt, options: options)
  }

  /// The tokens of a conversation, with BOS exactly once if the vocabulary wants it, and the form of the answer; nil
  /// where that is a text and nothing else.
  ///
  /// - Throws: as ``render(_:addGenerationPrompt:)-(ChatRequest,_)`` does.
  public func tokenize(_ request: ChatRequest) throws -> (tokens: [Int32], format: ChatFormat?) {
    let (pieces, format) = try prepare(request)
    return (tokenizer.withBOS(try tokenizer.tokenize(pieces)), format)
  }

  /// Whether models that use it think before they answer, if they are not told otherwise.
  public var supportsThinking: Bool { formats.supportsThinking }

  /// The prompt of a conversation and the form of its answer.
  ///
  /// - Returns: no form where an answer is a text and nothing else.
  /// - Throws: as ``render(_:addGenerationPrompt:)`` does, for tools that the template cannot present as well.
  package func prepare(_ request: ChatRequest) throws -> (pieces: [PromptPiece], format: ChatFormat?) {
    var request = request
    if let prompt = options.systemPrompt, request.messages.first?.role != .system {
      request.messages.insert(ChatMessage(role: .system, content: prompt), at: 0)
    }
    guard !request.isPlain || supportsThinking else {
      do {
        return (try pieces(request.messages), nil)
      } catch LlamaError.chatTemplateRefused(let reason) {
        // The library mends conversations for templates that know no system messages.
        guard let format = try? formats.apply(request.json(options)) else {
          throw LlamaError.chatTemplateRefused(reason: reason)
        }
        return (format.pieces, nil)
      }
    }
    let format = try format(request)
    return (format.pieces, format)
  }

  /// The format of a conversation. Where the template says nothing of its tools, a system message does.
  private func format(_ request: ChatRequest) throws -> ChatFormat {
    guard let tool = request.tools.first else { return try formats.apply(request.json(options)) }
    var tools = request.tools
    if case .tool(let name) = request.toolChoice { tools = tools.filter { $0.name == name } }
    // A template may also refuse what it does not know.
    let own = Result { try formats.apply(request.json(options), tools: tools) }
    if case .success(let format) = own, format.pieces.contains(where: { $0.text.contains(tool.name) }) {
      return format
    }
    // What is wrong with the request itself is told.
    _ = try request.json(options)
    let isForced = request.toolChoice != .automatic && request.toolChoice != .none
    let plain = try isForced ? PlainTools.grammar(tools) : nil
    return try formats.apply(PlainTools.told(request).json(options), tools: tools, plainGrammar: plain)
  }
}

extension Tokenizer {
  /// Tokens with BOS in front, exactly once, if the vocabulary wants it.
  package func withBOS(_ tokens: [Int32]) -> [Int32] {
    guard addsBOS, let bos, tokens.first != bos else { return tokens }
    return [bos] + tokens
  }
}

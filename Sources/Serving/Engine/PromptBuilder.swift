// From requests to tokens. A long text takes seconds, so all of this is for a thread of its own.

import Generation
import LlamaHost

/// A prompt, and the form of the answer to it where that is more than a text.
struct PreparedPrompt: Sendable {
  var tokens: [Int32]
  var format: ChatFormat?
}

/// Makes prompts for one model. Used by many tasks at once: models and tokenizers never change.
struct PromptBuilder: Sendable {
  let model: LlamaModel
  /// Most tokens of prompt and answer together.
  let contextLength: Int
  private let bound: TokenBound?

  init(model: LlamaModel, contextLength: Int) {
    self.model = model
    self.contextLength = contextLength
    bound = TokenBound(model.tokenizer)
  }

  /// The tokens of a request's prompt; a session's document stands before its conversation, before a system message as
  /// well, so that every question about it begins with the same tokens.
  func prepare(_ prompt: CompletionRequest.Prompt, document: SessionDocumentText?) throws -> PreparedPrompt {
    let tokens: [Int32]
    var format: ChatFormat?
    switch prompt {
    case .text(let text, let parseSpecial):
      try refuse(document)
      try refuseHopeless([text])
      tokens = try self.tokens(text, parseSpecial: parseSpecial)
    case .tokens(let list):
      try refuse(document)
      try check(list)
      tokens = list
    case .mixed(let parts, let parseSpecial):
      try refuse(document)
      tokens = try self.tokens(parts, parseSpecial: parseSpecial)
    case .infill(let prefix, let suffix):
      try refuse(document)
      try refuseHopeless([prefix, suffix])
      tokens = try self.tokens(prefix: prefix, suffix: suffix)
    case .chat(var request):
      try refuseHopeless(request.messages.map(\.content))
      // A grammar of ours does for answers that are nothing but text.
      if request.tools.isEmpty, model.chatTemplate?.supportsThinking != true { request.schema = nil }
      do {
        if var document {
          guard request.tools.isEmpty else {
            throw ServingError.invalidParameter(
              "tools", message: "A session has its document before everything, where tools would have to be.")
          }
          tokens = document.tokens + (try document.conversation.ask(request))
          format = document.conversation.answerFormat
        } else {
          (tokens, format) = try chat(request)
        }
      } catch let error as LlamaError {
        throw ServingError.invalidParameter("messages", message: "\(error)")
      }
    }
    guard !tokens.isEmpty else {
      throw ServingError.invalidParameter("prompt", message: "The prompt is empty.")
    }
    return PreparedPrompt(tokens: tokens, format: format)
  }

  private func tokens(_ text: String, parseSpecial: Bool) throws -> [Int32] {
    let tokenizer = model.tokenizer
    let tokens = try tokenizer.tokenize(text, addSpecial: true, parseSpecial: parseSpecial)
    // A template that the client filled in begins with BOS itself.
    guard parseSpecial, tokenizer.addsBOS, let bos = tokenizer.bos, tokens.starts(with: [bos, bos]) else {
      return tokens
    }
    return Array(tokens.dropFirst())
  }

  private func tokens(_ parts: [CompletionRequest.Part], parseSpecial: Bool) throws -> [Int32] {
    try check(parts.compactMap { if case .token(let token) = $0 { token } else { nil } })
    try refuseHopeless(parts.compactMap { if case .text(let text) = $0 { text } else { nil } })
    var tokens: [Int32] = []
    for (index, part) in parts.enumerated() {
      switch part {
      case .token(let token): tokens.append(token)
      case .text(let text) where index == 0: tokens = try self.tokens(text, parseSpecial: parseSpecial)
      case .text(let text):
        tokens += try model.tokenizer.tokenize(text, addSpecial: false, parseSpecial: parseSpecial)
      }
    }
    return tokens
  }

  private func tokens(prefix: String, suffix: String) throws -> [Int32] {
    guard let tokens = try model.tokenizer.tokenize(prefix: prefix, suffix: suffix) else {
      let name = model.description.name ?? model.description.architecture
      throw ServingError.invalidParameter(
        "suffix",
        message: "The model \(name) was not trained to fill gaps: its vocabulary has no tokens for it.")
    }
    return tokens
  }

  private func check(_ tokens: [Int32]) throws {
    let size = model.tokenizer.vocabularySize
    if let bad = tokens.first(where: { $0 < 0 || Int($0) >= size }) {
      throw ServingError.invalidParameter("prompt", message: "Token \(bad) is not in 0..<\(size).")
    }
  }

  /// Refuses texts that cannot fit whatever their tokens are: tokenizing them could take long for nothing.
  private func refuseHopeless(_ texts: [String]) throws {
    // Short ones are looked at by their tokens alone.
    guard let bound, texts.reduce(0, { $0 + $1.utf8.count }) > contextLength else { return }
    let least = bound.leastTokens(texts)
    guard least <= contextLength else {
      throw ServingError.promptTooLong(leastTokens: least, limit: contextLength)
    }
  }

  private func refuse(_ document: SessionDocumentText?) throws {
    guard document == nil else {
      throw ServingError.invalidParameter(
        "session", message: "A session needs a conversation: use chat completions.")
    }
  }

  /// What every question about `text` begins with.
  func document(_ text: String, name: String) throws -> SessionDocumentText {
    try refuseHopeless([text])
    do {
      var conversation = try Conversation(model: model)
      let (tokens, documents) = try conversation.read([(name: name, text: text)])
      return SessionDocumentText(tokens: tokens, conversation: conversation, documents: documents)
    } catch let error as LlamaError {
      throw ServingError.invalidParameter("text", message: "\(error)")
    } catch GenerationError.emptyPrompt {
      throw ServingError.invalidParameter("text", message: "The text is empty.")
    }
  }

  private func chat(_ request: ChatRequest) throws -> ([Int32], ChatFormat?) {
    try chatTemplate().tokenize(request)
  }

  func chatTemplate() throws -> ChatTemplate {
    guard let template = model.chatTemplate else {
      throw ServingError.invalidParameter(
        "messages", message: "This model has no chat template. Use /v1/completions with a plain text.")
    }
    return template
  }
}

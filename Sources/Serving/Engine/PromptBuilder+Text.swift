// What clients ask about tokens without a completion, and by tokens about one.

import Generation
public import LlamaHost

extension PromptBuilder {
  /// How tokens of a request are chosen, with its biases.
  func sampling(of request: CompletionRequest) throws -> SamplerSettings {
    guard !request.logitBias.isEmpty else { return request.sampling }
    let tokenizer = model.tokenizer
    var biases: [Int32: Float] = [:]
    func add(_ bias: Float, to token: Int32) throws {
      guard token >= 0, Int(token) < tokenizer.vocabularySize else {
        throw ServingError.invalidParameter(
          "logit_bias", message: "Token \(token) is not in 0..<\(tokenizer.vocabularySize).")
      }
      biases[token, default: 0] += bias
    }
    for bias in request.logitBias {
      switch bias.target {
      case .token(let token): try add(bias.bias, to: token)
      case .text(let text):
        for token in try tokenizer.tokenize(text, addSpecial: false, parseSpecial: true) {
          try add(bias.bias, to: token)
        }
      }
    }
    do {
      return try request.sampling.with(logitBias: biases)
    } catch {
      throw ServingError.invalidParameter("logit_bias", message: "\(error)")
    }
  }

  /// The text that the chat template makes of a conversation.
  func text(of request: ChatRequest, addGenerationPrompt: Bool) throws -> String {
    do {
      return try chatTemplate().render(request, addGenerationPrompt: addGenerationPrompt)
    } catch let error as LlamaError {
      throw ServingError.invalidParameter("messages", message: "\(error)")
    }
  }
}

extension RequestIntake {
  func tokenize(_ text: String, addSpecial: Bool, parseSpecial: Bool) async throws -> [Int32] {
    try await workers.run(size: text.utf8.count) { [model] _ in
      try model.tokenizer.tokenize(text, addSpecial: addSpecial, parseSpecial: parseSpecial)
    }
  }

  func pieces(of tokens: [Int32]) async throws -> [[UInt8]] {
    let size = model.tokenizer.vocabularySize
    if let bad = tokens.first(where: { $0 < 0 || Int($0) >= size }) {
      throw ServingError.invalidParameter("tokens", message: "Token \(bad) is not in 0..<\(size).")
    }
    return try await workers.run(size: tokens.count * MemoryLayout<Int32>.size) { [model] _ in
      tokens.map { model.tokenizer.bytes(of: $0, renderSpecial: true) }
    }
  }

  func prompt(of request: ChatRequest, addGenerationPrompt: Bool) async throws -> String {
    try await workers.run(size: CompletionRequest.Prompt.chat(request).byteCount) { [prompts] _ in
      try prompts.text(of: request, addGenerationPrompt: addGenerationPrompt)
    }
  }

  func promptTokens(of request: CompletionRequest) async throws -> Int {
    try await workers.run(size: request.prompt.byteCount) { [prompts] _ in
      try prompts.prepare(request.prompt, document: nil).tokens.count
    }
  }
}

extension Scheduler {
  /// The tokens of a text.
  public func tokenize(_ text: String, addSpecial: Bool, parseSpecial: Bool) async throws -> [Int32] {
    try await intake.tokenize(text, addSpecial: addSpecial, parseSpecial: parseSpecial)
  }

  /// The bytes of each token.
  public func pieces(of tokens: [Int32]) async throws -> [[UInt8]] { try await intake.pieces(of: tokens) }

  /// What the chat template makes of a conversation.
  public func prompt(of request: ChatRequest, addGenerationPrompt: Bool) async throws -> String {
    try await intake.prompt(of: request, addGenerationPrompt: addGenerationPrompt)
  }

  /// How many tokens the prompt of a request has.
  public func promptTokens(of request: CompletionRequest) async throws -> Int {
    try await intake.promptTokens(of: request)
  }
}

extension HostScheduler {
  /// The tokens of a text.
  public func tokenize(_ text: String, addSpecial: Bool, parseSpecial: Bool) async throws -> [Int32] {
    try await intake.tokenize(text, addSpecial: addSpecial, parseSpecial: parseSpecial)
  }

  /// The bytes of each token.
  public func pieces(of tokens: [Int32]) async throws -> [[UInt8]] { try await intake.pieces(of: tokens) }

  /// What the chat template makes of a conversation.
  public func prompt(of request: ChatRequest, addGenerationPrompt: Bool) async throws -> String {
    try await intake.prompt(of: request, addGenerationPrompt: addGenerationPrompt)
  }

  /// How many tokens the prompt of a request has.
  public func promptTokens(of request: CompletionRequest) async throws -> Int {
    try await intake.promptTokens(of: request)
  }
}

// What an engine says about texts: bytes are tokens, and their numbers.

import LlamaHost
import Serving

extension ScriptedService {
  private func checkIsKnown() throws {
    guard model.details != nil else { throw ServingError.unsupported("This engine only completes.") }
  }

  func tokenize(_ text: String, addSpecial: Bool, parseSpecial: Bool) async throws -> [Int32] {
    try checkIsKnown()
    return (addSpecial ? [1] : []) + text.utf8.map { Int32($0) }
  }

  func pieces(of tokens: [Int32]) async throws -> [[UInt8]] {
    try checkIsKnown()
    return try tokens.map { token in
      guard let byte = UInt8(exactly: token) else {
        throw ServingError.invalidParameter("tokens", message: "Token \(token) is not in 0..<256.")
      }
      return [byte]
    }
  }

  func prompt(of request: ChatRequest, addGenerationPrompt: Bool) async throws -> String {
    try checkIsKnown()
    return request.messages.map { "\($0.role.rawValue):\($0.content)|" }.joined()
      + (addGenerationPrompt ? "assistant:" : "")
  }

  func embed(_ inputs: [EmbeddingInput]) async throws -> [Embedding] {
    try checkIsKnown()
    return inputs.map { input in
      switch input {
      case .text(let text): Embedding(vector: [3, 4], tokens: text.utf8.count)
      case .tokens(let tokens): Embedding(vector: [4, 3], tokens: tokens.count)
      }
    }
  }

  /// The longest is the best.
  func rank(_ documents: [String], query: String) async throws -> [Ranking] {
    try checkIsKnown()
    return documents.map { Ranking(score: Float($0.utf8.count), tokens: $0.utf8.count + query.utf8.count) }
  }
}

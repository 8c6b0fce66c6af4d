// Tokens of texts, texts of tokens, prompts of conversations: llama-server's paths, fields and answers.

import HTTPTypes
import Hummingbird
import NIOCore
import Serving

extension InferenceServer {
  /// What `/tokenize` is asked.
  private struct TokenizeRequest: Sendable {
    var parts: [CompletionRequest.Part]
    var addSpecial, parseSpecial, withPieces: Bool

    init(_ fields: RequestFields) throws(APIError) {
      addSpecial = try fields.flag("add_special") ?? false
      parseSpecial = try fields.flag("parse_special") ?? true
      withPieces = try fields.flag("with_pieces") ?? false
      parts = []
      switch fields["content"] {
      case .string(let text)?: parts = [.text(text)]
      case .array(let elements)?:
        for element in elements {
          if let text = element.string {
            parts.append(.text(text))
          } else if let token = element.integer.flatMap(Int32.init(exactly:)) {
            parts.append(.token(token))
          } else {
            throw .invalid("content", "'content' must be a string, or a list of strings and tokens.")
          }
        }
      case nil:
        throw APIError(
          .badRequest, "'content' is missing.", parameter: "content", code: "missing_required_parameter")
      default: throw fields.mismatch("content", "a string, or a list of strings and tokens")
      }
    }
  }

  private struct TokenList: Encodable, Sendable { var tokens: [Int32] }

  private struct PieceList: Encodable, Sendable {
    /// A token and its text, or its bytes where these are no text.
    struct Piece: Encodable, Sendable {
      var id: Int32
      var bytes: [UInt8]

      private enum CodingKeys: CodingKey { case id, piece }

      func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        if let text = String(validating: bytes, as: UTF8.self) {
          try container.encode(text, forKey: .piece)
        } else {
          try container.encode(bytes, forKey: .piece)
        }
      }
    }

    var tokens: [Piece]
  }

  private struct ContentBody: Encodable, Sendable { var content: String }

  private struct PromptBody: Encodable, Sendable { var prompt: String }

  func tokenize(_ request: Request) async throws -> Response {
    let asked = try await parse(request) { try TokenizeRequest($0) }
    var tokens: [Int32] = []
    for (index, part) in asked.parts.enumerated() {
      switch part {
      case .token(let token): tokens.append(token)
      case .text(let text):
        tokens += try await service.tokenize(
          text, addSpecial: asked.addSpecial && index == 0, parseSpecial: asked.parseSpecial)
      }
    }
    guard asked.withPieces else {
      return try await encoded(TokenList(tokens: tokens), size: tokens.count * 8)
    }
    let pieces = try await service.pieces(of: tokens)
    let list = PieceList(tokens: zip(tokens, pieces).map { PieceList.Piece(id: $0, bytes: $1) })
    return try await encoded(list, size: tokens.count * 32)
  }

  func detokenize(_ request: Request) async throws -> Response {
    let tokens = try await parse(request) { fields in
      guard let elements = fields["tokens"]?.array else {
        throw fields.mismatch("tokens", "a list of tokens")
      }
      var tokens: [Int32] = []
      for element in elements {
        guard let token = element.integer.flatMap(Int32.init(exactly:)) else {
          throw APIError.invalid("tokens", "'tokens' must be a list of tokens.")
        }
        tokens.append(token)
      }
      return tokens
    }
    let bytes = Array(try await service.pieces(of: tokens).joined())
    return try await encoded(ContentBody(content: String(decoding: bytes, as: UTF8.self)), size: bytes.count)
  }

  /// Takes what chat completions take; nothing is computed.
  func applyTemplate(_ request: Request) async throws -> Response {
    let (messages, addsPrompt) = try await parse(request) { [settings, model = service.model] fields in
      let parameters = try CompletionParameters.chat(fields, model: model, settings: settings)
      guard case .chat(let messages) = parameters.request.prompt else {
        throw APIError.invalid("messages", "'messages' must be a conversation.")
      }
      return (messages, try fields.flag("add_generation_prompt") ?? true)
    }
    let prompt = try await service.prompt(of: messages, addGenerationPrompt: addsPrompt)
    return try await encoded(PromptBody(prompt: prompt), size: prompt.utf8.count)
  }

  /// An answer that may be long, encoded beside the threads that tasks share.
  func encoded(_ value: some Encodable & Sendable, size: Int) async throws -> Response {
    let body = try await workers.run(size: size) { _ in JSONText.encode(value) }
    return Response(status: .ok, headers: [.contentType: "application/json"], body: .init(byteBuffer: body))
  }
}

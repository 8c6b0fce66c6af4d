// Texts as vectors, and documents in the order in which they answer a query.

import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Serving

/// What a vector is divided by, in llama-server's numbers.
enum VectorNorm: Sendable {
  case none, largest, taxicab, euclidean
  case power(Double)

  init?(_ number: Int) {
    switch number {
    case -1: self = .none
    case 0: self = .largest
    case 1: self = .taxicab
    case 2: self = .euclidean
    case 3...: self = .power(Double(number))
    default: return nil
    }
  }

  func apply(to vector: [Float]) -> [Float] {
    let norm: Double
    switch self {
    case .none: return vector
    // As whole numbers of 16 bits.
    case .largest: norm = vector.reduce(0) { max($0, Double(abs($1))) } / 32760
    case .taxicab: norm = vector.reduce(0) { $0 + Double(abs($1)) }
    case .euclidean: norm = vector.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    case .power(let exponent):
      norm = pow(vector.reduce(0) { $0 + pow(Double(abs($1)), exponent) }, 1 / exponent)
    }
    guard norm > 0, norm.isFinite else { return vector }
    return vector.map { Float(Double($0) / norm) }
  }
}

/// What is asked of an embedding model.
private struct EmbeddingsRequest: Sendable {
  var inputs: [EmbeddingInput]
  var isBase64 = false
  var norm = VectorNorm.euclidean
  var width: Int?

  init(_ fields: RequestFields, model: ModelCard, settings: ServerSettings) throws(APIError) {
    try CompletionParameters.checkModel(fields, model, settings)
    // llama-server's name for it is the second one.
    let field = fields["input"] == nil && fields["content"] != nil ? "content" : "input"
    inputs = try Self.inputs(fields, field)
    guard inputs.count <= settings.maximumInputs else {
      throw .invalid(
        field,
        "'\(field)' has \(inputs.count) inputs, but at most \(settings.maximumInputs) are taken at once.")
    }
    switch try fields.string("encoding_format") {
    case nil, "float"?: break
    case "base64"?: isBase64 = true
    case let other?:
      throw .invalid(
        "encoding_format", "'encoding_format' must be float or base64, not '\(other.prefix(40))'.")
    }
    if let number = try fields.integer("embd_normalize", -1...100), let norm = VectorNorm(number) {
      self.norm = norm
    }
    width = try fields.integer("dimensions", 1...1 << 20)
  }

  private static func inputs(_ fields: RequestFields, _ field: String) throws(APIError) -> [EmbeddingInput] {
    func wrong() -> APIError {
      .invalid(field, "'\(field)' must be a string, a list of tokens, or a list of these.")
    }
    func one(_ value: JSONValue) throws(APIError) -> EmbeddingInput {
      if let text = value.string { return .text(text) }
      guard let elements = value.array else { throw wrong() }
      let tokens = elements.compactMap { $0.integer.flatMap(Int32.init(exactly:)) }
      guard tokens.count == elements.count else { throw wrong() }
      return .tokens(tokens)
    }
    guard let value = fields[field] else {
      throw APIError(
        .badRequest, "'\(field)' is missing.", parameter: field, code: "missing_required_parameter")
    }
    guard let elements = value.array, elements.first?.integer == nil else { return [try one(value)] }
    guard !elements.isEmpty else { throw .invalid(field, "'\(field)' is empty.") }
    var inputs: [EmbeddingInput] = []
    for element in elements { inputs.append(try one(element)) }
    return inputs
  }
}

/// What is asked of a reranking model: Jina's fields, or those of Text Embeddings Inference.
private struct RerankRequest: Sendable {
  var query: String
  var documents: [String]
  var count: Int
  /// Whether it came in the second form.
  var isPlain: Bool
  var returnsTexts: Bool

  init(_ fields: RequestFields, model: ModelCard, settings: ServerSettings) throws(APIError) {
    try CompletionParameters.checkModel(fields, model, settings)
    guard let query = try fields.string("query") else { throw fields.mismatch("query", "a string") }
    isPlain = fields["texts"] != nil
    let field = isPlain ? "texts" : "documents"
    guard let list = fields[field]?.array, !list.isEmpty else {
      throw fields.mismatch(field, "a list of at least one string")
    }
    var documents: [String] = []
    for (index, element) in list.enumerated() {
      guard let text = element.string ?? element.object?["text"]?.string else {
        throw .invalid("\(field)[\(index)]", "'\(field)[\(index)]' must be a string, not \(element.kind).")
      }
      documents.append(text)
    }
    guard documents.count <= settings.maximumInputs else {
      throw .invalid(
        field,
        "'\(field)' has \(documents.count) texts, but at most \(settings.maximumInputs) are taken at once.")
    }
    (self.query, self.documents) = (query, documents)
    count = try fields.integer("top_n", 1...Int(Int32.max)) ?? documents.count
    returnsTexts = try fields.flag(isPlain ? "return_text" : "return_documents") ?? false
  }
}

private struct TokenUsage: Encodable, Sendable {
  var promptTokens: Int
  var totalTokens: Int

  init(_ tokens: Int) { (promptTokens, totalTokens) = (tokens, tokens) }
}

private struct EmbeddingList: Encodable, Sendable {
  struct Item: Encodable, Sendable {
    enum Vector: Encodable, Sendable {
      case numbers([Float])
      case base64(String)

      func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .numbers(let numbers): try container.encode(numbers)
        case .base64(let text): try container.encode(text)
        }
      }
    }

    var object = "embedding"
    var index: Int
    var embedding: Vector
  }

  var object = "list"
  var model: String
  var data: [Item]
  var usage: TokenUsage
}

private struct RankingList: Encodable, Sendable {
  struct Document: Encodable, Sendable { var text: String }

  struct Item: Encodable, Sendable {
    var index: Int
    var relevanceScore: Float
    var document: Document?
  }

  var object = "list"
  var model: String
  var results: [Item]
  var usage: TokenUsage
}

private struct PlainRanking: Encodable, Sendable {
  var index: Int
  var score: Float
  var text: String?
}

extension InferenceServer {
  func embeddings(_ request: Request, _ context: some RequestContext) async throws -> Response {
    try await whilePresent(context) {
      let asked = try await parse(request) { [settings, model = service.model] in
        try EmbeddingsRequest($0, model: model, settings: settings)
      }
      let embeddings = try await service.embed(asked.inputs)
      if let wanted = asked.width, let width = embeddings.first?.vector.count, wanted != width {
        throw APIError.invalid(
          "dimensions", "'dimensions' is \(wanted), but this model's embeddings have \(width).")
      }
      let width = embeddings.first?.vector.count ?? 0
      let body = try await workers.run(size: embeddings.count * width * 12) { [id = service.model.id] _ in
        JSONText.encode(
          EmbeddingList(
            model: id,
            data: embeddings.enumerated().map { index, embedding in
              let vector = asked.norm.apply(to: embedding.vector)
              return .init(
                index: index, embedding: asked.isBase64 ? .base64(Self.base64(vector)) : .numbers(vector))
            }, usage: TokenUsage(embeddings.reduce(0) { $0 + $1.tokens })))
      }
      return Response(status: .ok, headers: [.contentType: "application/json"], body: .init(byteBuffer: body))
    }
  }

  /// 32-bit numbers, little-endian, as OpenAI's clients read them.
  private static func base64(_ vector: [Float]) -> String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(vector.count * 4)
    for element in vector {
      let bits = element.bitPattern
      for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(shift))) }
    }
    return Data(bytes).base64EncodedString()
  }

  func rerank(_ request: Request, _ context: some RequestContext) async throws -> Response {
    try await whilePresent(context) {
      let asked = try await parse(request) { [settings, model = service.model] in
        try RerankRequest($0, model: model, settings: settings)
      }
      let rankings = try await service.rank(asked.documents, query: asked.query)
      let best = rankings.enumerated().sorted {
        ($0.element.score, $1.offset) > ($1.element.score, $0.offset)
      }
      .prefix(asked.count)
      func text(_ index: Int) -> String? { asked.returnsTexts ? asked.documents[index] : nil }
      guard !asked.isPlain else {
        return json(
          best.map { PlainRanking(index: $0.offset, score: $0.element.score, text: text($0.offset)) })
      }
      return json(
        RankingList(
          model: service.model.id,
          results: best.map {
            .init(
              index: $0.offset, relevanceScore: $0.element.score,
              document: text($0.offset).map { .init(text: $0) })
          }, usage: TokenUsage(rankings.reduce(0) { $0 + $1.tokens })))
    }
  }

  /// Does work for one client, until it leaves.
  private func whilePresent(
    _ context: some RequestContext, _ work: @Sendable @escaping () async throws -> Response
  ) async throws -> Response {
    let client = await Client(context, onDeparture: metrics.countDisconnect)
    defer { client.release() }
    return try await client.whilePresent(work)
  }
}

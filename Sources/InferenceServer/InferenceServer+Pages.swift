// What does not compute: models, health, metrics, the page, the description.

import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Serving

extension InferenceServer {
  private struct ModelBody: Encodable {
    var id: String
    var object = "model"
    var created: Int
    var ownedBy = "local"
    var contextLength: Int

    init(_ card: ModelCard) {
      id = card.id
      created = Int(card.created.timeIntervalSince1970)
      contextLength = card.contextLength
    }
  }

  private struct ModelList: Encodable {
    var object = "list"
    var data: [ModelBody]
  }

  func models() -> Response { json(ModelList(data: [ModelBody(service.model)])) }

  func model(_ id: String) throws -> Response {
    guard id.removingPercentEncoding == service.model.id else {
      throw APIError(
        .notFound, "The model '\(id.prefix(100))' does not exist. This server has '\(service.model.id)'.",
        parameter: "model", code: "model_not_found")
    }
    return json(ModelBody(service.model))
  }

  func metricsPage() async -> Response {
    Response(
      status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
      body: .init(byteBuffer: ByteBuffer(string: metrics.text(await service.statistics()))))
  }

  static var noEmbeddings: APIError {
    APIError(
      .notFound, "This server generates text; its model makes no embeddings.",
      code: "embeddings_not_supported")
  }

  static var health: Response {
    Response(
      status: .ok, headers: [.contentType: "application/json"],
      body: .init(byteBuffer: ByteBuffer(string: #"{"status":"ok"}"#)))
  }

  static var description: Response {
    Response(
      status: .ok, headers: [.contentType: "application/json"],
      body: .init(byteBuffer: ByteBuffer(bytes: PackageResources.openapi_json)))
  }

  static var page: Response {
    // Nothing but the page itself may run or be loaded.
    let policy = """
      default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'
      """
    return Response(
      status: .ok,
      headers: [
        .contentType: "text/html; charset=utf-8", .contentSecurityPolicy: policy,
        .xContentTypeOptions: "nosniff",
        .cacheControl: "no-cache", HTTPField.Name("Referrer-Policy")!: "no-referrer",
      ], body: .init(byteBuffer: ByteBuffer(bytes: PackageResources.index_html)))
  }
}

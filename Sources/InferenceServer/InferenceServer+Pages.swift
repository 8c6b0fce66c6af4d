// What does not compute: health, metrics, the page, the description.

import HTTPTypes
import Hummingbird
import NIOCore
import Serving

extension InferenceServer {
  func metricsPage() async -> Response {
    Response(
      status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
      body: .init(byteBuffer: ByteBuffer(string: metrics.text(await service.statistics()))))
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

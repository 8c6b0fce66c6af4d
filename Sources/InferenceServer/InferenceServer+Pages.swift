// What does not compute: health, metrics, the description.

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
}

// `/v1/responses` and `/v1/messages`.

import HTTPTypes
import Hummingbird
import NIOCore
import Serving

extension InferenceServer {
  /// `POST /v1/responses`.
  func respond(_ request: Request, _ context: some RequestContext) async throws -> Response {
    try await answer(
      request, context,
      finish: { [responses] (form: ResponseForm) in
        guard form.isStored else { return }
        var form = form
        responses.add(form.id, .init(messages: form.continued, body: form.answer()))
      }
    ) { [responses, service, settings] fields in
      let parsed = try ResponseFields(fields, model: service.model, settings: settings) {
        responses.record($0)?.messages
      }
      return ResponseForm(parsed, model: service.model.id)
    }
  }

  /// `GET /v1/responses/ID`.
  func response(_ id: String) throws -> Response {
    guard let record = responses.record(id) else { throw Self.unknownResponse(id) }
    return Self.json(record.body)
  }

  /// `DELETE /v1/responses/ID`.
  func deleteResponse(_ id: String) throws -> Response {
    guard responses.remove(id) else { throw Self.unknownResponse(id) }
    return Self.json(["id": .string(id), "object": .string("response"), "deleted": .bool(true)])
  }

  private static func unknownResponse(_ id: String) -> APIError {
    APIError(.notFound, "There is no response '\(id.prefix(80))' here, or not any more.", code: "not_found")
  }

  /// `POST /v1/messages`.
  func message(_ request: Request, _ context: some RequestContext) async throws -> Response {
    try await withMessageErrors {
      try await answer(request, context) { [service, settings] fields in
        MessageForm(
          try MessageFields.parameters(fields, model: service.model, settings: settings),
          model: service.model.id)
      }
    }
  }

  /// `POST /v1/messages/count_tokens`.
  func countTokens(_ request: Request) async throws -> Response {
    try await withMessageErrors {
      let conversation = try await parse(request) { try MessageFields.conversation($0) }
      let count = try await service.promptTokens(of: CompletionRequest(prompt: .chat(conversation)))
      return Self.json(["input_tokens": .integer(count)])
    }
  }

  /// Errors as Anthropic's clients expect them.
  private func withMessageErrors(_ body: () async throws -> Response) async throws -> Response {
    do {
      return try await body()
    } catch let error where !(error is CancellationError) && !(error is ClientDeparture) {
      let problem = APIError(error)
      var response = problem.response
      response.body = .init(byteBuffer: ByteBuffer(string: JSONValue.object(problem.messageBody).text))
      response.headers[.contentLength] = nil
      return response
    }
  }

  private static func json(_ body: JSONObject) -> Response {
    Response(
      status: .ok, headers: [.contentType: "application/json"],
      body: .init(byteBuffer: ByteBuffer(string: JSONValue.object(body).text)))
  }
}

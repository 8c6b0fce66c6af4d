// Sessions: documents that are read once and asked about often.

import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Serving

extension InferenceServer {
  private struct SessionBody: Encodable, Sendable {
    var id: String
    var object = "session"
    var name: String
    var state: SessionCard.State
    var tokens, tokensRead, bytes, created, lastUsed: Int
    var readOnly: Bool

    init(_ card: SessionCard) {
      id = card.id
      name = card.name
      state = card.state
      tokens = card.tokens
      tokensRead = card.tokensRead
      bytes = card.bytes
      created = Int(card.created.timeIntervalSince1970)
      lastUsed = Int(card.lastUsed.timeIntervalSince1970)
      readOnly = card.isReadOnly
    }
  }

  private struct ListBody: Encodable {
    var object = "list"
    var data: [SessionBody]
  }

  private struct DeletedBody: Encodable {
    var id: String
    var object = "session"
    var deleted = true
  }

  private struct ProgressEvent: Encodable {
    var object = "session.progress"
    var processed, total: Int
    /// Until all of it is read, as far as is known.
    var secondsLeft: Double?
  }

  func sessionList() async -> Response {
    json(ListBody(data: await service.sessions().map(SessionBody.init)))
  }

  func session(_ id: String) async throws -> Response {
    json(SessionBody(try await service.session(id)))
  }

  func deleteSession(_ id: String) async throws -> Response {
    try await service.deleteSession(id)
    return json(DeletedBody(id: id))
  }

  private struct Upload: Sendable {
    var name, text: String
    var streams: Bool

    init(_ fields: RequestFields) throws(APIError) {
      guard let text = try fields.string("text") else {
        throw APIError(
          .badRequest, "'text' is missing.", parameter: "text", code: "missing_required_parameter")
      }
      guard !text.allSatisfy(\.isWhitespace) else { throw APIError.invalid("text", "'text' is empty.") }
      let name = try fields.string("name") ?? "untitled"
      guard name.utf8.count <= 200, !name.isEmpty, name.unicodeScalars.allSatisfy({ $0.value >= 32 }) else {
        throw APIError.invalid("name", "'name' must have 1 to 200 bytes and no control characters.")
      }
      (self.name, self.text) = (name, text)
      streams = try fields.flag("stream") ?? false
    }
  }

  /// Takes `{"name", "text", "stream"}`.
  func createSession(_ request: Request, _ context: some RequestContext) async throws -> Response {
    let client = await Client(context, onDeparture: metrics.countDisconnect)
    do {
      let (streams, events) = try await client.whilePresent {
        let upload = try await parse(request) { try Upload($0) }
        return (upload.streams, try await service.createSession(name: upload.name, text: upload.text))
      }
      guard !streams else {
        return EventStream.response(to: client, onError: note) { send in
          for try await event in events {
            switch event {
            case .created(let card), .ready(let card): await send(JSONText.encode(SessionBody(card)))
            case .progress(let done, let total, let secondsLeft):
              await send(
                JSONText.encode(ProgressEvent(processed: done, total: total, secondsLeft: secondsLeft)))
            }
          }
          try Task.checkCancellation()
        }
      }
      let card = try await client.whilePresent { () -> SessionCard? in
        var card: SessionCard?
        for try await event in events {
          if case .ready(let ready) = event { card = ready }
        }
        try Task.checkCancellation()
        return card
      }
      guard let card else { throw ServingError.engineFailure("the document was not read to its end") }
      client.release()
      var response = json(SessionBody(card))
      response.status = .created
      return response
    } catch {
      client.release()
      throw error
    }
  }

  func json(_ value: some Encodable) -> Response {
    Response(
      status: .ok, headers: [.contentType: "application/json"],
      body: .init(byteBuffer: JSONText.encode(value)))
  }
}

// Server-sent events, and the end of the work when the client goes away.

import HTTPTypes
import Hummingbird
import NIOCore
import Serving
import Synchronization

enum EventStream {
  /// An answer of server-sent events, each of which `body` sends with its argument.
  ///
  /// When the client closes the connection, `body` is cancelled, also while it sends nothing. An error of `body`
  /// becomes an event of its own, since the status has been sent by then.
  static func response(
    to client: Client, onError: @escaping @Sendable (any Error) -> Void,
    _ body: @escaping @Sendable (_ send: @Sendable (ByteBuffer) async -> Void) async throws -> Void
  ) -> Response {
    response(to: client, onError: onError, ending: "data: [DONE]\n\n", failure: { event($0.json) }) { send in
      try await body { await send(event($0)) }
    }
  }

  /// An answer of events with names, which a form makes.
  static func named<Form: AnswerForm>(
    to client: Client, onError: @escaping @Sendable (any Error) -> Void, form: Form,
    _ body:
      @escaping @Sendable (_ send: (NamedEvent) async -> Void, _ form: FormBox<Form>) async throws -> Void
  ) -> Response {
    let box = FormBox(form)
    return response(to: client, onError: onError, ending: "") { error in
      var buffer = ByteBuffer()
      for event in box.with({ $0.failure(error) }) { buffer.writeImmutableBuffer(frame(event)) }
      return buffer
    } _: { send in
      try await body({ await send(frame($0)) }, box)
    }
  }

  private static func frame(_ event: NamedEvent) -> ByteBuffer {
    ByteBuffer(string: "event: \(event.name)\ndata: \(JSONValue.object(event.data).text)\n\n")
  }

  /// - Parameters:
  ///   - ending: what stands behind the last event.
  ///   - failure: an error as events.
  ///   - body: sends events as they are to be written.
  private static func response(
    to client: Client, onError: @escaping @Sendable (any Error) -> Void, ending: String,
    failure: @escaping @Sendable (APIError) -> ByteBuffer,
    _ body: @escaping @Sendable (_ send: @Sendable (ByteBuffer) async -> Void) async throws -> Void
  ) -> Response {
    let headers: HTTPFields = [
      .contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache",
      // For proxies that would collect the whole answer first.
      HTTPField.Name("X-Accel-Buffering")!: "no",
    ]
    let responseBody = ResponseBody { writer in
      // The work goes on beside the writing, so that a client that reads slowly holds up nobody but itself.
      let (events, continuation) = AsyncThrowingStream<ByteBuffer, any Error>.makeStream()
      let work = Task {
        do {
          try await client.whilePresent {
            try await body { continuation.yield($0) }
          }
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
        client.disconnectOnDeparture()
      }
      defer {
        work.cancel()
        client.release()
      }
      do {
        do {
          for try await data in events { try await writer.write(data) }
        } catch let error where !isEnd(error, of: client) {
          onError(error)
          try await writer.write(failure(APIError(error)))
        }
      } catch {
        // The end of the server is nobody's departure.
        if !(error is CancellationError) { client.noteDeparture() }
        throw error
      }
      // Who reads that this is all may close the connection at once.
      client.release()
      if !ending.isEmpty { try await writer.write(ByteBuffer(string: ending)) }
      try await writer.finish(nil)
    }
    return Response(status: .ok, headers: headers, body: responseBody)
  }

  /// Whether an error is the end of the connection, or of the server, and not one of the work.
  private static func isEnd(_ error: any Error, of client: Client) -> Bool {
    client.hasLeft || error is ClientDeparture || error is CancellationError || error is IOError
      || error is ChannelError
  }

  private static func event(_ data: ByteBuffer) -> ByteBuffer {
    var buffer = ByteBuffer()
    buffer.reserveCapacity(data.readableBytes + 8)
    buffer.writeString("data: ")
    buffer.writeImmutableBuffer(data)
    buffer.writeString("\n\n")
    return buffer
  }
}

/// A form that a stream's work and its end share.
final class FormBox<Form: AnswerForm>: Sendable {
  private let form: Mutex<Form>

  init(_ form: Form) { self.form = Mutex(form) }

  func with<Result: Sendable>(_ body: (inout Form) -> Result) -> Result {
    form.withLock { form in
      let result = body(&form)
      return result
    }
  }
}

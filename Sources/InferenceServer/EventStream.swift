// Server-sent events, and the end of the work when the client goes away.

import HTTPTypes
import Hummingbird
import NIOCore

enum EventStream {
  /// An answer of server-sent events, each of which `body` sends with its argument.
  ///
  /// When the client closes the connection, `body` is cancelled, also while it sends nothing. An error of `body`
  /// becomes an event of its own, since the status has been sent by then.
  static func response(
    to client: Client, onError: @escaping @Sendable (any Error) -> Void,
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
          for try await data in events { try await writer.write(event(data)) }
        } catch let error where !isEnd(error, of: client) {
          onError(error)
          try await writer.write(event(APIError(error).json))
        }
      } catch {
        // The end of the server is nobody's departure.
        if !(error is CancellationError) { client.noteDeparture() }
        throw error
      }
      // Who reads that this is all may close the connection at once.
      client.release()
      try await writer.write(ByteBuffer(string: "data: [DONE]\n\n"))
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

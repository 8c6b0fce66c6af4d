// Answers in the form of an interface: whole, or as a stream of named events.

import HTTPTypes
import Hummingbird
import NIOCore
import Serving

/// One event of a stream.
struct NamedEvent: Sendable {
  var name: String
  var data: JSONObject
}

/// Turns the events of a request into an interface's answer.
protocol AnswerForm: Sendable {
  /// What is asked of the engine.
  var request: CompletionRequest { get }
  var streams: Bool { get }
  /// Takes note of an event.
  ///
  /// - Returns: what to send when streaming.
  mutating func take(_ event: CompletionEvent) -> [NamedEvent]
  /// The whole answer, after the last event.
  mutating func answer() -> JSONObject
  /// What to send for an error after the beginning of a stream.
  mutating func failure(_ error: APIError) -> [NamedEvent]
}

extension InferenceServer {
  /// Answers a request in a form.
  ///
  /// - Parameters:
  ///   - make: reads the request's fields.
  ///   - finish: gets the form of a complete answer.
  func answer<Form: AnswerForm>(
    _ request: Request, _ context: some RequestContext,
    finish: @escaping @Sendable (Form) -> Void = { _ in },
    _ make: @escaping @Sendable (RequestFields) throws -> Form
  ) async throws -> Response {
    let start = ContinuousClock.now
    let client = await Client(context, onDeparture: metrics.countDisconnect)
    do {
      let (form, events) = try await client.whilePresent {
        let form = try await parse(request, make)
        return (form, try await service.complete(form.request))
      }
      let clock = TokenClock(start: start, metrics: metrics)
      guard !form.streams else {
        return EventStream.named(to: client, onError: note, form: form) { send, form in
          var clock = clock
          for try await event in events {
            clock.take(event)
            for named in form.with({ $0.take(event) }) { await send(named) }
          }
          try Task.checkCancellation()
          form.with { finish($0) }
        }
      }
      let answer = try await client.whilePresent {
        var form = form
        var clock = clock
        for try await event in events {
          clock.take(event)
          _ = form.take(event)
        }
        try Task.checkCancellation()
        let answer = form.answer()
        finish(form)
        return ByteBuffer(string: JSONValue.object(answer).text)
      }
      client.release()
      return Response(
        status: .ok, headers: [.contentType: "application/json"], body: .init(byteBuffer: answer))
    } catch {
      client.release()
      throw error
    }
  }
}

// Completions: parse, queue, stream.

import HTTPTypes
import Hummingbird
import NIOCore
import Platform
import Serving

extension InferenceServer {
  func complete(
    _ request: Request, _ context: some RequestContext, kind: AnswerKind
  ) async throws -> Response {
    let start = ContinuousClock.now
    let client = await Client(context, onDeparture: metrics.countDisconnect)
    do {
      let (parameters, openings, events) = try await client.whilePresent {
        let parameters = try await parse(request) { fields in
          switch kind {
          case .chat: try CompletionParameters.chat(fields, model: service.model, settings: settings)
          case .text: try CompletionParameters.text(fields, model: service.model, settings: settings)
          }
        }
        var openings: [String] = []
        for opening in parameters.openings { openings.append(try await opening.text(service)) }
        return (parameters, openings, try await service.complete(all: parameters.requests))
      }
      let writer = AnswerWriter(
        kind: kind, parameters: parameters, model: service.model.id, openings: openings)
      let clock = TokenClock(start: start, metrics: metrics)
      guard !parameters.streams else {
        return EventStream.response(to: client, onError: note) { send in
          var writer = writer
          var clock = clock
          for try await event in events {
            clock.take(event)
            for chunk in writer.take(event) { await send(chunk) }
          }
          try Task.checkCancellation()
        }
      }
      let answer = try await client.whilePresent {
        var writer = writer
        var clock = clock
        for try await event in events {
          clock.take(event)
          _ = writer.take(event)
        }
        // A sequence that was cancelled ends without an error.
        try Task.checkCancellation()
        return try await workers.run(size: writer.byteCount) { [writer] _ in writer.answer() }
      }
      client.release()
      return Response(
        status: .ok, headers: [.contentType: "application/json"], body: .init(byteBuffer: answer))
    } catch {
      client.release()
      throw error
    }
  }

  /// Reads a request's body and makes something of its fields, beside the threads that tasks share.
  func parse<Value: Sendable>(
    _ request: Request, _ make: @escaping @Sendable (RequestFields) throws -> Value
  ) async throws -> Value {
    let body = try await body(of: request)
    return try await workers.run(size: body.readableBytes) { cancellation in
      let fields = try RequestFields(body)
      try cancellation.check()
      return try make(fields)
    }
  }

  /// An error that came after the status was sent.
  @Sendable func note(_ error: any Error) {
    logger.error("answer failed", metadata: ["error": "\(error)"])
  }
}

/// Measures the times between the tokens of one request.
struct TokenClock {
  private let start: ContinuousClock.Instant
  private let metrics: ServerMetrics
  private var last: [Int: ContinuousClock.Instant] = [:]

  init(start: ContinuousClock.Instant, metrics: ServerMetrics) {
    self.start = start
    self.metrics = metrics
  }

  mutating func take(_ event: CompletionEvent) {
    let now = ContinuousClock.now
    switch event {
    case .delta(let choice, _):
      if let before = last[choice] {
        metrics.addBetweenTokens((now - before) / .seconds(1))
      } else {
        metrics.addFirstToken((now - start) / .seconds(1))
      }
      last[choice] = now
    case .completed: metrics.addDuration((now - start) / .seconds(1))
    default: break
    }
  }
}

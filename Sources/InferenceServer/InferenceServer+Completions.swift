// Completions: parse, queue, stream.

import HTTPTypes
import Hummingbird
import NIOCore
import Serving

extension InferenceServer {
  func complete(
    _ request: Request, _ context: some RequestContext, kind: AnswerKind
  ) async throws -> Response {
    let start = ContinuousClock.now
    let fields = try RequestFields(try await body(of: request))
    let parameters =
      switch kind {
      case .chat: try CompletionParameters.chat(fields, model: service.model, settings: settings)
      case .text: try CompletionParameters.text(fields, model: service.model, settings: settings)
      }
    let events = try await service.complete(parameters.request)
    let client = Client(context)
    let writer = AnswerWriter(kind: kind, parameters: parameters, model: service.model.id)
    let clock = TokenClock(start: start, metrics: metrics)
    guard parameters.streams else {
      let answer = try await wait(for: client) {
        var writer = writer
        var clock = clock
        for try await event in events {
          clock.take(event)
          _ = writer.take(event)
        }
        // A sequence that was cancelled ends without an error.
        try Task.checkCancellation()
        return writer.answer()
      }
      return Response(
        status: .ok, headers: [.contentType: "application/json"], body: .init(byteBuffer: answer))
    }
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

  /// The result of `work`, which is cancelled when the client leaves.
  func wait<Value: Sendable>(
    for client: Client, _ work: @Sendable @escaping () async throws -> Value
  ) async throws -> Value {
    do {
      return try await client.whilePresent(work)
    } catch let error as CancellationError {
      metrics.countDisconnect()
      throw error
    }
  }

  /// An error that came after the status was sent.
  @Sendable func note(_ error: any Error) {
    logger.error("answer failed", metadata: ["error": "\(error)"])
  }
}

/// Measures the times between the tokens of one request.
private struct TokenClock {
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

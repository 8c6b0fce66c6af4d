// The answers of Anthropic's messages interface.

import LlamaHost
import Serving

/// An answer of `/v1/messages`: blocks of thoughts, text and calls.
struct MessageForm: AnswerForm {
  private enum Block: String {
    case thinking, text
    case call = "tool_use"
  }

  let request: CompletionRequest
  let streams: Bool
  private let id = "msg_" + Identifier.random()
  private let model: String
  private var promptTokens = 0
  private var cachedTokens = 0
  private var outputTokens = 0
  private var reasoning = ""
  private var text = ""
  private var citations: [JSONValue] = []
  private var calls: [ToolCall] = []
  private var reason: FinishReason?
  private var stop: String?
  /// The block that is being sent, and how many were begun.
  private var open: Block?
  private var blockCount = 0

  init(_ parameters: CompletionParameters, model: String) {
    request = parameters.request
    streams = parameters.streams
    self.model = model
  }

  mutating func take(_ event: CompletionEvent) -> [NamedEvent] {
    switch event {
    case .started(let prompt, let cached):
      (promptTokens, cachedTokens) = (prompt, cached)
      let start: JSONObject = ["message": .object(message(content: [], isDone: false))]
      return [self.event("message_start", start), self.event("ping", [:])]
    case .prefill: return []
    case .delta(_, let delta): return take(delta)
    case .evidence(_, let record):
      citations = record.citations.map { .object($0.charLocation) }
      guard open == .text else { return [] }
      return citations.map { piece(["type": .string("citations_delta"), "citation": $0]) }
    case .finished(_, let reason, let tokens):
      self.reason = reason
      outputTokens = tokens
      return []
    case .completed:
      return close() + [
        self.event(
          "message_delta",
          [
            "delta": .object(["stop_reason": stopReason, "stop_sequence": stopSequence]),
            "usage": .object(usage),
          ]), self.event("message_stop", [:]),
      ]
    }
  }

  private mutating func take(_ delta: CompletionDelta) -> [NamedEvent] {
    var events: [NamedEvent] = []
    if !delta.reasoning.isEmpty {
      reasoning += delta.reasoning
      events += begin(.thinking, ["thinking": .string(""), "signature": .string("")])
      events.append(piece(["type": .string("thinking_delta"), "thinking": .string(delta.reasoning)]))
    }
    if !delta.text.isEmpty {
      text += delta.text
      events += begin(.text, ["text": .string("")])
      events.append(piece(["type": .string("text_delta"), "text": .string(delta.text)]))
    }
    for call in delta.calls {
      calls.add(call)
      if let id = call.id, let name = call.name {
        events += close()
        events += begin(.call, ["id": .string(id), "name": .string(name), "input": .object([:])])
      }
      guard !call.arguments.isEmpty else { continue }
      events.append(piece(["type": .string("input_json_delta"), "partial_json": .string(call.arguments)]))
    }
    if let stop = delta.stop { self.stop = stop }
    return events
  }

  func answer() -> JSONObject {
    var content: [JSONValue] = []
    if !reasoning.isEmpty {
      content.append(
        .object([
          "type": .string("thinking"), "thinking": .string(reasoning), "signature": .string(""),
        ]))
    }
    if !text.isEmpty || calls.isEmpty {
      content += blocks
    }
    for call in calls {
      let input = (try? JSONValue(parsing: call.arguments.utf8)) ?? .object([:])
      content.append(
        .object([
          "type": .string("tool_use"), "id": .string(call.id), "name": .string(call.name), "input": input,
        ]))
    }
    return message(content: content, isDone: true)
  }

  /// The text, in a block, or with citations in one for each stretch of it.
  private var blocks: [JSONValue] {
    var block: JSONObject = ["type": .string("text"), "text": .string(text)]
    if !citations.isEmpty { block["citations"] = .array(citations) }
    return [.object(block)]
  }

  mutating func failure(_ error: APIError) -> [NamedEvent] {
    [NamedEvent(name: "error", data: error.messageBody)]
  }

  private mutating func begin(_ block: Block, _ fields: JSONObject) -> [NamedEvent] {
    guard open != block else { return [] }
    let events = close()
    open = block
    let content = JSONObject(
      uniqueKeysWithValues: [("type", .string(block.rawValue))] + fields.map { ($0, $1) })
    return events + [
      event("content_block_start", ["index": .integer(blockCount), "content_block": .object(content)])
    ]
  }

  private mutating func close() -> [NamedEvent] {
    guard open != nil else { return [] }
    open = nil
    blockCount += 1
    return [event("content_block_stop", ["index": .integer(blockCount - 1)])]
  }

  private func piece(_ delta: JSONObject) -> NamedEvent {
    event("content_block_delta", ["index": .integer(blockCount), "delta": .object(delta)])
  }

  private func event(_ name: String, _ fields: JSONObject) -> NamedEvent {
    NamedEvent(
      name: name,
      data: JSONObject(uniqueKeysWithValues: [("type", .string(name))] + fields.map { ($0, $1) }))
  }

  private func message(content: [JSONValue], isDone: Bool) -> JSONObject {
    [
      "id": .string(id), "type": .string("message"), "role": .string("assistant"), "model": .string(model),
      "content": .array(content), "stop_reason": isDone ? stopReason : .null,
      "stop_sequence": isDone ? stopSequence : .null, "usage": .object(usage),
    ]
  }

  private var stopReason: JSONValue {
    switch reason {
    case .length?: .string("max_tokens")
    case .toolCalls?: .string("tool_use")
    case .stop?, nil: .string(stop == nil ? "end_turn" : "stop_sequence")
    }
  }

  private var stopSequence: JSONValue { stop.map { .string($0) } ?? .null }

  private var usage: JSONObject {
    [
      "input_tokens": .integer(promptTokens - cachedTokens), "cache_creation_input_tokens": .integer(0),
      "cache_read_input_tokens": .integer(cachedTokens), "output_tokens": .integer(outputTokens),
    ]
  }
}

extension APIError {
  /// The error as Anthropic's clients expect it.
  var messageBody: JSONObject {
    let kind =
      switch status.code {
      case 401: "authentication_error"
      case 403: "permission_error"
      case 404: "not_found_error"
      case 413: "request_too_large"
      case 429: "rate_limit_error"
      case 500: "api_error"
      case 503: "overloaded_error"
      default: "invalid_request_error"
      }
    return [
      "type": .string("error"),
      "error": .object(["type": .string(kind), "message": .string(message)]),
    ]
  }
}

// The answers of OpenAI's responses interface.

import Evidence
import Foundation
import LlamaHost
import Serving

/// An answer of `/v1/responses`: items of reasoning, text and calls.
struct ResponseForm: AnswerForm {
  /// An item of the answer.
  private struct Item {
    enum Kind {
      case reasoning, message
      case call(ToolCall)
    }

    var id: String
    var kind: Kind
    var text = ""
    /// Passages that it came from.
    var annotations: [JSONValue] = []
  }

  let request: CompletionRequest
  let streams: Bool
  let id = "resp_" + Identifier.random()
  let isStored: Bool
  private let model: String
  private let created = Int(Date().timeIntervalSince1970)
  private let conversation: [ChatMessage]
  private let repeated: JSONObject
  private var items: [Item] = []
  /// Whether the last item goes on.
  private var isOpen = false
  private var sequence = 0
  private var promptTokens = 0
  private var cachedTokens = 0
  private var outputTokens = 0
  private var reasoningTokens = 0
  private var reason: FinishReason?
  private var problem: APIError?

  init(_ fields: ResponseFields, model: String) {
    request = fields.parameters.request
    streams = fields.parameters.streams
    isStored = fields.isStored
    conversation = fields.conversation
    repeated = fields.repeated
    self.model = model
  }

  /// The conversation with this answer at its end.
  var continued: [ChatMessage] {
    var answer = ChatMessage(role: .assistant, content: "")
    for item in items {
      switch item.kind {
      case .reasoning: answer.reasoning = (answer.reasoning ?? "") + item.text
      case .message: answer.content += item.text
      case .call(let call): answer.toolCalls.append(call)
      }
    }
    return conversation + [answer]
  }

  mutating func take(_ event: CompletionEvent) -> [NamedEvent] {
    switch event {
    case .started(let prompt, let cached):
      (promptTokens, cachedTokens) = (prompt, cached)
      return [
        self.event("response.created", ["response": .object(body("in_progress"))]),
        self.event("response.in_progress", ["response": .object(body("in_progress"))]),
      ]
    case .prefill: return []
    case .delta(_, let delta): return take(delta)
    case .evidence(_, let record): return annotate(record)
    case .finished(_, let reason, let tokens):
      self.reason = reason
      outputTokens = tokens
      return []
    case .completed(let costs):
      reasoningTokens = costs.reasoningTokens
      // An answer has at least a message.
      let empty = items.isEmpty ? begin(.message, "msg_") : []
      let status = reason == .length ? "incomplete" : "completed"
      return empty + close() + [self.event("response.\(status)", ["response": .object(body(status))])]
    }
  }

  private mutating func take(_ delta: CompletionDelta) -> [NamedEvent] {
    var events: [NamedEvent] = []
    if !delta.reasoning.isEmpty {
      if !isOpen(where: { if case .reasoning = $0 { true } else { false } }) {
        events += begin(.reasoning, "rs_")
      }
      events.append(add(delta.reasoning, "response.reasoning_text.delta"))
    }
    if !delta.text.isEmpty {
      if !isOpen(where: { if case .message = $0 { true } else { false } }) {
        events += begin(.message, "msg_")
      }
      events.append(add(delta.text, "response.output_text.delta"))
    }
    for piece in delta.calls {
      if let id = piece.id, let name = piece.name {
        events += begin(.call(ToolCall(id: id, name: name, arguments: "")), "fc_")
      }
      guard !piece.arguments.isEmpty, case .call(var call)? = items.last?.kind else { continue }
      call.arguments += piece.arguments
      items[items.count - 1].kind = .call(call)
      events.append(
        event(
          "response.function_call_arguments.delta",
          place(["delta": .string(piece.arguments)], hasContent: false)))
    }
    return events
  }

  private mutating func annotate(_ record: EvidenceRecord) -> [NamedEvent] {
    guard let last = items.indices.last, case .message = items[last].kind else { return [] }
    return record.citations.enumerated().map { number, citation in
      let annotation = JSONValue.object(citation.fileCitation)
      items[last].annotations.append(annotation)
      return event(
        "response.output_text.annotation.added",
        place(["annotation_index": .integer(number), "annotation": annotation], hasContent: true))
    }
  }

  mutating func answer() -> JSONObject {
    if items.isEmpty { _ = begin(.message, "msg_") }
    return body(reason == .length ? "incomplete" : "completed")
  }

  mutating func failure(_ error: APIError) -> [NamedEvent] {
    problem = error
    return [event("response.failed", ["response": .object(body("failed"))])]
  }

  private func isOpen(where matches: (Item.Kind) -> Bool) -> Bool {
    isOpen && items.last.map { matches($0.kind) } ?? false
  }

  private mutating func begin(_ kind: Item.Kind, _ prefix: String) -> [NamedEvent] {
    var events = close()
    items.append(Item(id: prefix + Identifier.random(), kind: kind))
    isOpen = true
    events.append(
      event("response.output_item.added", item(at: items.count - 1, isDone: false)))
    if let part = part(of: items[items.count - 1]) {
      events.append(event("response.content_part.added", place(["part": .object(part)], hasContent: true)))
    }
    return events
  }

  private mutating func add(_ text: String, _ name: String) -> NamedEvent {
    items[items.count - 1].text += text
    var fields: JSONObject = ["delta": .string(text)]
    if name.contains("output_text") { fields["logprobs"] = .array([]) }
    return event(name, place(fields, hasContent: true))
  }

  private mutating func close() -> [NamedEvent] {
    guard isOpen, let item = items.last else { return [] }
    isOpen = false
    var events: [NamedEvent] = []
    switch item.kind {
    case .reasoning:
      events.append(
        event("response.reasoning_text.done", place(["text": .string(item.text)], hasContent: true)))
    case .message:
      events.append(
        event(
          "response.output_text.done",
          place(["text": .string(item.text), "logprobs": .array([])], hasContent: true)))
    case .call(let call):
      events.append(
        event(
          "response.function_call_arguments.done",
          place(["name": .string(call.name), "arguments": .string(call.arguments)], hasContent: false)))
    }
    if let part = part(of: item) {
      events.append(event("response.content_part.done", place(["part": .object(part)], hasContent: true)))
    }
    events.append(event("response.output_item.done", self.item(at: items.count - 1, isDone: true)))
    return events
  }

  /// Where in the answer something is.
  private func place(_ fields: JSONObject, hasContent: Bool) -> JSONObject {
    var place: JSONObject = [
      "item_id": .string(items.last?.id ?? ""), "output_index": .integer(items.count - 1),
    ]
    if hasContent { place["content_index"] = .integer(0) }
    return place.merging(fields) { $1 }
  }

  private func item(at index: Int, isDone: Bool) -> JSONObject {
    ["output_index": .integer(index), "item": .object(body(of: items[index], isDone: isDone))]
  }

  private func part(of item: Item) -> JSONObject? {
    switch item.kind {
    case .reasoning: ["type": .string("reasoning_text"), "text": .string(item.text)]
    case .message:
      [
        "type": .string("output_text"), "text": .string(item.text), "annotations": .array(item.annotations),
        "logprobs": .array([]),
      ]
    case .call: nil
    }
  }

  private func body(of item: Item, isDone: Bool) -> JSONObject {
    let status = JSONValue.string(isDone ? "completed" : "in_progress")
    let content = JSONValue.array(isDone ? part(of: item).map { [.object($0)] } ?? [] : [])
    switch item.kind {
    case .reasoning:
      return [
        "type": .string("reasoning"), "id": .string(item.id), "summary": .array([]), "content": content,
        "encrypted_content": .null, "status": status,
      ]
    case .message:
      return [
        "type": .string("message"), "id": .string(item.id), "status": status, "role": .string("assistant"),
        "content": content,
      ]
    case .call(let call):
      return [
        "type": .string("function_call"), "id": .string(item.id), "call_id": .string(call.id),
        "name": .string(call.name), "arguments": .string(call.arguments), "status": status,
      ]
    }
  }

  private func body(_ status: String) -> JSONObject {
    let isOver = status != "in_progress"
    var body: JSONObject = [
      "id": .string(id), "object": .string("response"), "created_at": .integer(created),
      "status": .string(status), "model": .string(model),
      "error": problem.map {
        .object(["code": .string($0.code ?? "server_error"), "message": .string($0.message)])
      } ?? .null,
      "incomplete_details": status == "incomplete"
        ? .object(["reason": .string("max_output_tokens")]) : .null,
      "output": .array(isOver ? items.map { .object(self.body(of: $0, isDone: true)) } : []),
    ]
    body.merge(repeated) { $1 }
    body["usage"] =
      isOver
      ? .object([
        "input_tokens": .integer(promptTokens),
        "input_tokens_details": .object(["cached_tokens": .integer(cachedTokens)]),
        "output_tokens": .integer(outputTokens),
        "output_tokens_details": .object(["reasoning_tokens": .integer(reasoningTokens)]),
        "total_tokens": .integer(promptTokens + outputTokens),
      ]) : .null
    return body
  }

  private mutating func event(_ name: String, _ fields: JSONObject) -> NamedEvent {
    defer { sequence += 1 }
    let data: JSONObject = ["type": .string(name), "sequence_number": .integer(sequence)]
    return NamedEvent(name: name, data: data.merging(fields) { $1 })
  }
}

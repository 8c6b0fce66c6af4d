// From events to answers: whole, or piece by piece.

import Foundation
import Hummingbird
import LlamaHost
import Serving

/// Which of the two kinds of completion an answer belongs to.
enum AnswerKind {
  case chat, text

  var prefix: String { self == .chat ? "chatcmpl-" : "cmpl-" }
}

/// Turns the events of one request into JSON.
struct AnswerWriter {
  private struct Choice {
    var text = ""
    var reasoning = ""
    var calls: [ToolCall] = []
    var tokens: [TokenProbability] = []
    var annotations: [AnnotationBody] = []
    var reason: FinishReason?
    /// Unicode scalars written so far, for offsets.
    var scalars = 0
    var hasRole = false
    /// What is repeated of the prompt.
    var opening = ""
  }

  private let kind: AnswerKind
  private let parameters: CompletionParameters
  private let id: String
  private let created = Int(Date().timeIntervalSince1970)
  private let model: String
  private var choices: [Choice]
  private(set) var usage = UsageBody()
  private var statistics: StatisticsBody?

  /// OpenAI's field for "the same settings of the server"; there is one set.
  private static let fingerprint = "ra"

  /// - Parameter openings: what the choices of each prompt begin with, or nothing.
  init(kind: AnswerKind, parameters: CompletionParameters, model: String, openings: [String] = []) {
    self.kind = kind
    self.parameters = parameters
    self.model = model
    id = kind.prefix + Identifier.random()
    let perPrompt = parameters.request.choiceCount
    choices = Array(repeating: Choice(), count: perPrompt * (1 + parameters.morePrompts.count))
    for index in choices.indices where openings.indices.contains(index / perPrompt) {
      choices[index].opening = openings[index / perPrompt]
      if !parameters.streams { choices[index].text = choices[index].opening }
    }
  }

  /// Takes note of an event; returns the chunks to send when streaming.
  mutating func take(_ event: CompletionEvent) -> [ByteBuffer] {
    switch event {
    case .started(let promptTokens, let cachedTokens):
      usage.promptTokens += promptTokens
      usage.promptTokensDetails.cachedTokens += cachedTokens
      return []
    case .prefill(let done, let total, let secondsLeft):
      guard parameters.streams, parameters.reportsProgress else { return [] }
      let progress = ProgressBody(
        total: total, cache: usage.promptTokensDetails.cachedTokens, processed: done,
        secondsLeft: secondsLeft)
      return [chunk(progress: progress)]
    case .delta(let index, let delta):
      guard choices.indices.contains(index) else { return [] }
      guard parameters.streams else {
        choices[index].text += delta.text
        choices[index].reasoning += delta.reasoning
        for call in delta.calls { choices[index].calls.add(call) }
        choices[index].tokens += delta.tokens
        return []
      }
      return chunks(index: index, delta: delta)
    case .evidence(let index, let record):
      guard choices.indices.contains(index), kind == .chat else { return [] }
      choices[index].annotations = record.citations.map { AnnotationBody($0) }
      guard parameters.streams, !record.citations.isEmpty else { return [] }
      return role(index) + [piece(index, .init(annotations: choices[index].annotations))]
    case .finished(let index, let reason, let tokens):
      guard choices.indices.contains(index) else { return [] }
      usage.completionTokens += tokens
      choices[index].reason = reason
      guard parameters.streams else { return [] }
      return role(index) + [chunk(index: index, text: nil, tokens: [], reason: reason)]
    case .completed(let costs):
      statistics = StatisticsBody(costs)
      usage.completionTokensLimit = costs.shortenedTo
      usage.completionTokensDetails.reasoningTokens += costs.reasoningTokens
      guard parameters.streams, parameters.includesUsage else { return [] }
      return [finalChunk()]
    }
  }

  /// The whole answer.
  func answer() -> ByteBuffer {
    switch kind {
    case .chat:
      return JSONText.encode(
        ChatAnswer(
          id: id, created: created, model: model, systemFingerprint: Self.fingerprint,
          choices: choices.enumerated().map { index, choice in
            .init(
              index: index,
              message: .init(
                content: choice.text.isEmpty && !choice.calls.isEmpty ? nil : choice.text,
                reasoningContent: choice.reasoning.isEmpty ? nil : choice.reasoning,
                toolCalls: choice.calls.isEmpty ? nil : choice.calls.map { ToolCallBody($0) },
                annotations: choice.annotations.isEmpty ? nil : choice.annotations),
              logprobs: hasLogprobs ? ChatLogprobs(choice.tokens) : nil, finishReason: choice.reason ?? .stop)
          }, usage: usage, statistics: statistics))
    case .text:
      return JSONText.encode(
        TextAnswer(
          id: id, created: created, model: model, systemFingerprint: Self.fingerprint,
          choices: choices.enumerated().map { index, choice in
            .init(
              index: index, text: choice.text,
              logprobs: hasLogprobs ? TextLogprobs(choice.tokens, offset: 0) : nil,
              finishReason: choice.reason ?? .stop)
          }, usage: usage, statistics: statistics))
    }
  }

  /// About how many bytes the whole answer has.
  var byteCount: Int {
    // A token with its log-probability, and each of its rivals, is an object of some 100 bytes.
    let objects = parameters.request.alternatives.map { $0 + 1 } ?? 0
    return usage.completionTokens * (8 + 100 * objects)
  }

  private var hasLogprobs: Bool { parameters.request.alternatives != nil }

  /// The first chunk of a chat's choice names who speaks; that of a text's may repeat the prompt.
  private mutating func role(_ index: Int) -> [ByteBuffer] {
    guard !choices[index].hasRole else { return [] }
    choices[index].hasRole = true
    guard kind == .chat else {
      let opening = choices[index].opening
      return opening.isEmpty ? [] : [chunk(index: index, text: opening, tokens: [], reason: nil)]
    }
    var chunk = chatChunk
    chunk.choices = [.init(index: index, delta: .init(role: "assistant", content: ""))]
    return [JSONText.encode(chunk)]
  }

  private mutating func chunks(index: Int, delta: CompletionDelta) -> [ByteBuffer] {
    var chunks: [ByteBuffer] = []
    if !delta.reasoning.isEmpty {
      chunks += [piece(index, .init(reasoningContent: delta.reasoning))]
    }
    if !delta.text.isEmpty || !delta.tokens.isEmpty {
      chunks += [chunk(index: index, text: delta.text, tokens: delta.tokens, reason: nil)]
      choices[index].scalars += delta.text.unicodeScalars.count
    }
    for call in delta.calls { chunks += [piece(index, .init(toolCalls: [ToolCallBody(call)]))] }
    return chunks.isEmpty ? [] : role(index) + chunks
  }

  /// A piece of a chat's choice that is no text of the answer.
  private func piece(_ index: Int, _ delta: ChatChunk.Delta) -> ByteBuffer {
    var chunk = chatChunk
    chunk.choices = [.init(index: index, delta: delta)]
    return JSONText.encode(chunk)
  }

  private func chunk(index: Int, text: String?, tokens: [TokenProbability], reason: FinishReason?)
    -> ByteBuffer
  {
    let withLogprobs = hasLogprobs && reason == nil
    switch kind {
    case .chat:
      var chunk = chatChunk
      chunk.choices = [
        .init(
          index: index, delta: .init(content: text), logprobs: withLogprobs ? ChatLogprobs(tokens) : nil,
          finishReason: reason)
      ]
      return JSONText.encode(chunk)
    case .text:
      var chunk = textChunk
      chunk.choices = [
        .init(
          index: index, text: text ?? "",
          logprobs: withLogprobs ? TextLogprobs(tokens, offset: choices[index].scalars) : nil,
          finishReason: reason)
      ]
      return JSONText.encode(chunk)
    }
  }

  private func chunk(progress: ProgressBody) -> ByteBuffer {
    switch kind {
    case .chat:
      var chunk = chatChunk
      chunk.promptProgress = progress
      return JSONText.encode(chunk)
    case .text:
      var chunk = textChunk
      chunk.promptProgress = progress
      return JSONText.encode(chunk)
    }
  }

  /// Usage in a chunk without choices, as `stream_options.include_usage` asks for.
  private func finalChunk() -> ByteBuffer {
    switch kind {
    case .chat:
      var chunk = chatChunk
      chunk.usage = usage
      chunk.statistics = statistics
      return JSONText.encode(chunk)
    case .text:
      var chunk = textChunk
      chunk.usage = usage
      chunk.statistics = statistics
      return JSONText.encode(chunk)
    }
  }

  private var chatChunk: ChatChunk {
    ChatChunk(id: id, created: created, model: model, systemFingerprint: Self.fingerprint)
  }

  private var textChunk: TextAnswer {
    TextAnswer(id: id, created: created, model: model, systemFingerprint: Self.fingerprint)
  }
}

extension [ToolCall] {
  /// Adds a piece of a call.
  mutating func add(_ piece: AnswerChange.Call) {
    if piece.index == count { append(ToolCall(id: piece.id ?? "", name: piece.name ?? "", arguments: "")) }
    if indices.contains(piece.index) { self[piece.index].arguments += piece.arguments }
  }
}

/// Identifiers that cannot be guessed.
enum Identifier {
  private static let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")

  static func random() -> String { String((0..<24).map { _ in letters.randomElement() ?? "x" }) }
}

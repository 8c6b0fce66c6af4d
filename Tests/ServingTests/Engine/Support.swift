// Answers put together from events.

import Evidence
import Foundation
import Generation
import LlamaHost
import Serving
// For all files of this target.
@_exported import TestSupport
import Testing

/// One test at a time: their threads would slow each other down.
@Suite(.serialized) enum SchedulerTests {}

/// A whole answer.
struct Answer: Equatable {
  var texts: [Int: String] = [:]
  var reasons: [Int: FinishReason] = [:]
  var tokens: [Int: Int] = [:]
  var probabilities: [TokenProbability] = []
  var promptTokens = 0
  var cachedTokens = 0
  var statistics: CompletionStatistics?
  var evidence: [Int: EvidenceRecord] = [:]

  var text: String { texts[0] ?? "" }
}

extension SchedulerSettings {
  /// Few threads and small limits, and what is changed.
  static func small(contextLength: Int = 2048, _ change: (inout SchedulerSettings) -> Void)
    -> SchedulerSettings
  {
    var settings = SchedulerSettings()
    settings.threads = 1
    settings.contextLength = contextLength
    change(&settings)
    return settings
  }
}

extension Scheduler {
  static func start(
    _ change: (inout SchedulerSettings) -> Void = { _ in }
  ) async throws -> Scheduler {
    try await start(model: TestModel.load(), settings: .small(change))
  }

  func stop() async { await drain(until: .now) }
}

extension InferenceService {
  func answer(
    _ request: CompletionRequest, onEvent: (CompletionEvent) throws -> Void = { _ in }
  ) async throws -> Answer {
    var answer = Answer()
    for try await event in try await complete(request) {
      try onEvent(event)
      switch event {
      case .started(let prompt, let cached): (answer.promptTokens, answer.cachedTokens) = (prompt, cached)
      case .prefill: break
      case .delta(let choice, let delta):
        answer.texts[choice, default: ""] += delta.text
        answer.probabilities += delta.tokens
      case .evidence(let choice, let record): answer.evidence[choice] = record
      case .finished(let choice, let reason, let tokens):
        answer.reasons[choice] = reason
        answer.tokens[choice] = tokens
      case .completed(let statistics): answer.statistics = statistics
      }
    }
    return answer
  }

  func ask(_ question: String, tokens: Int = 8, session: String? = nil) async throws -> Answer {
    try await answer(
      CompletionRequest(
        prompt: .chat(ChatRequest([ChatMessage(role: .user, content: question)])), session: session,
        maximumTokens: tokens)
    )
  }
}

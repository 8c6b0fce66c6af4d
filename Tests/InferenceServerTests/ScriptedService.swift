// An engine without a model: what it answers is known beforehand.

import Foundation
import Serving
import Synchronization

/// Answers with the words of its script, one delta a word, each after `pause`.
final class ScriptedService: InferenceService {
  struct State {
    var requests: [CompletionRequest] = []
    var cancelled = 0
    var sessions: [SessionCard] = []
    var isDraining = false
  }

  let model: ModelCard
  let words: [String]
  /// In place of words.
  let deltas: [CompletionDelta]?
  let reason: FinishReason
  let pause: Duration
  /// How long it takes until a request is accepted.
  let preparation: Duration
  /// Thrown instead of an answer.
  let refusal: ServingError?
  /// Thrown after so many words.
  let failure: (words: Int, error: ServingError)?
  let state = Mutex(State())

  init(
    words: [String] = ["Four", " is", " the answer."], deltas: [CompletionDelta]? = nil,
    reason: FinishReason = .stop, pause: Duration = .zero, preparation: Duration = .zero,
    refusal: ServingError? = nil, failure: (Int, ServingError)? = nil, isPlain: Bool = false
  ) {
    model = ModelCard(
      id: "scripted", contextLength: 1000, created: Date(timeIntervalSince1970: 1_700_000_000),
      aliases: ["other"],
      details: isPlain
        ? nil
        : ModelDetails(
          fileName: "scripted.gguf", family: "llama", summary: "llama tiny", parameterCount: 1234,
          byteCount: 5678, vocabularySize: 256, embeddingWidth: 2, trainedContextLength: 4096, parallel: 3,
          chatTemplate: "{{ messages }}"))
    self.words = words
    self.deltas = deltas
    self.reason = reason
    self.pause = pause
    self.preparation = preparation
    self.refusal = refusal
    self.failure = failure.map { (words: $0.0, error: $0.1) }
  }

  var requests: [CompletionRequest] { state.withLock { $0.requests } }
  var cancelled: Int { state.withLock { $0.cancelled } }

  func complete(_ request: CompletionRequest) async throws -> AsyncThrowingStream<CompletionEvent, any Error>
  {
    if let refusal { throw refusal }
    if state.withLock({ $0.isDraining }) { throw ServingError.draining }
    state.withLock { $0.requests.append(request) }
    try await Task.sleep(for: preparation)
    let (stream, continuation) = AsyncThrowingStream<CompletionEvent, any Error>.makeStream()
    let task = Task { [self] in
      do {
        continuation.yield(.started(promptTokens: 7, cachedTokens: 5))
        continuation.yield(.prefill(done: 7, total: 7, secondsLeft: 0.5))
        for choice in 0..<request.choiceCount {
          for (index, word) in words.enumerated() {
            try await Task.sleep(for: pause)
            if let failure, failure.words == index { throw failure.error }
            if deltas == nil { continuation.yield(.delta(choice: choice, delta(word, request))) }
          }
          for delta in deltas ?? [] { continuation.yield(.delta(choice: choice, delta)) }
          continuation.yield(.finished(choice: choice, reason: reason, tokens: words.count))
        }
        var statistics = CompletionStatistics()
        statistics.decodeSeconds = 2
        statistics.generatedTokens = request.choiceCount * words.count
        statistics.reasoningTokens = 2
        statistics.contextRead = 0.25
        if let asked = request.maximumTokens, asked != .max, asked > 993 { statistics.shortenedTo = 993 }
        continuation.yield(.completed(statistics))
        continuation.finish()
      } catch {
        continuation.finish(throwing: error)
      }
    }
    continuation.onTermination = { [self] reason in
      if case .cancelled = reason { state.withLock { $0.cancelled += 1 } }
      task.cancel()
    }
    return stream
  }

  private func delta(_ word: String, _ request: CompletionRequest) -> CompletionDelta {
    guard let count = request.alternatives else { return CompletionDelta(text: word) }
    let others = (0..<count).map {
      TokenProbability.Alternative(bytes: Array("w\($0)_Kept".utf8), logProbability: -Float($0))
    }
    return CompletionDelta(
      text: word,
      tokens: [TokenProbability(bytes: Array(word.utf8), logProbability: -0.5, alternatives: others)])
  }

  func statistics() async -> ServingStatistics {
    var statistics = ServingStatistics()
    statistics.accepted = requests.count
    return statistics
  }

  func createSession(name: String, text: String) async throws -> AsyncThrowingStream<SessionEvent, any Error>
  {
    let (stream, continuation) = AsyncThrowingStream<SessionEvent, any Error>.makeStream()
    let now = Date(timeIntervalSince1970: 1_700_000_000)
    var card = SessionCard(
      id: "ses-1", name: name, state: .reading, tokens: 10, tokensRead: 0, bytes: 0, created: now,
      lastUsed: now)
    continuation.yield(.created(card))
    continuation.yield(.progress(done: 5, total: 10, secondsLeft: 2.5))
    card.state = .ready
    card.tokensRead = 10
    state.withLock { $0.sessions.append(card) }
    continuation.yield(.ready(card))
    continuation.finish()
    return stream
  }

  func sessions() async -> [SessionCard] { state.withLock { $0.sessions } }

  func session(_ id: String) async throws -> SessionCard {
    guard let card = state.withLock({ $0.sessions.first { $0.id == id } }) else {
      throw ServingError.unknownSession(id)
    }
    return card
  }

  func deleteSession(_ id: String) async throws {
    _ = try await session(id)
    state.withLock { $0.sessions.removeAll { $0.id == id } }
  }

  func drain(until deadline: ContinuousClock.Instant) async { state.withLock { $0.isDraining = true } }
}

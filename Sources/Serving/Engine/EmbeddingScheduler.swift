// The engine for models that turn texts into vectors, or score them, instead of continuing them.

import Foundation
public import LlamaHost
import Platform
import Synchronization

/// Serves an embedding model or a reranking model with llama.cpp's own attention.
///
/// Texts are read one after another, each whole. Requests take turns text by text, so that a short one does not wait
/// for a long list.
public final class EmbeddingScheduler: InferenceService {
  /// What it serves.
  public let model: ModelCard
  private let llama: LlamaModel
  private let settings: SchedulerSettings
  private let pooling: Pooling
  private let queue: EmbeddingQueue
  private let workers = WorkerThreads.shared

  /// Tokens of a text where neither the model nor anybody else says less.
  public static let defaultContextLength = 8192

  /// Starts the engine's thread and takes memory for the longest text.
  ///
  /// - Parameter pooling: What the model was trained for, when nil.
  /// - Throws: ``ServingError`` for settings that make no sense, or that ask for sessions, and the host's errors.
  public static func start(
    model: LlamaModel, pooling: Pooling? = nil, settings: SchedulerSettings
  ) async throws -> EmbeddingScheduler {
    try settings.checkNumbers()
    guard settings.sessions.isEmpty, settings.sessionFolder == nil else { throw ServingError.noSessions }
    let queue = EmbeddingQueue()
    let limit = model.contextLimit
    let longest = min(settings.contextLength ?? defaultContextLength, limit > 0 ? limit : .max)
    let (length, found): (Int, Pooling) = try await withCheckedThrowingContinuation { continuation in
      Thread.startEngine {
        do {
          let context = try EmbeddingContext(
            model: model, pool: ThreadPool(threadCount: settings.threads ?? ThreadPool.defaultThreadCount),
            pooling: pooling, contextLength: min(longest, model.file.learnedPositionCount ?? .max))
          continuation.resume(returning: (context.contextLength, context.pooling))
          queue.work(context)
        } catch {
          continuation.resume(throwing: error)
        }
      }
    }
    return EmbeddingScheduler(model, settings, found, length, queue)
  }

  private init(
    _ model: LlamaModel, _ settings: SchedulerSettings, _ pooling: Pooling, _ contextLength: Int,
    _ queue: EmbeddingQueue
  ) {
    var settings = settings
    settings.parallel = 1
    llama = model
    self.settings = settings
    self.pooling = pooling
    self.queue = queue
    var card = ModelCard(
      model, settings: settings,
      limits: EngineLimits(contextLength: contextLength, memoryBudget: .max, bytesPerToken: 0))
    card.details?.abilities = [pooling == .rank ? .reranking : .embedding]
    self.model = card
  }

  /// A vector for each input.
  public func embed(_ inputs: [EmbeddingInput]) async throws -> [Embedding] {
    guard pooling != .rank else {
      throw ServingError.unsupported(
        "The model '\(model.id)' ranks documents, and makes no embeddings of them. Use /v1/rerank.")
    }
    let size = inputs.reduce(0) { count, input in
      switch input {
      case .text(let text): count + text.utf8.count
      case .tokens(let tokens): count + tokens.count * 4
      }
    }
    let prompts = try await workers.run(size: size) { [llama] cancellation in
      try inputs.map { input in
        try cancellation.check()
        switch input {
        case .text(let text): return try llama.tokenizer.tokenize(text, addSpecial: true, parseSpecial: false)
        case .tokens(let tokens): return tokens
        }
      }
    }
    let vectors = try await compute(prompts, "input")
    return zip(vectors, prompts).map { Embedding(vector: $0, tokens: $1.count) }
  }

  /// A score for each document.
  public func rank(_ documents: [String], query: String) async throws -> [Ranking] {
    guard pooling == .rank else {
      throw ServingError.unsupported(
        "The model '\(model.id)' makes embeddings, and does not rank documents. Use /v1/embeddings.")
    }
    let size = documents.reduce(0) { $0 + $1.utf8.count + query.utf8.count }
    let prompts = try await workers.run(size: size) { [llama] cancellation in
      try documents.map { document in
        try cancellation.check()
        return try llama.rankingPrompt(query: query, document: document)
      }
    }
    let scores = try await compute(prompts, "documents")
    return zip(scores, prompts).map { Ranking(score: $0.first ?? 0, tokens: $1.count) }
  }

  private func compute(_ prompts: [[Int32]], _ field: String) async throws -> [[Float]] {
    let size = model.details?.vocabularySize ?? 0
    for (index, tokens) in prompts.enumerated() {
      let place = prompts.count == 1 ? "The text of '\(field)'" : "Text \(index) of '\(field)'"
      func refuse(_ reason: String) -> ServingError {
        .invalidParameter(field, message: "\(place) \(reason).")
      }
      if tokens.isEmpty { throw refuse("is empty") }
      if let bad = tokens.first(where: { $0 < 0 || Int($0) >= size }) {
        throw refuse("has token \(bad), which is not in 0..<\(size)")
      }
      guard tokens.count <= model.contextLength else {
        throw refuse(
          "is too large: it has \(tokens.count) tokens, but at most \(model.contextLength) are read")
      }
    }
    return try await queue.run(prompts, limit: settings.queueLength)
  }

  /// Refuses with ``ServingError/unsupported(_:)``.
  public func complete(
    _ request: CompletionRequest
  ) async throws -> AsyncThrowingStream<CompletionEvent, any Error> {
    let ability = pooling == .rank ? "ranks documents" : "makes embeddings"
    throw ServingError.unsupported("The model '\(model.id)' \(ability), and does not generate text.")
  }

  /// The tokens of a text.
  public func tokenize(_ text: String, addSpecial: Bool, parseSpecial: Bool) async throws -> [Int32] {
    try await workers.run(size: text.utf8.count) { [llama] _ in
      try llama.tokenizer.tokenize(text, addSpecial: addSpecial, parseSpecial: parseSpecial)
    }
  }

  /// The bytes of each token.
  public func pieces(of tokens: [Int32]) async throws -> [[UInt8]] {
    let tokenizer = llama.tokenizer
    if let bad = tokens.first(where: { $0 < 0 || Int($0) >= tokenizer.vocabularySize }) {
      throw ServingError.invalidParameter(
        "tokens", message: "Token \(bad) is not in 0..<\(tokenizer.vocabularySize).")
    }
    return tokens.map { tokenizer.bytes(of: $0, renderSpecial: true) }
  }

  /// Counts since the start.
  public func statistics() async -> ServingStatistics { queue.statistics }

  /// Refuses with ``ServingError/noSessions``.
  public func createSession(
    name: String, text: String
  ) async throws -> AsyncThrowingStream<SessionEvent, any Error> {
    throw ServingError.noSessions
  }

  /// None.
  public func sessions() async -> [SessionCard] { [] }

  /// Throws ``ServingError/unknownSession(_:)``.
  public func session(_ id: String) async throws -> SessionCard { throw ServingError.unknownSession(id) }

  /// Throws ``ServingError/unknownSession(_:)``.
  public func deleteSession(_ id: String) async throws { throw ServingError.unknownSession(id) }

  /// Takes no more requests, lets those that are there end until the deadline, and stops.
  public func drain(until deadline: ContinuousClock.Instant) async {
    queue.drain(until: deadline)
    while !queue.isIdle { try? await Task.sleep(for: .milliseconds(20)) }
  }
}

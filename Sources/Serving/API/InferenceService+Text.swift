// What clients ask about texts besides completions, for engines that say nothing about it.

public import LlamaHost

extension InferenceService {
  /// Refuses with ``ServingError/unsupported(_:)``.
  public func tokenize(_ text: String, addSpecial: Bool, parseSpecial: Bool) async throws -> [Int32] {
    throw ServingError.unsupported("This server does not tell the tokens of texts.")
  }

  /// Refuses with ``ServingError/unsupported(_:)``.
  public func pieces(of tokens: [Int32]) async throws -> [[UInt8]] {
    throw ServingError.unsupported("This server does not tell the texts of tokens.")
  }

  /// Refuses with ``ServingError/unsupported(_:)``.
  public func prompt(of request: ChatRequest, addGenerationPrompt: Bool) async throws -> String {
    throw ServingError.unsupported("This server does not tell the prompts of conversations.")
  }

  /// Refuses with ``ServingError/unsupported(_:)``.
  public func promptTokens(of request: CompletionRequest) async throws -> Int {
    throw ServingError.unsupported("This server does not count the tokens of prompts.")
  }

  /// Refuses with ``ServingError/unsupported(_:)``.
  public func embed(_ inputs: [EmbeddingInput]) async throws -> [Embedding] {
    throw ServingError.unsupported(
      "The model '\(model.id)' makes no embeddings: it generates text. Serve an embedding model for them.")
  }

  /// Refuses with ``ServingError/unsupported(_:)``.
  public func rank(_ documents: [String], query: String) async throws -> [Ranking] {
    throw ServingError.unsupported(
      "The model '\(model.id)' does not rank documents. Serve a reranking model for that.")
  }

  /// Answers several requests as one: their choices are numbered in a row.
  ///
  /// - Parameter atOnce: requests that are queued at the same time; the others follow as these are done.
  /// - Returns: The events of all, without ``CompletionEvent/prefill(done:total:secondsLeft:)`` when there are several,
  ///   and one ``CompletionEvent/completed(_:)`` at the end.
  /// - Throws: what ``complete(_:)`` throws for the first `atOnce` of them. What it throws for later ones ends the
  ///   sequence.
  public func complete(
    all requests: [CompletionRequest], atOnce: Int = 4
  ) async throws -> AsyncThrowingStream<CompletionEvent, any Error> {
    guard let first = requests.first else {
      throw ServingError.invalidParameter("prompt", message: "There is no prompt.")
    }
    guard requests.count > 1 else { return try await complete(first) }
    var offsets: [Int] = []
    var choices = 0
    for request in requests {
      offsets.append(choices)
      choices += request.choiceCount
    }
    var streams: [AsyncThrowingStream<CompletionEvent, any Error>] = []
    for request in requests.prefix(max(1, atOnce)) { streams.append(try await complete(request)) }
    let (stream, continuation) = AsyncThrowingStream<CompletionEvent, any Error>.makeStream()
    let task = Task { [streams, offsets] in
      do {
        let statistics = try await relay(streams, of: requests, offsets: offsets) { continuation.yield($0) }
        continuation.yield(.completed(statistics))
        continuation.finish()
      } catch {
        continuation.finish(throwing: error)
      }
    }
    continuation.onTermination = { _ in task.cancel() }
    return stream
  }

  private func relay(
    _ streams: [AsyncThrowingStream<CompletionEvent, any Error>], of requests: [CompletionRequest],
    offsets: [Int], send: @escaping @Sendable (CompletionEvent) -> Void
  ) async throws -> CompletionStatistics {
    try await withThrowingTaskGroup(of: CompletionStatistics.self) { group in
      func add(_ stream: AsyncThrowingStream<CompletionEvent, any Error>, offset: Int) {
        group.addTask { try await Self.relay(stream, offset: offset, send: send) }
      }
      for (stream, offset) in zip(streams, offsets) { add(stream, offset: offset) }
      var next = streams.count
      var total: CompletionStatistics?
      while let statistics = try await group.next() {
        total = total?.adding(statistics) ?? statistics
        guard next < requests.count else { continue }
        add(try await complete(requests[next]), offset: offsets[next])
        next += 1
      }
      return total ?? CompletionStatistics()
    }
  }

  private static func relay(
    _ stream: AsyncThrowingStream<CompletionEvent, any Error>, offset: Int,
    send: @Sendable (CompletionEvent) -> Void
  ) async throws -> CompletionStatistics {
    var statistics = CompletionStatistics()
    for try await event in stream {
      switch event {
      case .started: send(event)
      case .prefill: break
      case .delta(let choice, let delta): send(.delta(choice: choice + offset, delta))
      case .evidence(let choice, let record): send(.evidence(choice: choice + offset, record))
      case .finished(let choice, let reason, let tokens):
        send(.finished(choice: choice + offset, reason: reason, tokens: tokens))
      case .completed(let costs): statistics = costs
      }
    }
    // A sequence that was cancelled ends without an error.
    try Task.checkCancellation()
    return statistics
  }
}

extension CompletionStatistics {
  /// What two requests cost together.
  fileprivate func adding(_ other: CompletionStatistics) -> CompletionStatistics {
    var sum = self
    sum.queueSeconds = min(queueSeconds, other.queueSeconds)
    sum.prefillSeconds += other.prefillSeconds
    sum.decodeSeconds += other.decodeSeconds
    sum.generatedTokens += other.generatedTokens
    sum.reasoningTokens += other.reasoningTokens
    let weights = (Double(generatedTokens), Double(other.generatedTokens))
    sum.acceptedDrafts += other.acceptedDrafts
    sum.rejectedDrafts += other.rejectedDrafts
    switch (contextRead, other.contextRead) {
    case (let first?, let second?) where weights.0 + weights.1 > 0:
      sum.contextRead = (first * weights.0 + second * weights.1) / (weights.0 + weights.1)
    case (let first, let second): sum.contextRead = first ?? second
    }
    sum.shortenedTo = [shortenedTo, other.shortenedTo].compactMap(\.self).min()
    return sum
  }
}

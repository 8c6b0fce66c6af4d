// Generation with our attention: the host computes all but attention and keeps no keys.

public import LlamaHost
public import RetrievalAttention

/// Runs a model whose attention is computed by an ``RetrievalAttention/AttentionEngine``.
///
/// Not thread-safe: one owner, one call at a time.
public final class GuestRunner: SequenceRunner {
  public let model: LlamaModel
  public let engine: AttentionEngine
  public let pool: ThreadPool
  public private(set) var indexSeconds = 0.0
  /// While false, decoded tokens stay in the window, so that they can be taken back, however many they are.
  package var indexesDecodedTokens = true
  private let context: LlamaContext
  private let parallel: ParallelRunner

  /// Tokens for which address space is reserved at least, so that a conversation can go on.
  static let comfortableCapacity = 1 << 18
  /// How far behind the last token questions are expected: the middle of an answer.
  static let askDistance = 128

  /// Prepares a model for contexts of `plannedTokens`.
  ///
  /// Throws ``GenerationError/unsupportedModel(_:)``,
  /// ``RetrievalAttention/AttentionError/insufficientMemory(tokens:required:available:)`` when the planned tokens
  /// cannot fit in memory, and the host's errors.
  public init(
    model: LlamaModel, pool: ThreadPool, policy: AttentionPolicy, plannedTokens: Int,
    batchCapacity: Int = 512,
    outputCapacity: Int = 1, takeover: TakeoverReport? = nil
  ) throws {
    guard plannedTokens > 0 else {
      throw GenerationError.invalidCount(
        name: "planned tokens", value: plannedTokens, requirement: "positive")
    }
    let takeover = try takeover ?? TakeoverReport(probing: model, pool: pool)
    let shape = try ModelShape(takeover)
    try Self.checkMemory(shape: shape, tokens: plannedTokens)
    self.model = model
    self.pool = pool
    engine = try Self.makeEngine(shape: shape, policy: policy, plannedTokens: plannedTokens)
    parallel = ParallelRunner(workerCount: pool.threadCount) { count, task in
      pool.parallel(count: count, task)
    }
    context = try LlamaContext(
      model: model, pool: pool, batchCapacity: batchCapacity, outputCapacity: outputCapacity,
      takeover: takeover,
      guest: EngineGuest(engine: engine, parallel: parallel))
  }

  private static func makeEngine(
    shape: ModelShape, policy: AttentionPolicy, plannedTokens: Int
  ) throws -> AttentionEngine {
    let comfortable = max(comfortableCapacity, plannedTokens)
    do {
      return try AttentionEngine(shape: shape, policy: policy, capacity: comfortable)
    } catch AttentionError.reservationFailed where comfortable > plannedTokens {
      // A limit of address space: what is planned may still fit.
      return try AttentionEngine(shape: shape, policy: policy, capacity: plannedTokens)
    }
  }

  /// An index takes 5 % of the rows, samples and scratch memory a little more.
  private static func checkMemory(shape: ModelShape, tokens: Int) throws {
    let (bytes, overflow) = shape.bytesPerToken.multipliedReportingOverflow(by: tokens)
    let (sum, sumOverflow) = bytes.addingReportingOverflow(bytes / 10)
    let required = overflow || sumOverflow ? Int.max : sum
    guard let available = SystemMemory.availableBytes, required > available else { return }
    throw AttentionError.insufficientMemory(tokens: tokens, required: required, available: available)
  }

  public var tokenCount: Int { engine.tokenCount }
  public var attentionName: String { engine.policy.name }
  public var reads: ReadStatistics? { engine.statistics }

  public var memory: MemoryUse {
    var use = MemoryUse()
    use.store = engine.storeByteCount
    use.index = engine.indexByteCount
    use.samples = engine.sampleByteCount
    use.resident = SystemMemory.residentBytes
    return use
  }

  public func prefill(_ tokens: [Int32], progress: ((Int) -> Void)?) throws -> Logits {
    guard !tokens.isEmpty else { throw GenerationError.emptyPrompt }
    // Before anything is read: an hour of prefill would be lost otherwise.
    guard tokens.count <= engine.capacity - tokenCount else {
      throw AttentionError.capacityExceeded(tokens: tokenCount + tokens.count, capacity: engine.capacity)
    }
    let ask = tokenCount + tokens.count + Self.askDistance
    var done = 0
    while true {
      let batch = tokens[done..<min(tokens.count, done + context.batchCapacity)]
      let isLast = batch.endIndex == tokens.count
      let logits = try evaluate(batch, outputs: isLast ? .last : .none)
      done = batch.endIndex
      updateIndex(finishing: isLast, askPosition: ask)
      progress?(done)
      if isLast { return logits }
    }
  }

  public func decode(_ token: Int32) throws -> Logits {
    let logits = try evaluate([token][...], outputs: .last)
    if indexesDecodedTokens { updateIndex(finishing: true, askPosition: tokenCount + Self.askDistance) }
    return logits
  }

  /// Grows the context to `count` tokens by repeating the first `period` ones, and indexes them.
  ///
  /// For benchmarks; see ``RetrievalAttention/AttentionEngine/replicate(to:period:parallel:)``.
  package func replicate(to count: Int, period: Int) throws {
    try engine.replicate(to: count, period: period, parallel: parallel)
    updateIndex(finishing: true, askPosition: count + Self.askDistance)
  }

  /// Reads a batch; on failure or cancellation, layers that had read it already are taken back.
  private func evaluate(_ tokens: ArraySlice<Int32>, outputs: Outputs) throws -> Logits {
    let before = tokenCount
    do {
      return try context.evaluate(tokens, startPosition: before, outputs: outputs)
    } catch {
      try engine.truncate(to: before)
      throw error
    }
  }

  private func updateIndex(finishing: Bool, askPosition: Int) {
    let clock = ContinuousClock()
    let start = clock.now
    if engine.updateIndex(finishing: finishing, askPosition: askPosition, parallel: parallel) {
      indexSeconds += (clock.now - start).seconds
    }
  }
}

/// Hands a layer's tensors from the host to the engine.
private final class EngineGuest: AttentionGuest {
  private let engine: AttentionEngine
  private let parallel: ParallelRunner

  init(engine: AttentionEngine, parallel: ParallelRunner) {
    self.engine = engine
    self.parallel = parallel
  }

  func attend(_ call: borrowing AttentionCall) throws {
    let batch = LayerBatch(
      layer: call.layer, firstPosition: Int(call.positions[0]), tokenCount: call.tokenCount,
      headCount: call.headCount, kvHeadCount: call.kvHeadCount, headDimension: call.headDimension,
      queries: call.queries, queryTokenStride: call.queryTokenStride, queryHeadStride: call.queryHeadStride,
      keys: call.keys, keyTokenStride: call.keyTokenStride, keyHeadStride: call.keyHeadStride,
      values: call.values, valueTokenStride: call.valueTokenStride, valueHeadStride: call.valueHeadStride,
      output: call.output, outputTokenStride: call.outputTokenStride, outputHeadStride: call.outputHeadStride)
    try engine.attend(batch, parallel: parallel)
  }
}

extension Duration {
  /// The duration in seconds.
  package var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}

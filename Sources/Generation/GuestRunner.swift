// Generation with our attention: the host computes all but attention and keeps no keys.

public import AttentionKernels
public import LlamaHost
public import RetrievalAttention

/// Runs a model whose attention is computed by an ``RetrievalAttention/AttentionEngine``.
///
/// Not thread-safe: one owner, one call at a time, also for all runners of one ``GuestHost`` together.
public final class GuestRunner: SequenceRunner {
  public let host: GuestHost
  public let engine: AttentionEngine
  public private(set) var indexSeconds = 0.0
  /// While false, decoded tokens stay in the window, so that they can be taken back, however many they are.
  package var indexesDecodedTokens = true
  /// How calls of the engine are answered, and who watches.
  package var options = CallOptions()
  private var readTokens: [Int32]
  /// Contexts that read the present prompt along.
  private var companions: [GuestRunner] = []
  /// Where the present prompt is attended to by devices.
  private var devicePrompt: DevicePrompt?
  /// Where generated tokens' first and last ones are attended to by devices; nil inside while none was asked for.
  private var deviceWindow: DeviceWindow??

  /// Tokens for which address space is reserved beyond what is planned, so that a conversation can go on.
  static let spareCapacity = 1 << 18
  /// How far behind the last token questions are expected: the middle of an answer.
  static let askDistance = 128

  /// Prepares a model for contexts of `plannedTokens`.
  ///
  /// Throws ``GenerationError/unsupportedModel(_:)``,
  /// ``RetrievalAttention/AttentionError/insufficientMemory(tokens:required:available:inEightBits:)`` when the planned
  /// tokens cannot fit in memory, and the host's errors.
  public convenience init(
    model: LlamaModel, pool: ThreadPool, policy: AttentionPolicy, plannedTokens: Int,
    batchCapacity: Int = 512,
    outputCapacity: Int = 1, format: KeyValueFormat = KeyValueFormat(), takeover: TakeoverReport? = nil
  ) throws {
    try Self.checkPlan(plannedTokens)
    let takeover = try takeover ?? TakeoverReport(probing: model, pool: pool)
    // Before the host takes memory for itself.
    try Self.checkMemory(shape: ModelShape(takeover, format: format), tokens: plannedTokens)
    let host = try GuestHost(
      model: model, pool: pool, batchCapacity: batchCapacity, outputCapacity: outputCapacity, format: format,
      takeover: takeover)
    try self.init(host: host, policy: policy, plannedTokens: plannedTokens)
  }

  /// An empty context of a model that is ready; throws as the other initializer does.
  public convenience init(host: GuestHost, policy: AttentionPolicy, plannedTokens: Int) throws {
    try Self.checkPlan(plannedTokens)
    try Self.checkMemory(shape: host.shape, tokens: plannedTokens)
    let engine = try Self.withCapacity(for: plannedTokens) {
      try AttentionEngine(shape: host.shape, policy: policy, capacity: $0)
    }
    self.init(host: host, engine: engine, tokens: [])
  }

  /// Goes on with an engine that has read `tokens`.
  package init(host: GuestHost, engine: AttentionEngine, tokens: [Int32]) {
    self.host = host
    self.engine = engine
    readTokens = tokens
  }

  /// Makes an engine with room to spare, or, under a limit of address space, with room for what is planned.
  static func withCapacity(
    for plannedTokens: Int, _ make: (Int) throws -> AttentionEngine
  ) throws -> AttentionEngine {
    let (comfortable, overflow) = plannedTokens.addingReportingOverflow(spareCapacity)
    // More than the engine takes is its error to tell.
    guard !overflow, comfortable <= Int(UInt32.max) else { return try make(plannedTokens) }
    do {
      return try make(comfortable)
    } catch AttentionError.reservationFailed {
      return try make(plannedTokens)
    }
  }

  /// Throws for a number of tokens that no context has.
  static func checkPlan(_ plannedTokens: Int) throws {
    guard plannedTokens > 0 else {
      throw GenerationError.invalidCount(
        name: "planned tokens", value: plannedTokens, requirement: "positive")
    }
  }

  /// Throws when so many tokens cannot fit in memory, with their index.
  package static func checkMemory(shape: ModelShape, tokens: Int) throws {
    let (bytes, overflow) = shape.bytesPerTokenWithIndex.multipliedReportingOverflow(by: tokens)
    let required = overflow ? Int.max : bytes
    guard let available = SystemMemory.availableBytes, required > available else { return }
    var small = shape
    small.format = KeyValueFormat(keys: .int8, values: .int8)
    let (smallBytes, smallOverflow) = small.bytesPerTokenWithIndex.multipliedReportingOverflow(by: tokens)
    throw AttentionError.insufficientMemory(
      tokens: tokens, required: required, available: available,
      inEightBits: small.format == shape.format || smallOverflow ? nil : smallBytes)
  }

  public var model: LlamaModel { host.model }
  public var pool: ThreadPool { host.pool }
  public var tokenCount: Int { engine.tokenCount }
  /// The tokens read so far, as many as ``tokenCount``.
  public var tokens: [Int32] { Array(readTokens.prefix(tokenCount)) }
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
    let end = tokenCount + tokens.count
    var done = 0
    progress?(0)
    try beginPrompt(of: tokens.count, endingAt: end)
    defer { endPrompt() }
    while true {
      let batch = tokens[
        done..<done + Self.nextBatch(of: tokens.count - done, capacity: host.context.batchCapacity)]
      let logits = try read(batch, endingAt: end) { progress?(done + $0) }
      done = batch.endIndex
      progress?(done)
      if done == tokens.count { return logits }
    }
  }

  /// Takes devices' memory for a prompt of `count` more tokens, where they are to attend to it.
  func beginPrompt(of count: Int, endingAt end: Int) throws {
    // A prompt needs more of the device.
    deviceWindow = nil
    // Who reads along has to see all of a prompt.
    devicePrompt =
      companions.isEmpty ? try host.devicePrompt(of: count, endingAt: end, engine: engine) : nil
  }

  func endPrompt() { devicePrompt = nil }

  /// Tokens of a prompt to read at once, of those that are left: as many as possible, but for a last one alone, which
  /// would be attended to as generated tokens are.
  static func nextBatch(of left: Int, capacity: Int) -> Int {
    left == capacity + 1 && capacity > 2 ? capacity - 1 : min(left, capacity)
  }

  /// Reads one batch of a prompt that ends before position `end`; with the last one, logits and index are completed.
  ///
  /// - Parameter progress: is told after each layer how many of the batch's tokens that is worth, fewer than all.
  func read(
    _ batch: ArraySlice<Int32>, endingAt end: Int, progress: ((Int) -> Void)? = nil
  ) throws -> Logits {
    let isLast = tokenCount + batch.count == end
    let (count, layers) = (batch.count, host.shape.layers.count)
    var attended = 0
    host.onLayer =
      progress.map { tell in
        {
          attended += 1
          if attended < layers { tell(count * attended / layers) }
        }
      }
    defer { host.onLayer = nil }
    let logits = try evaluate(batch, outputs: isLast ? .last : .none)
    for runner in [self] + companions {
      runner.updateIndex(finishing: isLast, askPosition: end + Self.askDistance)
    }
    return logits
  }

  public func decode(_ token: Int32) throws -> Logits {
    let window: DeviceWindow?
    if options.isExact || options.observer?.onHead != nil {
      window = nil
    } else {
      if deviceWindow == nil { deviceWindow = .some(try host.deviceWindow(of: engine)) }
      window = deviceWindow ?? nil
    }
    let logits = try evaluate([token][...], outputs: .last, window: window)
    if indexesDecodedTokens { updateIndex(finishing: true, askPosition: tokenCount + Self.askDistance) }
    return logits
  }

  /// Another runner with the same context, which shares memory with this one until either changes something.
  ///
  /// Both use the same ``host``: one of them works at a time. See
  /// ``RetrievalAttention/AttentionEngine/fork(capacity:)`` for costs and errors; this runner is as it was after one.
  public func fork() throws -> GuestRunner {
    GuestRunner(host: host, engine: try engine.fork(), tokens: tokens)
  }

  /// The same with the model on other devices: `other` is a host of the same file.
  package func fork(on other: GuestHost) throws -> GuestRunner {
    precondition(other.shape.layers == host.shape.layers, "the other host is of another model")
    return GuestRunner(host: other, engine: try engine.fork(), tokens: tokens)
  }

  /// Keeps what the context has in common with the beginning of `prompt`, and drops the rest.
  ///
  /// The last token of the prompt is never kept, since its logits are still wanted. Dropping tokens that are in the
  /// index makes that anew with the next prefill, which takes seconds at most. A sliding window that has passed the
  /// place cannot be brought back: then nothing is kept.
  ///
  /// - Returns: how many tokens were kept; `prompt` from there on is to be read.
  public func keepPrefix(of prompt: [Int32]) throws -> Int {
    let common = zip(readTokens.prefix(tokenCount), prompt.dropLast()).prefix { $0 == $1 }.count
    guard common < tokenCount else { return common }
    if engine.canRewind(to: common) {
      try engine.rewind(to: common, parallel: host.parallel)
      return common
    }
    try engine.rewind(to: 0, parallel: host.parallel)
    return 0
  }

  /// Grows the context to `count` tokens by repeating those from `first` up to `period`, and indexes them.
  ///
  /// For benchmarks; see ``RetrievalAttention/AttentionEngine/replicate(to:period:first:parallel:)``.
  package func replicate(to count: Int, period: Int, first: Int) throws {
    let before = tokens
    try engine.replicate(to: count, period: period, first: first, parallel: host.parallel)
    readTokens =
      before
      + (before.count..<max(count, before.count)).map { before[first + ($0 - first) % (period - first)] }
    updateIndex(finishing: true, askPosition: count + Self.askDistance)
  }

  /// Reads a batch; on failure or cancellation, layers that had read it already are taken back.
  private func evaluate(
    _ tokens: ArraySlice<Int32>, outputs: Outputs, window: DeviceWindow? = nil
  ) throws -> Logits {
    let before = tokenCount
    do {
      let logits = try host.evaluate(
        tokens, startPosition: before, outputs: outputs,
        reader: PromptReader(engine, followers: companions.map(\.engine)), options: options,
        prompt: tokens.count > 1 ? devicePrompt : nil, window: window)
      for runner in [self] + companions { try runner.engine.checkFiles() }
      for runner in [self] + companions { runner.note(tokens, after: before) }
      return logits
    } catch {
      for runner in [self] + companions { try runner.engine.truncate(to: before) }
      throw error
    }
  }

  /// Takes note of tokens that the engine has read behind the first `count` ones.
  private func note(_ tokens: ArraySlice<Int32>, after count: Int) {
    // The engine may have been truncated since.
    readTokens.removeLast(readTokens.count - count)
    readTokens += tokens
  }

  private func updateIndex(finishing: Bool, askPosition: Int) {
    guard !options.isExact else {
      if finishing { engine.finishPrompt() }
      return
    }
    let clock = ContinuousClock()
    let start = clock.now
    if engine.updateIndex(finishing: finishing, askPosition: askPosition, parallel: host.parallel) {
      indexSeconds += (clock.now - start).seconds
    }
  }
}

extension GuestRunner {
  /// Reads a prompt for several contexts at once: the model and exact attention run once, and each context comes to be
  /// what it would be if it had read the prompt by itself.
  ///
  /// To the bit, as long as the keys of all lie in the order of the text, which clusters change: sums then differ in
  /// rounding. Let a context without clusters read. All use one ``host`` and have read the same tokens.
  ///
  /// - Parameter others: contexts that read along, each with its own policy; its own rows take its own memory.
  /// - Returns: the logits after the last token, for all contexts.
  /// - Throws: what ``prefill(_:progress:)`` throws. The batch that failed is taken back in all of them.
  package func prefill(
    _ tokens: [Int32], with others: [GuestRunner], progress: ((Int) -> Void)? = nil
  ) throws -> Logits {
    for other in others {
      precondition(other.host === host, "contexts of several hosts cannot read together")
      precondition(other.tokens == self.tokens, "contexts that differ cannot read together")
    }
    companions = others
    defer { companions = [] }
    return try prefill(tokens, progress: progress)
  }
}

extension Duration {
  /// The duration in seconds.
  package var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}

// Generation with our attention: the host computes all but attention and keeps no keys.

public import AttentionKernels
public import LlamaHost
public import RetrievalAttention

/// Runs a model whose attention is computed by a ``Context``, as batches of one.
///
/// Not thread-safe: one owner, one call at a time, also for all runners of one ``GuestHost`` together.
public final class GuestRunner: SequenceRunner {
  public let host: GuestHost
  public let context: Context
  /// While false, decoded tokens stay in the window, so that they can be taken back, however many they are.
  package var indexesDecodedTokens = true
  /// Whether all tokens see all keys, generated ones too, and the index learns from that.
  package var isLossless = false
  /// How attention is computed, and who watches.
  package var options = CallOptions()
  private let batches: BatchRunner
  /// Drafts that were read last.
  private var draftCount = 0
  /// Contexts that read the present prompt along.
  private var companions: [Context] = []
  /// Where the present prompt is attended to by devices.
  private var devicePrompt: DevicePrompt?
  /// Where generated tokens' first and last ones are attended to by devices; nil inside while none was asked for.
  private var deviceWindow: DeviceWindow??

  /// Prepares a model for contexts of `plannedTokens`.
  ///
  /// Throws ``GenerationError/unsupportedModel(_:)``,
  /// ``RetrievalAttention/AttentionError/insufficientMemory(tokens:required:available:inEightBits:)`` when the planned
  /// tokens cannot fit in memory, and the host's errors.
  public convenience init(
    model: LlamaModel, pool: ThreadPool, policy: AttentionPolicy, plannedTokens: Int,
    batchCapacity: Int = 512,
    outputCapacity: Int? = nil, format: KeyValueFormat = KeyValueFormat()
  ) throws {
    try Context.checkPlan(plannedTokens)
    // Before the host takes memory for itself.
    try Context.checkMemory(
      shape: ModelShape(model.takeover(pool: pool), format: format), tokens: plannedTokens)
    let host = try GuestHost(
      model: model, pool: pool, batchCapacity: batchCapacity, outputCapacity: outputCapacity, format: format)
    try self.init(host: host, policy: policy, plannedTokens: plannedTokens)
  }

  /// An empty context of a model that is ready; throws as the other initializer does.
  public convenience init(host: GuestHost, policy: AttentionPolicy, plannedTokens: Int) throws {
    try Context.checkPlan(plannedTokens)
    try Context.checkMemory(shape: host.shape, tokens: plannedTokens)
    self.init(
      host: host, context: try Context(shape: host.shape, policy: policy, plannedTokens: plannedTokens))
  }

  /// Goes on with a context of the host's model.
  public init(host: GuestHost, context: Context) {
    precondition(host.shape.layers == context.shape.layers, "the context is of another model")
    self.host = host
    self.context = context
    batches = BatchRunner(host: host)
    context.stateBudget = host.stateBudget
  }

  package var engine: AttentionEngine { context.engine }
  public var model: LlamaModel { host.model }
  public var pool: ThreadPool { host.pool }
  public var tokenCount: Int { context.tokenCount }
  /// The tokens read so far.
  public var tokens: [Int32] { context.tokens }
  public var attentionName: String { context.policy.name }
  public var reads: ReadStatistics? { context.engine.statistics }
  public var indexSeconds: Double { context.indexSeconds }

  public var memory: MemoryUse {
    var use = context.memory
    use.resident = SystemMemory.residentBytes
    return use
  }

  public func prefill(_ tokens: [Int32], progress: ((Int) -> Void)?) throws -> Logits {
    guard !tokens.isEmpty else { throw GenerationError.emptyPrompt }
    // Before anything is read: an hour of prefill would be lost otherwise.
    guard tokens.count <= context.capacity - tokenCount else {
      throw AttentionError.capacityExceeded(tokens: tokenCount + tokens.count, capacity: context.capacity)
    }
    let end = tokenCount + tokens.count
    var done = 0
    progress?(0)
    try beginPrompt(of: tokens.count, endingAt: end)
    defer { endPrompt() }
    while true {
      let batch = tokens[
        done..<done + Self.nextBatch(of: tokens.count - done, capacity: batches.batchCapacity)]
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
    // Who reads along has to see all of it.
    devicePrompt =
      companions.isEmpty ? try batches.devicePrompt(of: count, endingAt: end, for: context) : nil
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
    let (count, layers) = (batch.count, host.shape.layers.count)
    var attended = 0
    var item = BatchRunner.Item(
      context: context, tokens: batch, outputs: tokenCount + count == end ? .last : .none, promptEnd: end,
      prompt: devicePrompt)
    item.followers = companions
    item.options = options
    item.options.readsAllKeys = options.readsAllKeys || isLossless
    return try evaluate(
      item,
      onLayer: progress.map { tell in
        {
          attended += 1
          if attended < layers { tell(count * attended / layers) }
        }
      })
  }

  public func decode(_ token: Int32) throws -> Logits {
    let window: DeviceWindow?
    if options.isExact || isLossless || options.trace != nil || options.observer?.onHead != nil {
      window = nil
    } else if let deviceWindow {
      window = deviceWindow
    } else {
      window = try host.deviceWindow(of: engine)
      deviceWindow = .some(window)
    }
    var item = BatchRunner.Item(
      context: context, tokens: CollectionOfOne(token), outputs: .last,
      promptEnd: indexesDecodedTokens ? tokenCount + 1 : nil)
    item.window = window
    item.options = generationOptions
    return try evaluate(item)
  }

  private var generationOptions: CallOptions {
    guard isLossless else { return options }
    var options = options
    (options.isExact, options.isGenerated) = (true, true)
    return options
  }

  public var draftCapacity: Int {
    guard engine.takesDrafts, options.observer == nil else { return 0 }
    return max(
      0, min(AttentionEngine.maximumDrafts, batches.outputCapacity - 1, context.capacity - tokenCount - 1))
  }

  public func decode(_ token: Int32, drafts: [Int32]) throws -> Logits {
    try checkDrafts(drafts.count)
    var item = BatchRunner.Item(context: context, token: token, drafts: drafts)
    item.options.isExact = generationOptions.isExact
    item.options.trace = options.trace
    let logits = try evaluate(item)
    draftCount = drafts.count
    return logits
  }

  /// Reads tokens by exact attention, as many as have logits at once, without learning or indexing anything.
  func check(_ tokens: [Int32]) throws -> Logits {
    var item = BatchRunner.Item(context: context, tokens: tokens, outputs: .all)
    item.options.isExact = true
    item.options.isGenerated = true
    item.options.hidden = options.hidden
    item.options.trace = options.trace
    return try evaluate(item)
  }

  public func keepDrafts(_ count: Int) throws {
    try batches.keepDrafts(
      count, of: draftCount, in: context, isIndexed: indexesDecodedTokens, options: generationOptions)
    draftCount = 0
    batches.updateIndex(of: context)
  }

  private func evaluate(_ item: BatchRunner.Item, onLayer: (() -> Void)? = nil) throws -> Logits {
    do {
      let logits = try batches.evaluate([item], onLayer: onLayer)
      for context in item.contexts { batches.updateIndex(of: context) }
      return logits
    } catch let failure as BatchRunner.ItemFailure {
      throw failure.underlying
    }
  }

  /// Another runner with the same context, which shares memory with this one until either changes something.
  ///
  /// Both use the same ``host``: one of them works at a time. See
  /// ``RetrievalAttention/AttentionEngine/fork(capacity:)`` for costs and errors; this runner is as it was after one.
  public func fork() throws -> GuestRunner { GuestRunner(host: host, context: try context.fork()) }

  /// The same with the model on other devices: `other` is a host of the same file.
  package func fork(on other: GuestHost) throws -> GuestRunner {
    GuestRunner(host: other, context: try context.fork())
  }

  /// Drops tokens from `position` on; throws as ``Context/truncate(to:)`` does.
  public func truncate(to position: Int) throws { try context.truncate(to: position) }

  /// Keeps what the context has in common with the beginning of `prompt`, and drops the rest.
  ///
  /// The last token of the prompt is never kept, since its logits are still wanted. Dropping tokens that are in the
  /// index makes that anew with the next prefill, which takes seconds at most. A sliding window that has passed the
  /// place cannot be brought back: then nothing is kept.
  ///
  /// - Returns: how many tokens were kept; `prompt` from there on is to be read.
  public func keepPrefix(of prompt: [Int32]) throws -> Int {
    try context.keepPrefix(of: prompt, parallel: host.parallel)
  }

  /// Grows the context to `count` tokens by repeating those from `first` up to `period`, and indexes them.
  ///
  /// For benchmarks; see ``RetrievalAttention/AttentionEngine/replicate(to:period:first:parallel:)``.
  package func replicate(to count: Int, period: Int, first: Int) throws {
    try context.replicate(to: count, period: period, first: first, parallel: host.parallel)
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
    companions = others.map(\.context)
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

// Several contexts in one batch of the host: each attends by itself, everything else is computed together.

public import AttentionKernels
public import LlamaHost
public import RetrievalAttention

/// Evaluates tokens of several contexts together, so that the model's weights are read once for all of them.
///
///     let runner = try BatchRunner(model: model, pool: pool, sequenceCapacity: 4)
///     let contexts = try (0..<4).map { _ in try runner.makeContext(policy: .exact, capacity: 8192) }
///     let logits = try runner.evaluate(contexts.map { .init(context: $0, tokens: [1, 2, 3], outputs: .last) })
///
/// Not thread-safe: one owner, one call at a time.
public final class BatchRunner {
  /// One context's share of a batch: tokens that follow those it has.
  public struct Item {
    public var context: Context
    public var tokens: ArraySlice<Int32>
    public var outputs: Outputs
    /// How many tokens the prompt has that these belong to, for a generated one those up to it: rows that leave the
    /// window are due to go into the index then. Nil leaves them in the window.
    public var promptEnd: Int?
    /// Devices that attend to the prompt that the tokens are of; see ``BatchRunner/devicePrompt(of:endingAt:for:)``.
    public var prompt: DevicePrompt?
    /// Devices that attend to the first and last tokens before a generated one.
    var window: DeviceWindow?
    /// Contexts of other policies that read along; see ``GuestRunner/prefill(_:with:progress:)``.
    var followers: [Context] = []
    /// How attention is computed, and who watches.
    var options = CallOptions()

    public init(
      context: Context, tokens: some Collection<Int32>, outputs: Outputs, promptEnd: Int? = nil,
      prompt: DevicePrompt? = nil
    ) {
      self.context = context
      self.tokens = tokens as? ArraySlice<Int32> ?? Array(tokens)[...]
      self.outputs = outputs
      self.promptEnd = promptEnd
      self.prompt = prompt
    }

    /// A generated token with drafts of what may follow it, at most
    /// ``RetrievalAttention/AttentionEngine/maximumDrafts``, all of which have logits.
    /// ``BatchRunner/keepDrafts(_:of:in:isIndexed:)`` is to be called before anything else is done with the context.
    public init(context: Context, token: Int32, drafts: [Int32]) {
      self.init(context: context, tokens: [token] + drafts, outputs: .all)
      options.isGenerated = true
      hasDrafts = true
    }

    /// Takes note of what generated tokens attend to, and the last tokens of a prompt.
    public var trace: AttentionTrace? {
      get { options.trace }
      set { options.trace = newValue }
    }

    var contexts: [Context] { [context] + followers }
    /// Whether the tokens are of a prompt.
    var isPrompt: Bool { tokens.count > 1 && !options.isGenerated }
    private(set) var hasDrafts = false
    /// The devices that attend to these tokens. One alone is attended to as generated ones are.
    var usedPrompt: DevicePrompt? {
      isPrompt && prompt?.owner == ObjectIdentifier(context.engine) ? prompt : nil
    }
  }

  /// One item's attention failed; no context of the batch has changed.
  public struct ItemFailure: Error {
    /// Which item of the batch.
    public var index: Int
    public var underlying: any Error
  }

  /// Shared with single contexts and sessions, which may be used between batches.
  public let host: GuestHost
  public var model: LlamaModel { host.model }
  public var pool: ThreadPool { host.pool }
  public var shape: ModelShape { host.shape }
  /// Most tokens of one batch.
  public var batchCapacity: Int { host.context.batchCapacity }
  /// Most tokens of a batch that can have logits.
  public var outputCapacity: Int { host.context.outputCapacity }
  /// Most contexts of one batch.
  public var sequenceCapacity: Int { host.context.sequenceCapacity }
  /// Asked before every layer; true makes ``evaluate(_:)`` throw `CancellationError`.
  public var isCancelled: (() -> Bool)? {
    get { host.context.isCancelled }
    set { host.context.isCancelled = newValue }
  }
  private let guest: BatchGuest

  /// - Throws: ``GenerationError/unsupportedModel(_:)`` and the host's errors.
  public convenience init(
    model: LlamaModel, pool: ThreadPool, sequenceCapacity: Int, batchCapacity: Int = 512,
    format: KeyValueFormat = KeyValueFormat()
  ) throws {
    try self.init(
      host: GuestHost(
        model: model, pool: pool, batchCapacity: batchCapacity,
        outputCapacity: min(sequenceCapacity + AttentionEngine.maximumDrafts, batchCapacity),
        sequenceCapacity: sequenceCapacity,
        format: format))
  }

  /// Batches on a host that is ready, of as many contexts and logits as that was made for.
  public init(host: GuestHost) {
    self.host = host
    guest = BatchGuest()
  }

  /// An empty context of this model.
  public func makeContext(policy: AttentionPolicy, capacity: Int) throws -> Context {
    let context = try Context(shape: shape, policy: policy, capacity: capacity)
    context.stateBudget = host.stateBudget
    return context
  }

  /// Evaluates a batch. Index updates of its contexts that are due are made before.
  ///
  /// - Returns: logits in the order of the items, valid until the next call.
  /// - Throws: ``ItemFailure`` when one context's attention failed, `CancellationError`, or the host's errors. No
  ///   context has changed then.
  @discardableResult
  public func evaluate(_ items: [Item]) throws -> Logits { try evaluate(items, onLayer: nil) }

  /// - Parameter onLayer: told when a layer was attended to.
  func evaluate(_ items: [Item], onLayer: (() -> Void)?) throws -> Logits {
    for context in items.flatMap(\.contexts) { updateIndex(of: context) }
    guest.begin(items, onLayer: onLayer)
    defer {
      guest.end()
      for item in items { host.note(item.usedPrompt, item.window) }
    }
    let isHybrid = host.context.hasRecurrentLayers
    do {
      if isHybrid {
        for item in items where item.hasDrafts { try item.context.markDrafts() }
        for item in items where item.isPrompt {
          let end = item.context.tokenCount + item.tokens.count
          item.context.beginsToRead(isLastBatch: item.promptEnd == end)
        }
      }
      let logits = try host.evaluate(
        items.map {
          SequenceTokens(Array($0.tokens), startPosition: $0.context.tokenCount, outputs: $0.outputs)
        }, states: isHybrid ? items.map(\.context.recurrent.state) : [], guest: guest,
        deviceParts: Self.deviceParts(items), confirm: guest.checkFiles)
      for item in items {
        for context in item.contexts {
          context.didRead(
            item.tokens, promptEnd: item.promptEnd,
            isIndexed: !item.options.isExact || item.options.isGenerated)
        }
        if isHybrid, !item.hasDrafts {
          try item.context.keepStates(
            for: item.followers, isPrompt: item.isPrompt, promptEnd: item.promptEnd)
        }
      }
      return logits
    } catch {
      let failed = guest.failedItem
      // Layers before the one that failed have read the batch.
      for context in items.flatMap(\.contexts) { try context.takeBack() }
      if let failed { throw ItemFailure(index: failed, underlying: error) }
      throw error
    }
  }

  /// Keeps the first drafts that a context has read last, and drops the others. What leaves the window is due to go
  /// into the index then.
  ///
  /// - Parameters:
  ///   - drafts: how many there were.
  ///   - isIndexed: false leaves all in the window.
  /// - Throws: ``GenerationError/invalidCount(name:value:requirement:)`` for more than there are, and what going back
  ///   throws; for hybrid models also what reading does, since their states are computed anew.
  public func keepDrafts(_ count: Int, of drafts: Int, in context: Context, isIndexed: Bool = true) throws {
    try keepDrafts(count, of: drafts, in: context, isIndexed: isIndexed, options: CallOptions())
  }

  func keepDrafts(
    _ count: Int, of drafts: Int, in context: Context, isIndexed: Bool, options: CallOptions
  ) throws {
    guard count >= 0, count <= drafts, drafts < max(1, context.tokenCount) else {
      throw GenerationError.invalidCount(
        name: "drafts to keep", value: count, requirement: "in 0...\(min(drafts, context.tokenCount - 1))")
    }
    if count < drafts {
      if let again = try context.dropDrafts(drafts, keeping: count) {
        var item = Item(context: context, tokens: again, outputs: .none)
        item.options = options
        item.options.isGenerated = true
        try evaluate([item])
      }
    }
    try context.didGenerate(isIndexed: isIndexed)
  }

  /// What devices do for the items.
  private static func deviceParts(_ items: [Item]) -> [DevicePart] {
    var row = 0
    return items.compactMap { item in
      let rows = row..<row + item.tokens.count
      row = rows.upperBound
      let work: (any DeviceWork)? = item.usedPrompt ?? item.window
      return work.map { DevicePart(work: $0, rows: rows, stored: item.context.engine) }
    }
  }

  /// Memory of the model's devices for a prompt that they are to attend to, kept until the object goes; nil where the
  /// CPU attends, as for short prompts and where devices have no room. Give it to all items of the prompt; with another
  /// context it is of no effect.
  ///
  /// - Parameters:
  ///   - tokenCount: tokens that are still to be read.
  ///   - end: how many tokens the context has then.
  public func devicePrompt(
    of tokenCount: Int, endingAt end: Int, for context: Context
  ) throws -> DevicePrompt? {
    try host.devicePrompt(of: tokenCount, endingAt: end, engine: context.engine)
  }

  /// Moves rows that left a context's window into its index, where that is due.
  public func updateIndex(of context: Context) { context.updateIndex(parallel: host.parallel) }

  /// The same in parts, until `pauses` says that it is enough for now.
  ///
  /// - Returns: whether all is done.
  package func updateIndex(of context: Context, pauses: () -> Bool) -> Bool {
    context.updateIndex(parallel: host.parallel, pauses: pauses)
  }
}

/// Hands each context the rows of the batch that are its own.
private final class BatchGuest: AttentionGuest {
  private var items: [BatchRunner.Item] = []
  private var readers: [PromptReader] = []
  private var onLayer: (() -> Void)?
  /// The item that is worked on, and stays so when that fails.
  private(set) var failedItem: Int?

  func begin(_ items: [BatchRunner.Item], onLayer: (() -> Void)?) {
    self.items = items
    self.onLayer = onLayer
    readers = items.map { PromptReader($0.context.engine, followers: $0.followers.map(\.engine)) }
    failedItem = nil
  }

  /// Contexts must not live longer because they were in a batch.
  func end() {
    items = []
    readers = []
    onLayer = nil
  }

  /// Throws when a file of one of the contexts became shorter.
  func checkFiles() throws {
    for (index, item) in items.enumerated() {
      failedItem = index
      for context in item.contexts { try context.engine.checkFiles() }
    }
    failedItem = nil
  }

  func attend(_ call: AttentionCall, sequence: Int, parallel: ParallelRunner) throws {
    failedItem = sequence
    let item = items[sequence]
    var options = item.options
    options.attendedPromptEnd = item.prompt?.end
    options.promptEnd = item.promptEnd
    if let window = item.window, window.isRunning { options.fixed = window }
    try readers[sequence].attend(call, options: options, parallel: parallel)
    failedItem = nil
    if sequence == items.count - 1 { onLayer?() }
  }
}

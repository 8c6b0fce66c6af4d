// Several contexts in one batch of the host: each attends by itself, everything else is computed together.

public import AttentionKernels
public import LlamaHost
public import RetrievalAttention

/// Evaluates tokens of several contexts together, so that the model's weights are read once for all of them.
///
///     let runner = try BatchRunner(model: model, pool: pool, sequenceCapacity: 4)
///     let engines = try (0..<4).map { _ in try runner.makeEngine(policy: .exact, capacity: 8192) }
///     let logits = try runner.evaluate(engines.map { .init(engine: $0, tokens: [1, 2, 3], outputs: .last) })
///
/// Not thread-safe: one owner, one call at a time.
public final class BatchRunner {
  /// One context's share of a batch: tokens that follow those it has.
  public struct Item {
    public var engine: AttentionEngine
    public var tokens: [Int32]
    public var outputs: Outputs
    /// Devices that attend to the prompt that the tokens are of; see ``BatchRunner/devicePrompt(of:endingAt:engine:)``.
    public var prompt: DevicePrompt?

    public init(
      engine: AttentionEngine, tokens: [Int32], outputs: Outputs, prompt: DevicePrompt? = nil
    ) {
      self.engine = engine
      self.tokens = tokens
      self.outputs = outputs
      self.prompt = prompt
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
    format: KeyValueFormat = KeyValueFormat(), takeover: TakeoverReport? = nil
  ) throws {
    try self.init(
      host: GuestHost(
        model: model, pool: pool, batchCapacity: batchCapacity,
        outputCapacity: min(sequenceCapacity, batchCapacity), sequenceCapacity: sequenceCapacity,
        format: format, takeover: takeover))
  }

  /// Batches on a host that is ready, of as many contexts and logits as that was made for.
  public init(host: GuestHost) {
    self.host = host
    guest = BatchGuest()
  }

  /// An empty context of this model.
  public func makeEngine(policy: AttentionPolicy, capacity: Int) throws -> AttentionEngine {
    try AttentionEngine(shape: shape, policy: policy, capacity: capacity)
  }

  /// Evaluates a batch.
  ///
  /// - Returns: logits in the order of the items, valid until the next call.
  /// - Throws: `ItemFailure` when one context's attention failed, `CancellationError`, or the host's errors. No
  ///   context has changed then.
  @discardableResult
  public func evaluate(_ items: [Item]) throws -> Logits {
    let starts = items.map(\.engine.tokenCount)
    guest.begin(items)
    defer { guest.end() }
    do {
      let logits = try host.evaluate(
        zip(items, starts).map { SequenceTokens($0.tokens, startPosition: $1, outputs: $0.outputs) },
        guest: guest, deviceParts: Self.deviceParts(items))
      try guest.checkFiles()
      return logits
    } catch {
      let failed = guest.failedItem
      // Layers before the one that failed have read the batch.
      for (item, start) in zip(items, starts) { try item.engine.truncate(to: start) }
      if let failed { throw ItemFailure(index: failed, underlying: error) }
      throw error
    }
  }

  /// The items that devices attend to. A token alone is attended to as generated ones are.
  private static func deviceParts(_ items: [Item]) -> [DevicePart] {
    var row = 0
    return items.compactMap { item in
      let rows = row..<row + item.tokens.count
      row = rows.upperBound
      guard let prompt = item.prompt, rows.count > 1, prompt.owner == ObjectIdentifier(item.engine) else {
        return nil
      }
      return DevicePart(work: prompt, rows: rows, stored: item.engine)
    }
  }

  /// Memory of the model's devices for a prompt that they are to attend to, kept until the object goes; nil where the
  /// CPU attends, as for short prompts and where devices have no room. Give it to all items of the prompt; with another
  /// engine it is of no effect.
  ///
  /// - Parameters:
  ///   - tokenCount: tokens that are still to be read.
  ///   - end: how many tokens the context has then.
  public func devicePrompt(
    of tokenCount: Int, endingAt end: Int, engine: AttentionEngine
  ) throws -> DevicePrompt? {
    try host.devicePrompt(of: tokenCount, endingAt: end, engine: engine)
  }

  /// Moves rows that left a context's window into its index.
  ///
  /// - Parameters:
  ///   - finishing: the prompt is complete: also the last, partly filled segment.
  ///   - end: how many tokens the prompt has.
  public func updateIndex(of engine: AttentionEngine, finishing: Bool, promptEnd end: Int) {
    engine.updateIndex(
      finishing: finishing, askPosition: end + GuestRunner.askDistance, parallel: host.parallel)
  }
}

extension BatchRunner {
  /// The same in parts, until `pauses` says that it is enough for now; nothing may be evaluated with this context
  /// before the last part.
  ///
  /// - Returns: whether all is done.
  package func updateIndex(
    of engine: AttentionEngine, finishing: Bool, promptEnd end: Int, pauses: () -> Bool
  ) -> Bool {
    engine.updateIndex(
      finishing: finishing, askPosition: end + GuestRunner.askDistance, parallel: host.parallel,
      pauses: pauses)
  }
}

/// Hands each context the rows of the batch that are its own.
private final class BatchGuest: AttentionGuest {
  private var items: [BatchRunner.Item] = []
  private(set) var failedItem: Int?

  func begin(_ items: [BatchRunner.Item]) {
    self.items = items
    failedItem = nil
  }

  /// Contexts must not live longer because they were in a batch.
  func end() { items = [] }

  /// Throws when a file of one of the contexts became shorter.
  func checkFiles() throws {
    for (index, item) in items.enumerated() {
      do {
        try item.engine.checkFiles()
      } catch {
        failedItem = index
        throw error
      }
    }
  }

  func attend(_ call: AttentionCall, sequence: Int, parallel: ParallelRunner) throws {
    let item = items[sequence]
    do {
      var options = CallOptions()
      options.attendedPromptEnd = item.prompt?.end
      try item.engine.attend(call, options: options, parallel: parallel)
    } catch {
      failedItem = sequence
      throw error
    }
  }
}

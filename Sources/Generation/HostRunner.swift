// Generation with the host's own attention: the baseline, and the way out for models that cannot be taken over.

public import LlamaHost
public import RetrievalAttention

/// Runs a model with llama.cpp's attention and key/value cache.
public final class HostRunner: SequenceRunner {
  public let model: LlamaModel
  let pool: ThreadPool
  /// The tokens read so far.
  public private(set) var tokens: [Int32] = []
  private let context: HostContext
  private let batchCapacity: Int
  /// Drafts that were read last.
  private var draftCount = 0

  /// - Parameters:
  ///   - flashAttention: off is the fastest configuration of llama.cpp on CPUs at depth.
  ///   - keepsWholeCache: sliding-window layers keep all keys too; off is faster for models that have such layers,
  ///     and ``truncate(to:)`` can then take back no more than a batch.
  ///   - allowsFilling: ``fill(to:)`` is possible.
  public init(
    model: LlamaModel, pool: ThreadPool, contextLength: Int, batchCapacity: Int = 512,
    outputCapacity: Int = 1,
    flashAttention: Bool = false, keepsWholeCache: Bool = true, allowsFilling: Bool = false
  ) throws {
    guard contextLength > 0 else {
      throw GenerationError.invalidCount(
        name: "context length", value: contextLength, requirement: "positive")
    }
    self.model = model
    self.pool = pool
    self.batchCapacity = batchCapacity
    context = try HostContext(
      model: model, pool: pool, contextLength: contextLength, batchCapacity: batchCapacity,
      outputCapacity: outputCapacity, flashAttention: flashAttention, keepsWholeCache: keepsWholeCache,
      allowsFilling: allowsFilling)
  }

  /// Most tokens of a context that the model's positions are for and that fits in some memory, all of which the host
  /// takes at once.
  ///
  /// - Parameter bytes: of keys and values.
  public static func contextLength(of model: LlamaModel, bytes: Int) -> Int {
    let limit = model.contextLimit
    let wanted = min(limit > 0 ? limit : 4096, model.file.learnedPositionCount ?? .max)
    let perToken = HostContext.bytesPerToken(model.description)
    return perToken > 0 ? max(1, min(wanted, bytes / perToken)) : wanted
  }

  public var tokenCount: Int { context.length }
  /// Tokens that it has room for.
  public var capacity: Int { context.contextLength }

  /// Asked while a batch is computed, besides whether the task is cancelled; true ends it with `CancellationError`.
  package var isCancelled: (() -> Bool)? {
    get { context.isCancelled }
    set { context.isCancelled = newValue }
  }

  public var attentionName: String { "host" }
  public var reads: ReadStatistics? { nil }
  public var indexSeconds: Double { 0 }

  public var memory: MemoryUse {
    var use = MemoryUse()
    use.resident = SystemMemory.residentBytes
    return use
  }

  public func prefill(_ tokens: [Int32], progress: ((Int) -> Void)?) throws -> Logits {
    guard !tokens.isEmpty else { throw GenerationError.emptyPrompt }
    let length = context.contextLength
    guard tokens.count <= length - tokenCount else {
      throw LlamaError.contextFull(needed: tokenCount + tokens.count, contextLength: length)
    }
    var done = 0
    progress?(0)
    while true {
      let batch = tokens[done..<min(tokens.count, done + batchCapacity)]
      let isLast = batch.endIndex == tokens.count
      let logits = try evaluate(batch, outputs: isLast ? .last : .none)
      done = batch.endIndex
      progress?(done)
      if isLast {
        context.keepStates()
        return logits
      }
    }
  }

  public func decode(_ token: Int32) throws -> Logits {
    try evaluate([token], outputs: .last)
  }

  public var draftCapacity: Int {
    // States of recurrent layers are not kept by the host.
    guard !context.hasStates else { return 0 }
    return max(0, min(AttentionEngine.maximumDrafts, context.outputCapacity - 1, capacity - tokenCount - 1))
  }

  public func decode(_ token: Int32, drafts: [Int32]) throws -> Logits {
    try checkDrafts(drafts.count)
    let logits = try evaluate([token] + drafts, outputs: .all)
    draftCount = drafts.count
    return logits
  }

  public func keepDrafts(_ count: Int) throws {
    guard (0...draftCount).contains(count) else {
      throw GenerationError.invalidCount(
        name: "drafts to keep", value: count, requirement: "in 0...\(draftCount)")
    }
    let dropped = draftCount - count
    draftCount = 0
    if dropped > 0 { try truncate(to: tokenCount - dropped) }
  }

  private func evaluate(_ batch: ArraySlice<Int32>, outputs: Outputs) throws -> Logits {
    let start = tokenCount
    defer { tokens += batch.prefix(tokenCount - start) }
    return try context.evaluate(batch, startPosition: start, outputs: outputs)
  }

  /// Drops tokens from `position` on.
  public func truncate(to position: Int) throws {
    try context.truncate(to: position)
    tokens.removeSubrange(context.length...)
  }

  public func keepPrefix(of prompt: [Int32]) throws -> Int {
    let limit = min(tokens.count, max(0, prompt.count - 1))
    let common = (0..<limit).first { tokens[$0] != prompt[$0] } ?? limit
    // States of recurrent layers, and windows that have passed the place, are not kept by the host.
    for place in [common, context.keptPosition ?? 0] where place <= common {
      do {
        try truncate(to: place)
        return tokenCount
      } catch LlamaError.cannotTruncate {}
    }
    try truncate(to: 0)
    return 0
  }

  /// Grows the context to `position` tokens without computing anything, for benchmarks.
  ///
  /// See ``LlamaHost/HostContext/fill(to:)``.
  public func fill(to position: Int) throws {
    try context.fill(to: position)
    context.keepStates()
    // Nobody asks what these are.
    tokens += Array(repeating: tokens.first ?? 0, count: context.length - tokens.count)
  }
}

// Generation with the host's own attention: the baseline, and the way out for models that cannot be taken over.

public import LlamaHost
public import RetrievalAttention

/// Runs a model with llama.cpp's attention and key/value cache.
public final class HostRunner: SequenceRunner {
  public let model: LlamaModel
  private let context: HostContext
  private let batchCapacity: Int

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
    self.batchCapacity = batchCapacity
    context = try HostContext(
      model: model, pool: pool, contextLength: contextLength, batchCapacity: batchCapacity,
      outputCapacity: outputCapacity, flashAttention: flashAttention, keepsWholeCache: keepsWholeCache,
      allowsFilling: allowsFilling)
  }

  public var tokenCount: Int { context.length }
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
      let logits = try context.evaluate(batch, startPosition: tokenCount, outputs: isLast ? .last : .none)
      done = batch.endIndex
      progress?(done)
      if isLast { return logits }
    }
  }

  public func decode(_ token: Int32) throws -> Logits {
    try context.evaluate([token][...], startPosition: tokenCount, outputs: .last)
  }

  /// Drops tokens from `position` on.
  public func truncate(to position: Int) throws {
    try context.truncate(to: position)
  }

  /// Grows the context to `position` tokens without computing anything, for benchmarks.
  ///
  /// See ``LlamaHost/HostContext/fill(to:)``.
  public func fill(to position: Int) throws {
    try context.fill(to: position)
  }
}

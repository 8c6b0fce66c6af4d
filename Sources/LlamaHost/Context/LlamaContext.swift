// Evaluating tokens: what contexts with the guest's attention and with the host's own have in common.

import CLlama

/// A place to evaluate tokens with a model: a ``GuestContext`` for use, a ``HostContext`` for comparison.
///
///     let context = try GuestContext(model: model, pool: pool, guest: guest)
///     let logits = try context.evaluate(tokens, startPosition: 0)
///
/// Not for use by two threads at once; contexts that share a pool take turns.
public class LlamaContext {
  public let model: LlamaModel
  public let pool: ThreadPool
  /// Tokens that the host evaluates at once.
  public let batchCapacity: Int
  /// Tokens of a batch that can have logits.
  public let outputCapacity: Int
  /// Positions of models that have learned a table of them.
  private let learnedPositionCount: Int?
  /// Tokens for which the model's short RoPE factors are good, where they are in use and the host would not change
  /// them.
  private let shortRopeLimit: Int?

  /// Asked before every layer, besides `Task.isCancelled`; true makes `evaluate` throw `CancellationError`.
  public var isCancelled: (() -> Bool)?

  let handle: ContextHandle
  let batch: TokenBatch

  /// Positions that fit into the host's 32-bit numbers, with room for one batch more.
  static let positionRange = 0...Int(Int32.max) - (1 << 20)
  static let batchRange = 1...65_536

  init(
    model: LlamaModel, pool: ThreadPool, batchCapacity: Int, outputCapacity: Int, handle: ContextHandle,
    shortRopeLimit: Int?
  ) {
    self.model = model
    self.pool = pool
    self.batchCapacity = batchCapacity
    self.outputCapacity = outputCapacity
    self.handle = handle
    self.shortRopeLimit = shortRopeLimit
    learnedPositionCount = model.file.learnedPositionCount
    batch = TokenBatch(capacity: batchCapacity)
  }

  /// How often the host could use its graph again. Only for diagnosis.
  public var graphReuseCount: Int { unsafe Int(llama_perf_context(handle.pointer).n_reused) }

  static func check(_ name: String, _ value: Int, _ allowed: ClosedRange<Int>) throws {
    guard allowed.contains(value) else {
      throw LlamaError.capacityOutOfRange(name: name, value: value, allowed: allowed)
    }
  }

  /// Evaluates tokens at consecutive positions: as many as the kind of context takes, and from where it says.
  ///
  /// - Returns: Logits that are valid until the next call.
  /// - Throws: What the guest threw; `CancellationError`; ``LlamaError`` for arguments out of range or a
  ///   failure of the host. The context can be used again at once.
  @discardableResult
  public final func evaluate(
    _ tokens: some Collection<Int32>, startPosition: Int, outputs: Outputs = .last
  ) throws -> Logits {
    let tokens = ArraySlice(tokens)
    let outputCount = try check(tokens, startPosition: startPosition, outputs: outputs)
    try checkOutputs(outputCount)
    try compute(tokens, startPosition: startPosition, outputCount: outputCount)
    return logits(outputCount)
  }

  /// Computes tokens that have been checked. Each kind of context says how; one that does not is a bug here, and traps.
  func compute(_ tokens: ArraySlice<Int32>, startPosition: Int, outputCount: Int) throws {
    preconditionFailure("a context is of the guest or of the host")
  }

  /// The logits of the last batch.
  final func logits(_ count: Int) -> Logits {
    unsafe Logits(
      start: count > 0 ? llama_get_logits(handle.pointer) : nil, rowCount: count,
      vocabularySize: model.tokenizer.vocabularySize)
  }

  final func checkOutputs(_ count: Int) throws {
    guard count <= outputCapacity else {
      throw LlamaError.tooManyOutputs(outputCount: count, capacity: outputCapacity)
    }
  }

  /// Refuses tokens that the host cannot evaluate; returns how many of them need logits.
  final func check(_ tokens: ArraySlice<Int32>, startPosition: Int, outputs: Outputs) throws -> Int {
    guard !tokens.isEmpty else { throw LlamaError.emptyBatch }
    let size = model.tokenizer.vocabularySize
    for (index, token) in tokens.enumerated() where token < 0 || Int(token) >= size {
      throw LlamaError.tokenOutOfRange(token: token, index: index, vocabularySize: size)
    }
    guard Self.positionRange.contains(startPosition),
      tokens.count <= Self.positionRange.upperBound - startPosition
    else {
      throw LlamaError.positionOutOfRange(
        start: startPosition, tokenCount: tokens.count, allowed: Self.positionRange)
    }
    let end = startPosition + tokens.count
    if let learnedPositionCount, end > learnedPositionCount {
      throw LlamaError.beyondLearnedPositions(position: end - 1, count: learnedPositionCount)
    }
    if let shortRopeLimit, end > shortRopeLimit {
      throw LlamaError.beyondShortRopeFactors(position: end - 1, original: shortRopeLimit)
    }
    return outputs.count(of: tokens.count)
  }
}

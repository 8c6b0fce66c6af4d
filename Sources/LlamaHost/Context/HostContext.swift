// A context with the host's own attention.

import CLlama
import Platform

/// llama.cpp as it is, for comparison.
///
///     let context = try HostContext(model: model, pool: pool, contextLength: 8192)
///
/// An evaluation takes any number of tokens that fits, in batches, from ``length`` on; with logits for all they must
/// fit in one batch. After an error ``length`` tells how many tokens were kept, always whole batches.
public final class HostContext: LlamaContext {
  /// Positions that it holds.
  public let contextLength: Int
  /// Positions evaluated and kept.
  public private(set) var length = 0
  let fillObserver: FillObserver?
  private let abortMonitor: AbortMonitor
  /// Whether there are states of recurrent layers, which cannot be cut: copies go to sequences of their own.
  package let hasStates: Bool
  /// Where ``keepStates()`` was called last.
  public private(set) var keptPosition: Int?
  /// The sequences of the states as they were before a batch, and where they are kept.
  private static let (backup, kept) = (Int32(1), Int32(2))

  /// An ordinary llama.cpp context with a half-precision cache.
  ///
  /// - Parameters:
  ///   - contextLength: Positions to keep; all memory is taken at once.
  ///   - flashAttention: Off is the host's fastest on most CPUs at depth, hence the baseline.
  ///   - keepsWholeCache: Sliding-window layers keep all keys too. Off is faster for models that have such layers,
  ///     and leaves room to truncate by no more than a batch.
  ///   - allowsFilling: ``fill(to:)`` is possible.
  public init(
    model: LlamaModel, pool: ThreadPool, contextLength: Int, batchCapacity: Int = 512,
    outputCapacity: Int? = nil, flashAttention: Bool = false, keepsWholeCache: Bool = true,
    allowsFilling: Bool = false
  ) throws {
    try Self.check("batch capacity", batchCapacity, Self.batchRange)
    try Self.check("context length", contextLength, 1...Self.positionRange.upperBound)
    if let reason = TakeoverProbe.reasonAgainstGeneration(model) { throw LlamaError.notGenerative(reason) }
    // The host never takes a batch longer than the context.
    let batchCapacity = min(batchCapacity, contextLength)
    let outputCapacity = min(outputCapacity ?? batchCapacity, batchCapacity)
    try Self.check("output capacity", outputCapacity, 1...batchCapacity)
    try Self.checkMemory(model.description, contextLength: contextLength, batchCapacity: batchCapacity)
    let (monitor, filler) = (AbortMonitor(), allowsFilling ? FillObserver() : nil)
    hasStates = TakeoverProbe.keepsStates(model)
    let sequenceCount: UInt32 = hasStates ? 3 : 1
    let handle = try unsafe ContextHandle(
      model: model, pool: pool, contextLength: contextLength, batchCapacity: batchCapacity,
      outputCapacity: outputCapacity, observer: filler
    ) { parameters in
      unsafe parameters.swa_full = keepsWholeCache
      unsafe parameters.n_seq_max = sequenceCount
      unsafe parameters.n_outputs_max = unsafe max(parameters.n_outputs_max, sequenceCount)
      unsafe parameters.flash_attn_type =
        flashAttention ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED
      unsafe monitor.install(in: &parameters)
    }
    self.contextLength = contextLength
    (abortMonitor, fillObserver) = (monitor, filler)
    super.init(
      model: model, pool: pool, batchCapacity: batchCapacity, outputCapacity: outputCapacity, handle: handle,
      shortRopeLimit: nil)
  }

  override func compute(_ tokens: ArraySlice<Int32>, startPosition: Int, outputCount: Int) throws {
    guard startPosition == length else {
      throw LlamaError.positionNotNext(start: startPosition, length: length)
    }
    guard length + tokens.count <= contextLength else {
      throw LlamaError.contextFull(needed: length + tokens.count, contextLength: contextLength)
    }
    // Outputs of one call must come from one batch, since the host forgets those of the batch before.
    guard outputCount <= 1 || tokens.count <= batchCapacity else {
      throw LlamaError.batchTooLong(tokenCount: tokens.count, capacity: batchCapacity)
    }
    abortMonitor.begin(isCancelled)
    let mark = HostLog.mark()
    var done = 0
    while done < tokens.count {
      let count = min(batchCapacity, tokens.count - done)
      let isLast = done + count == tokens.count
      batch.fill(
        tokens.dropFirst(done).prefix(count), startPosition: length, outputCount: isLast ? outputCount : 0)
      copyStates(from: 0, to: Self.backup)
      let code = unsafe llama_decode(handle.pointer, batch.batch)
      guard code == 0 else {
        // Whatever part of the batch was stored: it is not kept.
        copyStates(from: Self.backup, to: 0)
        _ = unsafe llama_memory_seq_rm(handle.memory, 0, Int32(length), -1)
        if abortMonitor.wasCancelled { throw CancellationError() }
        throw LlamaError.decodeFailed(code: Int(code), log: HostLog.lines(since: mark))
      }
      length += count
      done += count
    }
  }

  /// An empty range copies recurrent states alone; what is computed next writes its own to other cells.
  private func copyStates(from source: Int32, to target: Int32) {
    if hasStates { unsafe llama_memory_seq_cp(handle.memory, source, target, 0, 0) }
  }

  /// Keeps the states of recurrent layers as they are, so that ``truncate(to:)`` can come back here, and not to where
  /// this was called before. Costs nothing; models without such layers go back to any place.
  public func keepStates() {
    guard hasStates, length > 0 else { return }
    copyStates(from: 0, to: Self.kept)
    keptPosition = length
  }

  /// Forgets everything from `position` on, so that the next evaluation continues there.
  ///
  /// Cost: independent of what is kept, so benchmarks can decode at many depths after one prefill.
  ///
  /// - Throws: ``LlamaError/cannotTruncate(position:length:)`` for a position beyond the end, or where the
  ///   host's memory cannot be cut: with recurrent layers anywhere but at 0 and where ``keepStates()`` was called.
  public func truncate(to position: Int) throws {
    guard (0...length).contains(position) else {
      throw LlamaError.cannotTruncate(position: position, length: length)
    }
    guard position < length else { return }
    if position == keptPosition { copyStates(from: Self.kept, to: 0) }
    guard unsafe llama_memory_seq_rm(handle.memory, 0, Int32(position), -1) else {
      throw LlamaError.cannotTruncate(position: position, length: length)
    }
    length = position
    if let kept = keptPosition, kept > position { keptPosition = nil }
  }

  /// Bytes of keys and values that a position of such a context takes.
  public static func bytesPerToken(_ model: ModelDescription) -> Int {
    2 * model.kvHeadCounts.reduce(0, +) * (model.keyHeadDimension + model.valueHeadDimension)
  }

  /// Refuses a cache larger than the memory: the system would promise it and then end the process.
  private static func checkMemory(_ model: ModelDescription, contextLength: Int, batchCapacity: Int) throws {
    let (bytes, overflow) = bytesPerToken(model).multipliedReportingOverflow(by: contextLength)
    let limit = PhysicalMemory.byteCount
    guard overflow || bytes > limit else { return }
    throw LlamaError.contextNotCreated(
      contextLength: contextLength, batchCapacity: batchCapacity,
      log: ["keys and values need \(overflow ? "more than 2^63" : "\(bytes)") of \(limit) bytes of memory"])
  }
}

/// Lets the host stop in the middle of a graph.
final class AbortMonitor {
  var isCancelled: (() -> Bool)?
  private(set) var wasCancelled = false

  func begin(_ isCancelled: (() -> Bool)?) {
    self.isCancelled = isCancelled
    wasCancelled = false
  }

  /// Asked before every node by the thread that evaluates, so the current task is the caller's.
  func install(in parameters: inout llama_context_params) {
    unsafe parameters.abort_callback = { state in
      guard let state = unsafe state else { return false }
      return unsafe Unmanaged<AbortMonitor>.fromOpaque(state)._withUnsafeGuaranteedRef { monitor in
        if Task.isCancelled || monitor.isCancelled?() == true { monitor.wasCancelled = true }
        return monitor.wasCancelled
      }
    }
    unsafe parameters.abort_callback_data = unsafe Unmanaged.passUnretained(self).toOpaque()
  }
}

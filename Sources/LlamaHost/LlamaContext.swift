// Evaluating tokens, with the guest's attention or with the host's own.

import CLlama
import Platform

/// A place to evaluate tokens with a model.
///
/// Guest mode, for use: the host runs everything but attention and keeps nothing between batches.
///
///     let context = try LlamaContext(model: model, pool: pool, guest: guest)
///     let logits = try context.evaluate(tokens, startPosition: 0)
///
/// Host mode, for comparison: llama.cpp as it is.
///
///     let context = try LlamaContext(model: model, pool: pool, contextLength: 8192)
///
/// Not for use by two threads at once; contexts that share a pool take turns.
public final class LlamaContext {
  public let model: LlamaModel
  public let pool: ThreadPool
  /// Tokens that the host evaluates at once.
  public let batchCapacity: Int
  /// Tokens of a batch that can have logits.
  public let outputCapacity: Int
  /// Sequences that one batch can have, in guest mode.
  public let sequenceCapacity: Int
  /// Positions a host-mode context holds; nil in guest mode, where it is the guest's affair.
  public let contextLength: Int?
  /// Positions of models that have learned a table of them.
  let learnedPositionCount: Int?
  /// Tokens for which the model's short RoPE factors are good, where they are in use and the host would not change
  /// them.
  let shortRopeLimit: Int?
  /// What the probe found, in guest mode.
  public let takeover: TakeoverReport?

  /// Who attends; may be replaced between evaluations, to change the session. Nil in host mode.
  public var guest: (any AttentionGuest)? {
    get { guestObserver?.guest }
    set { guestObserver?.guest = newValue }
  }

  /// Asked before every layer, besides `Task.isCancelled`; true makes `evaluate` throw `CancellationError`.
  public var isCancelled: (() -> Bool)?

  /// Guest mode: what the model's devices hold for this context, weights included; measured when it was made.
  public internal(set) var deviceMemory: [DeviceMemoryUse] = []
  /// Guest mode: the devices of layers that are not on the CPU, by layer.
  var layerDevices: [Int: ggml_backend_dev_t] = [:]

  /// Guest mode: what prompts and windows hold on devices, besides ``deviceMemory``.
  let holdings = DeviceHoldings()

  /// Guest mode: whether attention nodes of any layer are on a device.
  package var hasDeviceLayers: Bool { !layerDevices.isEmpty }

  /// Guest mode: what devices are to do in the next evaluations, in the order of the batch.
  package var deviceParts: [DevicePart] {
    get { guestObserver?.deviceParts ?? [] }
    set { guestObserver?.deviceParts = newValue }
  }

  /// Host mode: positions evaluated and kept. Guest mode: 0, the host keeps nothing.
  public internal(set) var length = 0

  let handle: ContextHandle
  let guestObserver: GuestObserver?
  let fillObserver: FillObserver?
  let batch: TokenBatch
  let abortMonitor = AbortMonitor()

  /// Positions that fit into the host's 32-bit numbers, with room for one batch more.
  static let positionRange = 0...Int(Int32.max) - (1 << 20)
  static let batchRange = 1...65_536
  /// The host's own limit, LLAMA_MAX_SEQ.
  static let sequenceRange = 1...256

  /// A context whose attention is computed by `guest`.
  ///
  /// - Parameters:
  ///   - batchCapacity: Most tokens of one `evaluate`. The host's memory grows with it: caches for one batch
  ///     and
  ///     intermediate results.
  ///   - outputCapacity: Most tokens of one batch with logits, all of them when nil. Each takes 4 bytes for
  ///     every
  ///     token of the vocabulary, twice.
  ///   - sequenceCapacity: Most sequences of one batch, see ``evaluate(_:)``.
  ///   - takeover: The result of an earlier probe of this model; probed now when nil.
  /// - Throws: ``LlamaError/takeoverUnsupported(_:)`` with all reasons, or when there is not enough memory, on a device
  ///   ``LlamaError/deviceMemoryExceeded(device:weights:cache:compute:limit:)``.
  public convenience init(
    model: LlamaModel, pool: ThreadPool, batchCapacity: Int = 512, outputCapacity: Int? = nil,
    sequenceCapacity: Int = 1, takeover: TakeoverReport? = nil, guest: any AttentionGuest
  ) throws {
    try self.init(
      model: model, pool: pool, batchCapacity: batchCapacity, outputCapacity: outputCapacity,
      sequenceCapacity: sequenceCapacity, takeover: takeover, guest: guest, keepsHostAttention: false)
  }

  init(
    model: LlamaModel, pool: ThreadPool, batchCapacity: Int, outputCapacity: Int?, sequenceCapacity: Int = 1,
    takeover: TakeoverReport?, guest: any AttentionGuest, keepsHostAttention: Bool
  ) throws {
    try Self.check("sequence capacity", sequenceCapacity, Self.sequenceRange)
    try Self.check("batch capacity", batchCapacity, Self.batchRange)
    let outputCapacity = outputCapacity ?? batchCapacity
    try Self.check("output capacity", outputCapacity, 1...batchCapacity)
    let report = try takeover ?? TakeoverReport(probing: model, pool: pool)
    guard report.isSupported else { throw LlamaError.takeoverUnsupported(report.reasons) }
    let observer = GuestObserver(pool: pool, layers: report.layers, keepsHostAttention: keepsHostAttention)
    observer.guest = guest
    // As many cells as a batch has tokens: the cache is only the way from the host to us.
    handle = try ContextHandle(
      model: model, pool: pool, contextLength: batchCapacity, batchCapacity: batchCapacity,
      outputCapacity: outputCapacity, observer: observer
    ) {
      $0.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED
      // As in the probe: for one sequence alone, some models of the host attend in a way of their own.
      $0.n_seq_max = UInt32(max(2, sequenceCapacity))
      // The host makes room for a row of logits for each sequence.
      $0.n_outputs_max = max($0.n_outputs_max, $0.n_seq_max)
    }
    learnedPositionCount = model.file.learnedPositionCount
    shortRopeLimit = model.ropeFactors == .short ? model.file.originalContextLength : nil
    self.sequenceCapacity = sequenceCapacity
    self.model = model
    self.pool = pool
    self.batchCapacity = batchCapacity
    self.outputCapacity = outputCapacity
    contextLength = nil
    self.takeover = report
    guestObserver = observer
    fillObserver = nil
    batch = TokenBatch(capacity: batchCapacity)
    try surveyDevices()
    try checkDeviceMemory()
  }

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
    let monitor = abortMonitor
    fillObserver = allowsFilling ? FillObserver() : nil
    handle = try ContextHandle(
      model: model, pool: pool, contextLength: contextLength, batchCapacity: batchCapacity,
      outputCapacity: outputCapacity, observer: fillObserver
    ) { parameters in
      parameters.swa_full = keepsWholeCache
      parameters.flash_attn_type =
        flashAttention ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED
      monitor.install(in: &parameters)
    }
    learnedPositionCount = model.file.learnedPositionCount
    shortRopeLimit = nil
    self.model = model
    self.pool = pool
    self.batchCapacity = batchCapacity
    self.outputCapacity = outputCapacity
    self.contextLength = contextLength
    sequenceCapacity = 1
    takeover = nil
    guestObserver = nil
    batch = TokenBatch(capacity: batchCapacity)
  }

  /// How often the host could use its graph again. Only for diagnosis.
  public var graphReuseCount: Int { Int(llama_perf_context(handle.pointer).n_reused) }

  static func check(_ name: String, _ value: Int, _ allowed: ClosedRange<Int>) throws {
    guard allowed.contains(value) else {
      throw LlamaError.capacityOutOfRange(name: name, value: value, allowed: allowed)
    }
  }

  /// Refuses a cache larger than the memory: the system would promise it and then end the process.
  private static func checkMemory(_ model: ModelDescription, contextLength: Int, batchCapacity: Int) throws {
    let widths = model.kvHeadCounts.map { $0 * (model.keyHeadDimension + model.valueHeadDimension) }
    let (bytes, overflow) = widths.reduce(0, +).multipliedReportingOverflow(by: 2 * contextLength)
    let limit = PhysicalMemory.byteCount
    guard overflow || bytes > limit else { return }
    throw LlamaError.contextNotCreated(
      contextLength: contextLength, batchCapacity: batchCapacity,
      log: ["keys and values need \(overflow ? "more than 2^63" : "\(bytes)") of \(limit) bytes of memory"])
  }
}

/// Lets the host stop in the middle of a graph, in host mode.
final class AbortMonitor {
  var isCancelled: (() -> Bool)?
  private(set) var wasCancelled = false

  func begin(_ isCancelled: (() -> Bool)?) {
    self.isCancelled = isCancelled
    wasCancelled = false
  }

  /// Asked before every node by the thread that evaluates, so the current task is the caller's.
  func install(in parameters: inout llama_context_params) {
    parameters.abort_callback = { state in
      guard let state else { return false }
      return Unmanaged<AbortMonitor>.fromOpaque(state)._withUnsafeGuaranteedRef { monitor in
        if Task.isCancelled || monitor.isCancelled?() == true { monitor.wasCancelled = true }
        return monitor.wasCancelled
      }
    }
    parameters.abort_callback_data = Unmanaged.passUnretained(self).toOpaque()
  }
}

// A context whose attention is a guest's.

import CLlama

/// The host runs everything but attention and keeps nothing between batches.
///
///     let context = try GuestContext(model: model, pool: pool, guest: guest)
///     let logits = try context.evaluate(tokens, startPosition: 0)
///
/// A batch has 1 to ``LlamaContext/batchCapacity`` tokens at any position: what comes before is the guest's knowledge.
/// After an error the guest may have seen some layers of the batch.
@safe public final class GuestContext: LlamaContext {
  /// Sequences that one batch can have.
  public let sequenceCapacity: Int
  /// What the probe found.
  public let takeover: TakeoverReport
  /// Who attends; may be replaced between evaluations, to change the session. Without one an evaluation throws
  /// ``LlamaError/unexpectedAttention(detail:)``.
  public var guest: (any AttentionGuest)? { didSet { observer.guest = guest } }
  /// What the model's devices hold for this context, weights included; measured when it was made.
  public internal(set) var deviceMemory: [DeviceMemoryUse] = []

  /// The devices of layers that are not on the CPU, by layer.
  var layerDevices: [Int: ggml_backend_dev_t] = unsafe [:]
  /// What prompts and windows hold on devices, besides ``deviceMemory``.
  let holdings = DeviceHoldings()
  let observer: GuestObserver
  /// Where states of recurrent layers lie; nil for models without such layers.
  let recurrentSlots: RecurrentSlots?
  /// The states of the one sequence of `evaluate(_:startPosition:outputs:)`.
  private let ownState = RecurrentState()
  /// Logits of a batch that was evaluated in several.
  let collectedLogits = CollectedLogits()

  /// Whether the model has recurrent layers, whose states evaluations go on from.
  public var hasRecurrentLayers: Bool { recurrentSlots != nil }

  /// Whether attention nodes of any layer are on a device.
  package var hasDeviceLayers: Bool { unsafe !layerDevices.isEmpty }

  /// What devices are to do in the next evaluations, in the order of the batch.
  package var deviceParts: [DevicePart] {
    get { observer.deviceParts }
    set { observer.deviceParts = newValue }
  }

  /// The host's own limit, LLAMA_MAX_SEQ.
  private static let sequenceRange = 1...256
  /// The same where states of recurrent layers take a second sequence each.
  private static let hybridSequenceRange = 1...127

  /// A context whose attention is computed by `guest`.
  ///
  /// - Parameters:
  ///   - batchCapacity: Most tokens of one `evaluate`. The host's memory grows with it: caches for one batch and
  ///     intermediate results.
  ///   - outputCapacity: Most tokens of one batch with logits, all of them when nil. Each takes 4 bytes for every token
  ///     of the vocabulary, twice.
  ///   - sequenceCapacity: Most sequences of one batch, see ``evaluate(_:states:confirm:)``.
  /// - Throws: ``LlamaError/takeoverUnsupported(_:)`` with all reasons, or when there is not enough memory, on a device
  ///   ``LlamaError/deviceMemoryExceeded(device:weights:cache:compute:limit:)``.
  public convenience init(
    model: LlamaModel, pool: ThreadPool, batchCapacity: Int = 512, outputCapacity: Int? = nil,
    sequenceCapacity: Int = 1, guest: (any AttentionGuest)?
  ) throws {
    try self.init(
      model: model, pool: pool, batchCapacity: batchCapacity, outputCapacity: outputCapacity,
      sequenceCapacity: sequenceCapacity, guest: guest, keepsHostAttention: false)
  }

  init(
    model: LlamaModel, pool: ThreadPool, batchCapacity: Int, outputCapacity: Int?, sequenceCapacity: Int = 1,
    guest: (any AttentionGuest)?, keepsHostAttention: Bool
  ) throws {
    try Self.check("sequence capacity", sequenceCapacity, Self.sequenceRange)
    try Self.check("batch capacity", batchCapacity, Self.batchRange)
    let outputCapacity = outputCapacity ?? batchCapacity
    try Self.check("output capacity", outputCapacity, 1...batchCapacity)
    let report = try model.takeover(pool: pool)
    guard report.isSupported else { throw LlamaError.takeoverUnsupported(report.reasons) }
    if report.isHybrid { try Self.check("sequence capacity", sequenceCapacity, Self.hybridSequenceRange) }
    observer = GuestObserver(pool: pool, layers: report.layers, keepsHostAttention: keepsHostAttention)
    observer.guest = guest
    self.guest = guest
    self.sequenceCapacity = sequenceCapacity
    self.takeover = report
    // As many cells as a batch has tokens: the cache is only the way from the host to us.
    let handle = try unsafe ContextHandle(
      model: model, pool: pool, contextLength: batchCapacity, batchCapacity: batchCapacity,
      outputCapacity: outputCapacity, observer: observer
    ) {
      unsafe $0.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED
      // As in the probe: for one sequence alone, some models of the host attend in a way of their own. Recurrent states
      // have a backup each.
      unsafe $0.n_seq_max = UInt32(
        report.isHybrid ? RecurrentSlots.sequenceCount(for: sequenceCapacity) : max(2, sequenceCapacity))
      // The host makes room for a row of logits for each sequence.
      unsafe $0.n_outputs_max = unsafe max($0.n_outputs_max, $0.n_seq_max)
    }
    recurrentSlots = report.isHybrid ? RecurrentSlots(handle: handle, count: sequenceCapacity) : nil
    super.init(
      model: model, pool: pool, batchCapacity: batchCapacity, outputCapacity: outputCapacity, handle: handle,
      shortRopeLimit: model.ropeFactors == .short ? model.file.originalContextLength : nil)
    try surveyDevices()
    try checkDeviceMemory()
  }

  override func compute(_ tokens: ArraySlice<Int32>, startPosition: Int, outputCount: Int) throws {
    guard tokens.count <= batchCapacity else {
      throw LlamaError.batchTooLong(tokenCount: tokens.count, capacity: batchCapacity)
    }
    if startPosition == 0 { ownState.restore(.start) }
    try withStates([ownState], tokenCounts: [tokens.count], startPositions: [startPosition]) { ids in
      batch.fill(tokens, startPosition: startPosition, outputCount: outputCount, sequence: ids[0])
      try computeBatch(sequences: [0..<tokens.count])
    }
  }

  /// Evaluates what is in the batch, whose rows are those of `sequences`.
  ///
  /// - Parameter numbers: of the sequences, for the guest; 0, 1 ... when nil.
  func computeBatch(sequences: [Range<Int>], numbers: [Int]? = nil) throws {
    // The host forgets the last batch, so that this one fills the cells from 0 on.
    if recurrentSlots == nil { unsafe llama_memory_clear(handle.memory, false) }
    observer.isCancelled = isCancelled
    observer.begin(batch, sequences: sequences, numbers: numbers)
    defer { observer.end() }
    let mark = HostLog.mark()
    let code = unsafe llama_decode(handle.pointer, batch.batch)
    // An evaluation that the callback stopped counts as a success for the host, with garbage for logits.
    if let failure = observer.failure { throw failure }
    guard code == 0 else { throw LlamaError.decodeFailed(code: Int(code), log: HostLog.lines(since: mark)) }
    guard observer.attendedLayers == takeover.layers.count else {
      throw LlamaError.unexpectedAttention(
        detail: "\(observer.attendedLayers) layers asked for attention, not \(takeover.layers.count)")
    }
  }

  /// Calls `body` with the host's number of each sequence. States of recurrent layers are in the host then, and the new
  /// ones are kept; after an error the old ones.
  func withStates(
    _ states: [RecurrentState], tokenCounts: [Int], startPositions: [Int], _ body: ([Int32]) throws -> Void
  ) throws {
    guard let recurrentSlots else { return try body(tokenCounts.indices.map { Int32($0) }) }
    for (state, start) in zip(states, startPositions) where state.position != start {
      throw LlamaError.positionNotNext(start: start, length: state.position)
    }
    let ids = try recurrentSlots.admit(states)
    do {
      try body(ids)
    } catch {
      recurrentSlots.rollBack(states)
      throw error
    }
    recurrentSlots.commit(states, tokenCounts: tokenCounts)
  }
}

// Looks at a model's attention from inside the host.

import CLlama

/// Evaluates a few tokens with the host's attention and draws conclusions.
///
/// Sliding windows are found by what the mask hides. The host wants consecutive positions, but a cell may
/// belong to two sequences: one token at position `p` of sequence 0, one at `q - 1` of sequence 1, then the
/// first one's cell is added to sequence 1, and a token at `q` sees a key exactly `q - p` positions back. So
/// windows of any size are tested with three tokens, whatever their kind and whichever layers have them.
struct TakeoverProbe {
  private let model: LlamaModel
  private let pool: ThreadPool
  /// Enough for a probe, and the least that the host makes.
  private static let cellCount = 256
  private static let batchCapacity = 8

  init(model: LlamaModel, pool: ThreadPool) {
    self.model = model
    self.pool = pool
  }

  func report() throws -> TakeoverReport {
    try Task.checkCancellation()
    var reasons = metadataReasons()
    // Evaluating what is known not to work may end the process in one of the host's assertions.
    guard reasons.isEmpty else { return TakeoverReport(reasons: reasons, warnings: [], layers: []) }
    let observer = ProbeObserver()
    do {
      let context = try ContextHandle(
        model: model, pool: pool, contextLength: Self.cellCount, batchCapacity: Self.batchCapacity,
        outputCapacity: Self.batchCapacity, observer: observer
      ) {
        $0.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED
        $0.n_seq_max = 3
      }
      guard context.memory != nil else {
        return TakeoverReport(reasons: [.noCache], warnings: [], layers: [])
      }
      try decode(context, tokenCount: 3, position: 0, sequence: 0)
      let records = observer.takeRecords()
      if records.isEmpty, observer.storedLayers.isEmpty { reasons.append(.noCache) }
      reasons += nodeReasons(records, observer)
      var windows: [Int: Int] = [:]
      if let size = model.description.slidingWindow {
        let result = try probeWindow(size, context, observer, layers: records.map(\.layer))
        windows = result.windows
        if !result.unknown.isEmpty { reasons.append(.unknownWindow(size: size, layers: result.unknown)) }
      }
      let layers = records.sorted { $0.layer < $1.layer }.map { record in
        TakeoverReport.Layer(
          number: record.layer,
          shape: LayerShape(
            uncheckedHeads: (record.headCount, record.kvHeadCount),
            dimensions: (record.headDimension, record.valueDimension), scale: record.scale,
            slidingWindow: windows[record.layer], rotary: record.rope?.rotary),
          isRotationUnknown: record.rope != nil && record.rope?.layout == nil)
      }
      return TakeoverReport(
        reasons: reasons, warnings: warnings(layers), layers: layers,
        isHybrid: llama_model_is_hybrid(model.handle.pointer))
    } catch let error as LlamaError {
      return TakeoverReport(reasons: reasons + [.probeFailed("\(error)")], warnings: [], layers: [])
    }
  }

  /// Why the host cannot continue texts with a model, not even with its own attention; nil when it can. Trying it would
  /// end the process in one of its assertions.
  static func reasonAgainstGeneration(_ model: LlamaModel) -> TakeoverReason? {
    let pointer = model.handle.pointer
    if !llama_model_has_decoder(pointer) { return .noDecoder }
    if llama_model_has_encoder(pointer) { return .encoderDecoder }
    if llama_model_is_diffusion(pointer) { return .diffusion }
    return nil
  }

  private func metadataReasons() -> [TakeoverReason] {
    let pointer = model.handle.pointer
    var reasons: [TakeoverReason] = []
    if let reason = Self.reasonAgainstGeneration(model) { reasons.append(reason) }
    if llama_model_is_recurrent(pointer) { reasons.append(.recurrent) }
    if model.file.boolean("\(model.description.architecture).attention.causal") == false {
      reasons.append(.notCausal(layers: Array(0..<model.description.layerCount)))
    }
    return reasons
  }

  private func nodeReasons(_ records: [ProbeObserver.Record], _ observer: ProbeObserver) -> [TakeoverReason] {
    var reasons: [TakeoverReason] = []
    func add(_ make: ([Int]) -> TakeoverReason, where condition: (ProbeObserver.Record) -> Bool) {
      let layers = records.filter(condition).map(\.layer)
      if !layers.isEmpty { reasons.append(make(Array(Set(layers)).sorted())) }
    }
    if observer.unknownCacheCount > 0 {
      reasons.append(.unknownCache(nodeCount: observer.unknownCacheCount))
    }
    let counts = Dictionary(records.map { ($0.layer, 1) }, uniquingKeysWith: +)
    let shared = counts.filter { $0.value > 1 }.keys.sorted()
    if !shared.isEmpty { reasons.append(.sharedKeys(layers: shared)) }
    // Other layers have no attention at all, or that of another layer's keys.
    let missing = observer.storedLayers.filter { counts[$0] == nil }.sorted()
    if !missing.isEmpty, observer.unknownCacheCount == 0 {
      reasons.append(.noFlashAttention(layers: missing))
    }
    add({ .alibi(layers: $0) }, where: { $0.alibiBias != 0 })
    for cap in Set(records.map(\.softCap)).sorted() where cap != 0 {
      add({ .logitSoftCap(value: cap, layers: $0) }, where: { $0.softCap == cap })
    }
    add({ .attentionSinks(layers: $0) }, where: { $0.hasSinks })
    for record in records where record.headDimension != record.valueDimension {
      let reason = TakeoverReason.differentWidths(
        key: record.headDimension, value: record.valueDimension,
        layers: records.filter {
          $0.headDimension == record.headDimension && $0.valueDimension == record.valueDimension
        }.map(\.layer))
      if !reasons.contains(reason) { reasons.append(reason) }
    }
    for type in Set(records.flatMap { [$0.keyType, $0.valueType] }).sorted() where type != "f16" {
      add({ .unsupportedType(name: type, layers: $0) }, where: { $0.keyType == type || $0.valueType == type })
    }
    for problem in Set(records.compactMap(\.shapeProblem)).sorted() {
      add({ .unexpectedShape(problem, layers: $0) }, where: { $0.shapeProblem == problem })
    }
    add({ .notCausal(layers: $0) }, where: { !$0.isCausal })
    add({ .unexpectedCacheLayout(layers: $0) }, where: { !$0.isInOrder })
    return reasons
  }

  /// Which layers have the window "query - key < size", and which have one that is neither this nor all keys.
  private func probeWindow(
    _ size: Int, _ context: ContextHandle, _ observer: ProbeObserver, layers: [Int]
  ) throws -> (windows: [Int: Int], unknown: [Int]) {
    // The test needs a token between the two.
    guard size > 2, LlamaContext.positionRange.contains(2 * size) else { return ([:], layers) }
    let beyond = try visibility(key: 0, query: size, context, observer)
    let inside = try visibility(key: 0, query: size - 1, context, observer)
    // Two positions on both sides of a multiple of the size: hidden from each other if the window is a chunk.
    let across = try visibility(key: size - 1, query: size + 1, context, observer)
    var windows: [Int: Int] = [:]
    var unknown: [Int] = []
    for layer in layers {
      switch (beyond[layer], inside[layer], across[layer]) {
      case (true, true, true): break
      case (false, true, true): windows[layer] = size
      default: unknown.append(layer)
      }
    }
    return (windows, unknown)
  }

  /// For each layer, whether a token at position `query` sees the key at position `key`.
  private func visibility(
    key: Int, query: Int, _ context: ContextHandle, _ observer: ProbeObserver
  ) throws -> [Int: Bool] {
    llama_memory_clear(context.memory, false)
    try decode(context, tokenCount: 1, position: key, sequence: 0)
    try decode(context, tokenCount: 1, position: query - 1, sequence: 1)
    // The cell, but not the state of recurrent layers, which must be the one at the position before.
    llama_memory_seq_cp(context.memory, 1, 2, 0, 0)
    llama_memory_seq_cp(context.memory, 0, 1, -1, -1)
    llama_memory_seq_cp(context.memory, 2, 1, 0, 0)
    _ = observer.takeRecords()
    try decode(context, tokenCount: 1, position: query, sequence: 1)
    var result: [Int: Bool] = [:]
    for record in observer.takeRecords() { result[record.layer] = record.seesFirstCell }
    return result
  }

  private func decode(_ context: ContextHandle, tokenCount: Int, position: Int, sequence: Int32) throws {
    let size = model.tokenizer.vocabularySize
    // Any tokens do; BOS is one that every model has met at the start.
    let first = model.tokenizer.bos ?? 0
    let tokens = (0..<tokenCount).map { Int32((Int(first) + $0) % size) }
    let batch = TokenBatch(capacity: tokenCount)
    tokens.withUnsafeBufferPointer {
      batch.fill($0, startPosition: position, outputCount: 1, sequence: sequence)
    }
    let mark = HostLog.mark()
    let code = llama_decode(context.pointer, batch.batch)
    guard code == 0 else { throw LlamaError.decodeFailed(code: Int(code), log: HostLog.lines(since: mark)) }
  }

  private func warnings(_ layers: [TakeoverReport.Layer]) -> [String] {
    var warnings: [String] = []
    let unknown = layers.filter(\.isRotationUnknown).map(\.number)
    if !unknown.isEmpty {
      warnings.append(
        "the RoPE of \(TakeoverReason.list(unknown)) is of an unknown kind, so keys cannot be moved")
    }
    let description = model.description
    if let factors = model.ropeFactors, let original = model.file.originalContextLength {
      warnings.append(
        "the model has two sets of RoPE factors, and the \(factors) ones are in use: the short ones are for contexts of up to "
          + "\(original) tokens, the long ones for longer contexts up to \(description.trainedContextLength)")
    }
    return warnings
  }
}

extension TakeoverReport {
  /// Probes a model. Cost: a context of 256 positions and five tiny batches.
  ///
  /// - Throws: Only when the question cannot be asked, for example in a cancelled task; a model that cannot
  ///   be taken over is an answer.
  public init(probing model: LlamaModel, pool: ThreadPool) throws {
    self = try TakeoverProbe(model: model, pool: pool).report()
  }
}

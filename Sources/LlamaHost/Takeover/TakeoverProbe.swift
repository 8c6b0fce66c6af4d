// Looks at a model's attention from inside the host.

import CLlama
import Platform

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
    let observer = ProbeObserver(layerCount: model.description.layerCount)
    do {
      let context = try unsafe ContextHandle(
        model: model, pool: pool, contextLength: Self.cellCount, batchCapacity: Self.batchCapacity,
        outputCapacity: Self.batchCapacity, observer: observer
      ) {
        unsafe $0.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED
        unsafe $0.n_seq_max = 3
      }
      guard unsafe context.memory != nil else {
        return TakeoverReport(reasons: [.noCache], warnings: [], layers: [])
      }
      try decode(context, tokenCount: 3, position: 0, sequence: 0)
      let records = observer.takeRecords()
      if records.isEmpty, observer.storedLayers.isEmpty { reasons.append(.noCache) }
      reasons += nodeReasons(records, observer)
      var windows: [Int: Window] = [:]
      if let size = model.description.slidingWindow {
        let result = try probeWindow(size, context, observer, layers: records.map(\.layer))
        windows = result.windows
        if !result.unknown.isEmpty { reasons.append(.unknownWindow(size: size, layers: result.unknown)) }
      }
      let layers = records.sorted { $0.layer < $1.layer }.map { record in
        TakeoverReport.Layer(
          number: record.layer, shape: record.shape(window: windows[record.layer]),
          isRotationUnknown: record.rope != nil && record.rope?.layout == nil)
      }
      reasons += Self.sharingReasons(layers)
      return TakeoverReport(
        reasons: reasons, warnings: warnings(layers), layers: layers,
        isHybrid: Self.hasRecurrentStates(model))
    } catch let error as LlamaError {
      return TakeoverReport(reasons: reasons + [.probeFailed("\(error)")], warnings: [], layers: [])
    }
  }

  /// Why the host cannot continue texts with a model, not even with its own attention; nil when it can. Trying it would
  /// end the process in one of its assertions.
  static func reasonAgainstGeneration(_ model: LlamaModel) -> TakeoverReason? {
    let pointer = unsafe model.handle.pointer
    if unsafe !llama_model_has_decoder(pointer) { return .noDecoder }
    if unsafe llama_model_has_encoder(pointer) { return .encoderDecoder }
    if unsafe llama_model_is_diffusion(pointer) { return .diffusion }
    return nil
  }

  /// Whether states of recurrent layers can be copied from sequence to sequence by an empty range of positions.
  static func hasRecurrentStates(_ model: LlamaModel) -> Bool {
    // The memory of this one counts as hybrid for the host, and ends the process in an assertion.
    unsafe llama_model_is_hybrid(model.handle.pointer) && model.description.architecture != "deepseek4"
  }

  /// Whether the host keeps states that cannot be cut, be it beside attention or alone.
  static func keepsStates(_ model: LlamaModel) -> Bool {
    unsafe hasRecurrentStates(model) || llama_model_is_recurrent(model.handle.pointer)
  }

  private func metadataReasons() -> [TakeoverReason] {
    let pointer = unsafe model.handle.pointer
    var reasons: [TakeoverReason] = []
    if let reason = Self.reasonAgainstGeneration(model) { reasons.append(reason) }
    if unsafe llama_model_is_recurrent(pointer) { reasons.append(.recurrent) }
    // No property of the model tells, and the host ends the process at positions beyond its cells.
    if model.description.architecture == "qwen4exp" { reasons.append(.hostChoosesBlocks) }
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
    let unknown = records.filter { $0.layer < 0 }.map(\.cacheLayer)
    if !unknown.isEmpty { reasons.append(.sharedKeys(layers: Array(Set(unknown)).sorted())) }
    // Other layers have no attention at all, or that of another layer's keys.
    let found = Set(records.map(\.layer))
    let missing = observer.storedLayers.filter { !found.contains($0) }.sorted()
    if !missing.isEmpty, unknown.isEmpty, observer.unknownCacheCount == 0 {
      reasons.append(.noFlashAttention(layers: missing))
    }
    for record in records where record.headDimension < record.valueDimension {
      let reason = TakeoverReason.widerValues(
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

  /// Layers whose keys others read that see them otherwise: in the engine they are one.
  private static func sharingReasons(_ layers: [TakeoverReport.Layer]) -> [TakeoverReason] {
    let shapes = Dictionary(layers.map { ($0.number, $0.shape) }) { first, _ in first }
    let owners = layers.compactMap { layer in
      layer.shape.keyLayer.flatMap { shapes[$0]?.sharesKeys(with: layer.shape) == true ? nil : $0 }
    }
    return owners.isEmpty ? [] : [.sharedKeys(layers: Array(Set(owners)).sorted())]
  }

  /// Which layers have the window "query - key < size" or chunks of this size, and which have one that is neither this
  /// nor all keys.
  private func probeWindow(
    _ size: Int, _ context: ContextHandle, _ observer: ProbeObserver, layers: [Int]
  ) throws -> (windows: [Int: Window], unknown: [Int]) {
    // The test needs a token between the two.
    guard size > 2, LlamaContext.positionRange.contains(2 * size) else { return ([:], layers) }
    let beyond = try visibility(key: 0, query: size, context, observer)
    let inside = try visibility(key: 0, query: size - 1, context, observer)
    // Two positions on both sides of a multiple of the size: hidden from each other if the window is a chunk.
    let across = try visibility(key: size - 1, query: size + 1, context, observer)
    var windows: [Int: Window] = [:]
    var unknown: [Int] = []
    for layer in layers {
      switch (beyond[layer], inside[layer], across[layer]) {
      case (true, true, true): break
      case (false, true, true): windows[layer] = Window(size: size, isChunked: false)
      case (false, true, false): windows[layer] = Window(size: size, isChunked: true)
      default: unknown.append(layer)
      }
    }
    return (windows, unknown)
  }

  /// For each layer, whether a token at position `query` sees the key at position `key`.
  private func visibility(
    key: Int, query: Int, _ context: ContextHandle, _ observer: ProbeObserver
  ) throws -> [Int: Bool] {
    unsafe llama_memory_clear(context.memory, false)
    try decode(context, tokenCount: 1, position: key, sequence: 0)
    try decode(context, tokenCount: 1, position: query - 1, sequence: 1)
    // The cell, but not the state of recurrent layers, which must be the one at the position before.
    let hasStates = Self.hasRecurrentStates(model)
    if hasStates { unsafe llama_memory_seq_cp(context.memory, 1, 2, 0, 0) }
    unsafe llama_memory_seq_cp(context.memory, 0, 1, -1, -1)
    if hasStates { unsafe llama_memory_seq_cp(context.memory, 2, 1, 0, 0) }
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
    batch.fill(tokens[...], startPosition: position, outputCount: 1, sequence: sequence)
    let mark = HostLog.mark()
    let code = unsafe llama_decode(context.pointer, batch.batch)
    guard code == 0 else { throw LlamaError.decodeFailed(code: Int(code), log: HostLog.lines(since: mark)) }
  }

  private func warnings(_ layers: [TakeoverReport.Layer]) -> [String] {
    var warnings: [String] = []
    let unknown = layers.filter(\.isRotationUnknown).map(\.number)
    if !unknown.isEmpty {
      warnings.append(
        "the RoPE of \(TakeoverReason.list(unknown)) is of an unknown kind, so keys cannot be moved")
    }
    let bent = layers.filter(\.shape.isBent).map(\.number)
    if !bent.isEmpty {
      warnings.append(
        "scores are \(layers.contains { $0.shape.softCap != nil } ? "capped" : "lowered with distance (ALiBi)") in "
          + "\(TakeoverReason.list(bent)), which attend exactly, whatever the method")
    }
    let description = model.description
    if let count = model.file.integer("\(description.architecture).attention.indexer.top_k"), count > 0 {
      warnings.append(
        "the model's own indexer, which chooses \(count) keys, is left out: layers attend to all keys, or as the method "
          + "of attention says")
    }
    if let factors = model.ropeFactors, let original = model.file.originalContextLength {
      warnings.append(
        "the model has two sets of RoPE factors, and the \(factors) ones are in use: the short ones are for contexts of up to "
          + "\(original) tokens, the long ones for longer contexts up to \(description.trainedContextLength)")
    }
    return warnings
  }
}

/// A window that the masks tell of.
private struct Window {
  var size: Int
  var isChunked: Bool
}

extension ProbeObserver.Record {
  fileprivate func shape(window: Window?) -> LayerShape {
    var shape = LayerShape(
      uncheckedHeads: (headCount, kvHeadCount), dimensions: (headDimension, valueDimension), scale: scale,
      slidingWindow: window?.size, rotary: rope?.rotary)
    shape.isChunked = window?.isChunked ?? false
    shape.sinks = sinks
    shape.softCap = softCap != 0 ? softCap : nil
    shape.distanceSlopes = alibiBias > 0 ? slopes : nil
    shape.valuesAreKeys = valuesAreKeys
    shape.keyLayer = cacheLayer != layer ? cacheLayer : nil
    return shape
  }

  /// As ggml's `soft_max` and `flash_attn_ext` compute them.
  private var slopes: [Float] {
    let power = 1 << (Int.bitWidth - 1 - headCount.leadingZeroBitCount)
    let (first, second) = (exp2(-alibiBias / Float(power)), exp2(-alibiBias / 2 / Float(power)))
    return (0..<headCount).map {
      $0 < power ? pow(first, Float($0 + 1)) : pow(second, Float(2 * ($0 - power) + 1))
    }
  }
}

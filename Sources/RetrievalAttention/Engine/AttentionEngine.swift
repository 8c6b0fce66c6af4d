// Attention for a whole model: one policy object for each KV head of each layer, and the loops that feed them.

import AttentionKernels
import VectorIndex

/// Stores all keys and values of one sequence and computes its attention, layer by layer.
///
/// A host hands each layer's queries, keys and values to ``attend(_:parallel:)`` and gets the attention output
/// back. Batches of several tokens (prefill) attend exactly, but for those of long prompts under retrieval, which
/// choose keys for many tokens together (``RetrievalSettings/prefillTolerance``); single tokens (decode) attend as the
/// policy says.
/// After each batch of all layers, call ``updateIndex(finishing:askPosition:parallel:)``.
///
/// One owner; not thread-safe. Work inside a call is spread with the ``AttentionModel/ParallelRunner`` it is given.
public final class AttentionEngine {
  public let shape: ModelShape
  public let policy: AttentionPolicy
  /// Tokens for which rows are reserved.
  public let capacity: Int
  /// What decode steps have read since the last reset.
  public var statistics = ReadStatistics()
  /// Bytes that keys and values should take in memory, where they are in files: after a fork or in a session.
  ///
  /// When there are more, the rows of the last layers are given back after each use and read from their file at the
  /// next: slower, but a context may be larger than the memory. Has no effect but on Linux; elsewhere the system does
  /// the same when it runs short.
  public var memoryLimit: Int? {
    get { storage.memoryLimit }
    set { storage.memoryLimit = newValue }
  }

  /// How often rows were changed or taken back, other than by adding a step's.
  var rewriteCount = 0
  let heads: [[EngineHead]]  // [layer][KV head], none in layers that attend to another one's
  /// `[layer]`: the layers that attend to the same keys, by rising number.
  let readers: [[Int]]
  var tokenCounts: [Int]  // [layer]
  /// Where the prompt began whose end has not been told; nil while tokens are generated.
  var openPromptStart: Int?
  var storage = StorageState()
  var workspaces: [Workspace] = []
  var decoding = DecodeMemory()
  /// What reading prompts has cost.
  package var promptReads = PromptReads()
  var promptComputed = PromptCounts()
  var tileParts = TileParts()

  /// Reserves address space for `capacity` tokens; memory is used as tokens come.
  ///
  /// Throws ``AttentionError/reservationFailed(bytes:code:)``, or
  /// ``AttentionError/invalidSetting(name:value:requirement:)`` for settings that make no sense.
  public init(shape: ModelShape, policy: AttentionPolicy, capacity: Int) throws(AttentionError) {
    guard capacity > 0, capacity <= Int(UInt32.max) else {
      throw .invalidSetting(name: "capacity", value: "\(capacity)", requirement: "in 1...\(UInt32.max)")
    }
    try policy.settings.validate()
    if let settings = policy.retrieval {
      try Self.checkLayerTolerances(settings, layerCount: shape.layers.count)
    }
    self.shape = shape
    self.policy = policy
    self.capacity = capacity
    var heads: [[EngineHead]] = []
    var readers: [[Int]] = []
    for (number, layer) in shape.layers.enumerated() {
      var layerHeads: [EngineHead] = []
      try layer.map { layer throws(AttentionError) in try Self.check(layer, number: number, in: shape) }
      let owner = shape.keyLayer(of: number)
      readers.append(
        shape.layers.indices.filter { shape.layers[$0] != nil && shape.keyLayer(of: $0) == owner })
      guard let layer, layer.keyLayer == nil else {
        heads.append([])
        continue
      }
      for head in 0..<layer.kvHeadCount {
        let place = HeadPlace(layerNumber: number, kvHead: head, layer: layer)
        layerHeads.append(
          EngineHead(try Self.makeHead(place, policy: policy, format: shape.format, capacity: capacity)))
      }
      heads.append(layerHeads)
    }
    self.heads = heads
    self.readers = readers
    tokenCounts = Array(repeating: 0, count: shape.layers.count)
    if let settings = policy.retrieval { applySearch(of: settings) }
  }

  /// Throws ``AttentionError/invalidSetting(name:value:requirement:)`` for a layer that rows cannot be kept of.
  private static func check(
    _ layer: LayerShape, number: Int, in shape: ModelShape
  ) throws(AttentionError) {
    do {
      try layer.validate()
    } catch {
      throw .invalidSetting(name: error.name, value: "\(error.value)", requirement: error.requirement)
    }
    guard layer.valueDimension <= layer.headDimension else {
      throw .invalidSetting(
        name: "valueDimension", value: "\(layer.valueDimension)",
        requirement: "at most \(layer.headDimension), as wide as keys")
    }
    if let owner = layer.keyLayer {
      guard owner < number, shape[owner]?.sharesKeys(with: layer) == true else {
        throw .invalidSetting(
          name: "keyLayer", value: "\(owner)",
          requirement: "a layer before layer \(number), of the same heads, widths and window")
      }
    }
  }

  private static func makeHead(
    _ place: HeadPlace, policy: AttentionPolicy, format: KeyValueFormat, capacity: Int
  ) throws(AttentionError) -> any HeadPolicy {
    let layer = place.layer
    if let window = layer.slidingWindow {
      let kept = min(capacity, window + SlidingWindowHead.slack + maximumBatch)
      return SlidingWindowHead(
        rows: try HeadRows(of: layer, format: format, capacity: kept), layer: layer, window: window)
    }
    let rows = try HeadRows(of: layer, format: format, capacity: capacity)
    if layer.isBent || policy.settings.denseLayers.contains(place.layerNumber) {
      return ExactHead(rows: rows)
    }
    return try policy.settings.makeHead(rows: rows, place: place)
  }

  /// Most tokens in one batch; sliding-window layers keep this many rows to spare.
  public static let maximumBatch = 4096

  /// Tokens that all layers have seen.
  public var tokenCount: Int {
    var least: Int?
    for (layer, count) in tokenCounts.enumerated() where shape.layers[layer] != nil {
      least = min(least ?? count, count)
    }
    return least ?? 0
  }

  /// The first layer with attention: a step begins there.
  var firstLayer: Int? { shape.layers.firstIndex { $0 != nil } }

  /// The shape of a layer that has been checked.
  func layerShape(of call: AttentionCall) -> LayerShape {
    guard let layer = shape[call.layer] else { preconditionFailure("layer \(call.layer) has no attention") }
    return layer
  }

  /// The heads that a layer attends to.
  func heads(of layer: Int) -> [EngineHead] { heads[shape.keyLayer(of: layer)] }

  /// Whether heads are shown a token by this layer: by one of those that attend to the same keys, in turn.
  func shows(position: Int, layer: Int) -> Bool {
    let readers = readers[layer]
    guard readers.count > 1 else { return true }
    // Also in turn where only every 32nd token is of interest.
    let turn = position / TrainingSamples.stride + position % TrainingSamples.stride
    return readers[turn % readers.count] == layer
  }

  /// Keys, values and positions of one KV head.
  package func rows(layer: Int, kvHead: Int) -> HeadRows { heads(of: layer)[kvHead].rows }

  /// What one KV head keeps.
  package func head(layer: Int, kvHead: Int) -> any HeadPolicy { heads(of: layer)[kvHead].policy }

  /// Bytes of keys, values and positions.
  public var storeByteCount: Int { heads.joined().reduce(0) { $0 + $1.rows.byteCount } }

  /// Bytes of all indexes, without the rows they refer to.
  public var indexByteCount: Int {
    heads.joined().reduce(0) { $0 + ($1.measured?.indexByteCount ?? 0) }
  }

  /// Bytes of the query samples that indexes learn from.
  public var sampleByteCount: Int {
    heads.joined().reduce(0) { $0 + ($1.measured?.sampleByteCount ?? 0) }
  }

  /// Tokens in the index of each layer that has one (all of its heads alike); 0 when attention is exact.
  public var indexedTokenCount: Int {
    heads.joined().reduce(0) { max($0, $1.measured?.indexedRowCount ?? 0) }
  }

  /// Takes one layer's part of a batch and writes its attention output.
  ///
  /// Batches of a layer must follow one another without gaps. Throws ``AttentionError`` for a batch that does not
  /// fit the layer, its position or the reserved rows; nothing has changed then.
  public func attend(_ call: AttentionCall, parallel: ParallelRunner) throws(AttentionError) {
    try attend(call, options: CallOptions(), parallel: parallel)
  }

  /// The same in a special way.
  package func attend(
    _ call: AttentionCall, options: CallOptions, parallel: ParallelRunner
  ) throws(AttentionError) {
    try check(call)
    if options.fixed != nil { try checkFixed(call, options) }
    if options.isGenerated { try checkDrafts(call, options) }
    options.observer?.onCall?(call)
    begin(call, workers: parallel.workerCount)
    if call.isAttended {
      takeIn(call, promptEnd: options.attendedPromptEnd ?? call.endPosition, parallel: parallel)
    } else if call.tokenCount == 1 && options.hidden.isEmpty
      || options.isGenerated && !isAttendedAtOnce(call, options)
    {
      let profile = options.observer?.profile
      let start = profile?.begin(workspaces)
      decode(call, options: options, parallel: parallel)
      if let start { profile?.end(start, workspaces) }
    } else {
      prefill(call, options: options, followers: [], parallel: parallel)
    }
    end(call)
  }

  /// Most tokens that may follow a generated one in a step, where all heads take several.
  public static let maximumDrafts = 15

  /// Whether a few generated tokens can be attended to in one step, as drafts are that are to be checked.
  package var takesDrafts: Bool { heads.joined().allSatisfy { $0.takesDrafts } }

  /// Throws for a step of more tokens than heads take, which would be answered wrongly.
  private func checkDrafts(_ call: AttentionCall, _ options: CallOptions) throws(AttentionError) {
    let most = options.isExact ? Self.maximumBatch : takesDrafts ? Self.maximumDrafts + 1 : 1
    guard call.tokenCount <= most else {
      throw .invalidSetting(
        name: "generated tokens", value: "\(call.tokenCount)", requirement: "at most \(most) in a step")
    }
  }

  /// Whether a step of several tokens is attended to as a prompt is: exactly, in the same tiles.
  private func isAttendedAtOnce(_ call: AttentionCall, _ options: CallOptions) -> Bool {
    options.isExact || layerShape(of: call).slidingWindow != nil
  }

  /// Takes the rows of a call that was checked.
  func begin(_ call: AttentionCall, workers: Int) {
    while workspaces.count < workers { workspaces.append(Workspace()) }
    storage.stateChanged = true
    // None where the keys are another layer's.
    for (number, head) in heads[call.layer].enumerated() {
      unsafe head.append(
        HalfPrecisionRows(
          keys: call.keys.row(token: 0, head: number), values: call.values.row(token: 0, head: number)),
        keyStride: call.keys.tokenStride, valueStride: call.values.tokenStride, count: call.tokenCount,
        firstPosition: call.firstPosition)
    }
  }

  func end(_ call: AttentionCall) {
    tokenCounts[call.layer] += call.tokenCount
    releaseRestoredPages(layer: call.layer)
  }

  /// Moves rows that left the window into the index, or does what else a policy does between steps. Cheap when there is
  /// nothing to do.
  ///
  /// - Parameters:
  ///   - finishing: also insert the last, partly filled segment of a prompt; false between prompt batches.
  ///   - askPosition: where coming queries will stand, such as the end of the prompt.
  /// - Returns: whether anything was done.
  @discardableResult
  public func updateIndex(finishing: Bool, askPosition: Int, parallel: ParallelRunner) -> Bool {
    guard needsIndexUpdate(finishing: finishing) else {
      if finishing { openPromptStart = nil }
      return false
    }
    _ = updateIndex(finishing: finishing, askPosition: askPosition, parallel: parallel) { false }
    return true
  }

  /// Ends a prompt without an update of the index: what follows counts as generated.
  package func finishPrompt() { openPromptStart = nil }

  /// Whether ``updateIndex(finishing:askPosition:parallel:)`` would do anything.
  package func needsIndexUpdate(finishing: Bool) -> Bool {
    guard isBetweenBatches else { return false }
    let moment = updateMoment(finishing: finishing)
    return heads.joined().contains { $0.needsUpdate(moment) }
  }

  /// Whether all layers have read the same tokens: nothing is derived from half a batch.
  private var isBetweenBatches: Bool {
    let count = tokenCount
    return tokenCounts.indices.allSatisfy { shape.layers[$0] == nil || tokenCounts[$0] == count }
  }

  private func updateMoment(finishing: Bool) -> UpdateMoment {
    !finishing ? .betweenBatches : openPromptStart != nil ? .endOfPrompt : .decoding
  }

  /// The same in parts: some heads at a time, until `pauses` says that it is enough for now.
  ///
  /// What it gives in the end does not depend on the pauses, if nothing is attended in between.
  ///
  /// - Returns: whether all is done; if not, call it again with the same arguments.
  package func updateIndex(
    finishing: Bool, askPosition: Int, parallel: ParallelRunner, pauses: () -> Bool
  ) -> Bool {
    guard isBetweenBatches else { return true }
    let moment = updateMoment(finishing: finishing)
    let due = heads.joined().compactMap { $0.needsUpdate(moment) ? $0.updated : nil }
    if !due.isEmpty {
      rewriteCount += 1
      storage.indexesChanged = true
      storage.stateChanged = true
    }
    while workspaces.count < parallel.workerCount { workspaces.append(Workspace()) }
    // A few for each worker, so that one that is slower than the others costs little.
    let count = 4 * parallel.workerCount
    for first in stride(from: 0, to: due.count, by: count) {
      if first > 0, pauses() { return false }
      let part = due[first..<min(first + count, due.count)]
      parallel.run(part.count) { index, worker in
        part[first + index].update(moment, askPosition: askPosition, workspace: workspaces[worker])
      }
    }
    if finishing { openPromptStart = nil }
    return true
  }

  /// Drops tokens from `count` on, also those that only some layers have seen.
  ///
  /// Throws ``AttentionError/cannotTruncate(to:indexed:)`` when they are in an index (or left a sliding window),
  /// ``AttentionError/invalidSetting(name:value:requirement:)`` for a negative count; nothing has changed then.
  public func truncate(to count: Int) throws(AttentionError) {
    try checkTruncation(to: count)
    rewriteCount += 1
    storage.stateChanged = true
    for (layer, layerHeads) in heads.enumerated() where tokenCounts[layer] > count {
      let dropped = tokenCounts[layer] - count
      for head in layerHeads { try head.policy.truncate(to: head.rows.count - dropped) }
      tokenCounts[layer] = count
    }
    if let start = openPromptStart, count <= start { openPromptStart = nil }
  }

  /// Frees the memory that calls work in. The next call takes what it needs again.
  package func releaseScratch() {
    workspaces = []
    decoding = DecodeMemory()
  }

  /// Throws what ``truncate(to:)`` would, and changes nothing.
  package func checkTruncation(to count: Int) throws(AttentionError) {
    guard count >= 0 else {
      throw .invalidSetting(name: "count", value: "\(count)", requirement: "zero or positive")
    }
    for (layer, layerHeads) in heads.enumerated() where tokenCounts[layer] > count {
      for head in layerHeads {
        let dropped = tokenCounts[layer] - count
        let needed = shape.layers[layer]?.slidingWindow.map { min($0, count) } ?? count
        guard head.rows.count - dropped >= needed else {
          throw .cannotTruncate(to: count, indexed: tokenCounts[layer] - head.rows.count)
        }
        try head.checkTruncation(to: head.rows.count - dropped)
      }
    }
  }

  func check(_ call: AttentionCall) throws(AttentionError) {
    guard let layer = shape[call.layer] else {
      throw .unknownLayer(call.layer, layerCount: shape.layers.count)
    }
    func require(_ name: String, _ expected: Int, _ actual: Int) throws(AttentionError) {
      guard expected == actual else {
        throw .shapeMismatch(layer: call.layer, name: name, expected: expected, actual: actual)
      }
    }
    try require("headCount", layer.headCount, call.shape.headCount)
    try require("kvHeadCount", layer.kvHeadCount, call.shape.kvHeadCount)
    try require("headDimension", layer.headDimension, call.shape.headDimension)
    try require("valueDimension", layer.valueDimension, call.shape.valueDimension)
    let count = tokenCounts[call.layer]
    guard call.firstPosition == count else {
      throw .unexpectedPosition(layer: call.layer, expected: count, actual: call.firstPosition)
    }
    let owner = shape.keyLayer(of: call.layer)
    guard owner == call.layer || tokenCounts[owner] == call.endPosition else {
      throw .unexpectedPosition(layer: owner, expected: call.endPosition, actual: tokenCounts[owner])
    }
    guard (1...Self.maximumBatch).contains(call.tokenCount) else {
      throw .invalidSetting(
        name: "tokenCount", value: "\(call.tokenCount)", requirement: "in 1...\(Self.maximumBatch)")
    }
    guard count + call.tokenCount <= capacity else {
      throw .capacityExceeded(tokens: count + call.tokenCount, capacity: capacity)
    }
  }
}

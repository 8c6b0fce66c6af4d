// Takes the host's flash-attention nodes over and hands them to the guest.

import CLlama

/// Replaces attention in the host's graph.
///
/// A flash-attention node is asked about before it is computed. Turning it into a no-op for just that moment
/// keeps the host from computing what we would overwrite; the CPU back end skips such nodes. The node gets
/// its operation back right after, because graphs are used again from one decode step to the next. That node
/// is forgotten with the evaluation; other tensors that are remembered are only compared.
@safe final class GuestObserver: NodeObserver {
  var guest: (any AttentionGuest)?
  var isCancelled: (() -> Bool)?
  /// What stopped the evaluation.
  private(set) var failure: (any Error)?
  private(set) var attendedLayers = 0
  /// Collects the buffers of what is evaluated; attention is left out then.
  var survey: DeviceMemorySurvey?
  /// What went between devices and us, since the context was made.
  private(set) var traffic = DeviceTraffic()

  /// What devices do for tokens of the batch, in layers that are there.
  var deviceParts: [DevicePart] = []

  private let parallel: ParallelRunner
  /// Layers that attend to the keys of a layer, by its number, in the order of their nodes.
  private let readers: [[TakeoverReport.Layer]]
  /// How many of them have attended since keys were stored.
  private var readCounts: [Int]
  /// Let the host compute attention as well and leave its result in the output, for comparisons.
  private let keepsHostAttention: Bool
  /// What is evaluated; nil between evaluations.
  private var batch: TokenBatch?
  /// Rows of each sequence of the batch.
  private var sequences: [Range<Int>] = []
  private var tokenCount: Int { batch?.count ?? 0 }
  /// What the guest calls them.
  private var numbers: [Int] = []

  private var disabledNode: TensorPointer?
  private var stored = StoredCacheRows()
  /// Index tensors found in order, in this evaluation; layers share them.
  private var checkedRows: [TensorPointer] = unsafe []
  private let staging = (
    query: StagingBuffer(), key: StagingBuffer(), value: StagingBuffer(), output: StagingBuffer()
  )

  init(pool: ThreadPool, layers: [TakeoverReport.Layer], keepsHostAttention: Bool) {
    parallel = pool.runner
    self.keepsHostAttention = keepsHostAttention
    let count = (layers.map(\.number).max() ?? -1) + 1
    var readers = [[TakeoverReport.Layer]](repeating: [], count: count)
    for layer in layers { readers[layer.shape.keyLayer ?? layer.number].append(layer) }
    self.readers = readers
    readCounts = Array(repeating: 0, count: count)
  }

  /// - Parameters:
  ///   - batch: stays as it is until the end.
  ///   - sequences: rows of each sequence, one behind another; positions within one follow without gaps.
  ///   - numbers: what the guest calls the sequences; 0, 1 ... when nil.
  func begin(_ batch: TokenBatch, sequences: [Range<Int>], numbers: [Int]? = nil) {
    self.batch = batch
    self.sequences = sequences
    self.numbers = numbers ?? Array(sequences.indices)
    failure = nil
    attendedLayers = 0
    unsafe checkedRows.removeAll(keepingCapacity: true)
    for layer in readCounts.indices { readCounts[layer] = 0 }
    stored.removeAll()
  }

  /// Undoes what an evaluation that ended early left behind.
  func end() {
    restore()
    stored.removeAll()
    batch = nil
  }

  override func visit(_ node: TensorPointer, isAsking: Bool) -> Bool {
    unsafe isAsking ? ask(node) : take(node)
  }

  private func ask(_ node: TensorPointer) -> Bool {
    // After a failure: stop at once, also in a graph that is split among back ends.
    if failure != nil { return true }
    unsafe survey?.note(node)
    switch unsafe node.pointee.op {
    case GGML_OP_FLASH_ATTN_EXT:
      if !keepsHostAttention {
        unsafe node.pointee.op = GGML_OP_NONE
        unsafe disabledNode = unsafe node
      }
      return true
    case GGML_OP_SET_ROWS:
      if let cache = unsafe HostTensor.cacheLayer(node) { unsafe noteStored(node, cache) }
    default: break
    }
    return false
  }

  private func take(_ node: TensorPointer) -> Bool {
    restore()
    defer { stored.removeAll() }
    guard failure == nil, unsafe node.pointee.op == GGML_OP_FLASH_ATTN_EXT else { return false }
    if survey != nil { return true }
    do {
      if Task.isCancelled || isCancelled?() == true { throw CancellationError() }
      try unsafe attend(node)
      attendedLayers += 1
      return true
    } catch {
      failure = error
      return false
    }
  }

  private func restore() {
    unsafe disabledNode?.pointee.op = GGML_OP_FLASH_ATTN_EXT
    unsafe disabledNode = nil
  }

  private func noteStored(_ node: TensorPointer, _ cache: (isKey: Bool, layer: Int)) {
    if cache.isKey, readCounts.indices.contains(cache.layer) { readCounts[cache.layer] = 0 }
    guard let rows = unsafe node.pointee.src.1 else { return }
    let isChecked = unsafe checkedRows.contains(rows)
    let isInOrder = unsafe isChecked || HostTensor.isInOrder(rows, count: tokenCount)
    if isInOrder, !isChecked { unsafe checkedRows.append(rows) }
    unsafe stored.note(node, isInOrder: isInOrder)
  }

  private func attend(_ node: TensorPointer) throws {
    guard let guest, let batch, let query = unsafe node.pointee.src.0, let key = unsafe node.pointee.src.1,
      let value = unsafe node.pointee.src.2
    else { throw LlamaError.unexpectedAttention(detail: "a node without guest, queries, keys or values") }
    guard let cache = unsafe HostTensor.cacheLayer(key), cache.isKey, cache.layer < readers.count,
      readCounts[cache.layer] < readers[cache.layer].count
    else { throw LlamaError.unexpectedAttention(detail: "keys that are in no known layer's cache") }
    let layer = readers[cache.layer][readCounts[cache.layer]]
    readCounts[cache.layer] += 1
    try unsafe check(node, query, key, value, layer)
    if layer.shape.keyLayer == nil {
      try unsafe checkRows(of: key, "keys", layer.number)
      if !layer.shape.valuesAreKeys { try unsafe checkRows(of: value, "values", layer.number) }
    }
    // Whatever happens: nobody may touch what a device is working on.
    defer { for part in deviceParts { part.work.finish() } }
    let attention = unsafe AttentionNode(layer: layer, output: node, query: query, key: key, value: value)
    let isStarted = try deviceParts.map { try $0.work.startsBeforeReading && start($0, attention) }
    let queryData = unsafe read(query, byteCount: ggml_nbytes(query), staging.query)
    let keyData = unsafe read(key, byteCount: batchBytes(key), staging.key)
    let valueData =
      unsafe layer.shape.valuesAreKeys ? keyData : read(value, byteCount: batchBytes(value), staging.value)
    let isDirect = unsafe HostTensor.isHostMemory(node)
    let outputBytes = unsafe ggml_nbytes(node)
    let output =
      unsafe keepsHostAttention || isDirect
      ? read(node, byteCount: outputBytes, staging.output)
      : staging.output.reserve(outputBytes, for: HostTensor.device(node))
    let attendedRows = try zip(deviceParts, isStarted).compactMap { part, isStarted in
      if isStarted { part.work.didRead() }
      let isAtIt = try isStarted || !part.work.startsBeforeReading && start(part, attention)
      return isAtIt && part.work.writesOutput ? part.rows : nil
    }
    let rows = unsafe TokenRows(
      queries: StridedRows(
        queryData.assumingMemoryBound(to: Float.self), tokenStride: query.pointee.nb.1 / 4,
        headStride: query.pointee.nb.2 / 4),
      keys: StridedRows(
        keyData.assumingMemoryBound(to: UInt16.self), tokenStride: key.pointee.nb.1 / 2,
        headStride: key.pointee.nb.2 / 2),
      values: StridedRows(
        valueData.assumingMemoryBound(to: UInt16.self), tokenStride: value.pointee.nb.1 / 2,
        headStride: value.pointee.nb.2 / 2),
      output: StridedRows(
        output.assumingMemoryBound(to: Float.self), tokenStride: node.pointee.nb.2 / 4,
        headStride: node.pointee.nb.1 / 4))
    for (number, sequence) in zip(numbers, sequences) {
      let first = batch.position(sequence.lowerBound)
      let call = AttentionCall(
        layer: layer.number, shape: layer.shape, tokens: first..<first + sequence.count,
        rows: rows.from(sequence.lowerBound), isAttended: attendedRows.contains { $0.overlaps(sequence) })
      try guest.attend(call, sequence: number, parallel: parallel)
    }
    if !isDirect { unsafe write(output, to: node, besides: attendedRows) }
  }

  private func start(_ part: DevicePart, _ node: AttentionNode) throws -> Bool {
    guard let position = batch?.position(part.rows.lowerBound) else { return false }
    return try part.work.start(node, rows: part.rows, position: position, stored: part.stored)
  }

  /// Hands over the rows that no device attends to; rows of a node are contiguous.
  private func write(_ output: UnsafeRawPointer, to node: TensorPointer, besides attended: [Range<Int>]) {
    let stride = unsafe node.pointee.nb.2
    var first = 0
    for rows in attended + [tokenCount..<tokenCount] {
      let byteCount = (rows.lowerBound - first) * stride
      if byteCount > 0 {
        unsafe ggml_backend_tensor_set(node, output + first * stride, first * stride, byteCount)
        traffic.writtenBytes += byteCount
      }
      first = rows.upperBound
    }
  }

  /// The node against what the probe saw; a few comparisons, since a wrong guess here would read foreign
  /// memory.
  private func check(
    _ node: TensorPointer, _ query: TensorPointer, _ key: TensorPointer, _ value: TensorPointer,
    _ layer: TakeoverReport.Layer
  ) throws {
    let tokens = Int64(tokenCount)
    let shape = unsafe query.pointee.ne
    guard shape.0 == layer.shape.headDimension, shape.1 == tokens, shape.2 == layer.shape.headCount,
      shape.3 == 1,
      unsafe query.pointee.type == GGML_TYPE_F32, unsafe query.pointee.nb.0 == 4
    else {
      throw LlamaError.unexpectedAttention(
        detail: "layer \(layer.number) has queries \(shape) for \(tokens) tokens")
    }
    guard unsafe key.pointee.ne.0 == layer.shape.headDimension, unsafe key.pointee.ne.1 >= tokens,
      unsafe key.pointee.ne.2 == layer.shape.kvHeadCount, unsafe key.pointee.ne.3 == 1,
      unsafe key.pointee.type == GGML_TYPE_F16,
      unsafe value.pointee.ne.0 == layer.shape.valueDimension, unsafe value.pointee.ne.1 >= tokens,
      unsafe value.pointee.ne.2 == layer.shape.kvHeadCount, unsafe value.pointee.ne.3 == 1,
      unsafe value.pointee.type == GGML_TYPE_F16,
      unsafe !layer.shape.valuesAreKeys || HostTensor.areKeys(value, key)
    else {
      throw unsafe LlamaError.unexpectedAttention(
        detail: "layer \(layer.number) has keys \(key.pointee.ne) and values \(value.pointee.ne)")
    }
    guard unsafe node.pointee.type == GGML_TYPE_F32, unsafe node.pointee.ne.0 == layer.shape.valueDimension,
      unsafe node.pointee.ne.1 == layer.shape.headCount, unsafe node.pointee.ne.2 == tokens
    else {
      throw unsafe LlamaError.unexpectedAttention(
        detail: "layer \(layer.number) has output \(node.pointee.ne)")
    }
  }

  /// The rows of this batch must be the cells from 0 on, in order.
  private func checkRows(of tensor: TensorPointer, _ name: String, _ layer: Int) throws {
    guard let isInOrder = unsafe stored.isInOrder(tensor) else {
      throw LlamaError.unexpectedCacheLayout(
        layer: layer, detail: "its \(name) are not stored for this batch")
    }
    guard isInOrder else {
      throw LlamaError.unexpectedCacheLayout(layer: layer, detail: "its \(name) are not in batch order")
    }
  }

  /// Bytes from the first to the last element of the batch's rows in a cache view.
  private func batchBytes(_ tensor: TensorPointer) -> Int {
    let shape = unsafe tensor.pointee.ne
    let strides = unsafe tensor.pointee.nb
    return (tokenCount - 1) * strides.1 + (Int(shape.2) - 1) * strides.2 + Int(shape.0) * strides.0
  }

  /// The tensor's own memory, or a copy of it when that is elsewhere.
  private func read(
    _ tensor: TensorPointer, byteCount: Int, _ staging: StagingBuffer
  ) -> UnsafeMutableRawPointer {
    if unsafe HostTensor.isHostMemory(tensor), let data = unsafe tensor.pointee.data { return unsafe data }
    let copy = unsafe staging.reserve(byteCount, for: HostTensor.device(tensor))
    unsafe ggml_backend_tensor_get(tensor, copy, 0, byteCount)
    traffic.readBytes += byteCount
    return unsafe copy
  }
}

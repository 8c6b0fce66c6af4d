// Takes the host's flash-attention nodes over and hands them to the guest.

import CLlama

/// Replaces attention in the host's graph.
///
/// A flash-attention node is asked about before it is computed. Turning it into a no-op for just that moment
/// keeps the host from computing what we would overwrite; the CPU back end skips such nodes. The node gets
/// its operation back right after, because graphs are used again from one decode step to the next.
final class GuestObserver: NodeObserver {
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
  private var positions = UnsafeBufferPointer<Int32>(start: nil, count: 0)
  /// Rows of each sequence of the batch.
  private var sequences: [Range<Int>] = []
  /// What the guest calls them.
  private var numbers: [Int] = []

  private var disabledNode: TensorPointer?
  private var stored = StoredCacheRows()
  /// Index tensors found in order, in this evaluation; layers share them.
  private var checkedRows: [TensorPointer] = []
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
  ///   - positions: of each token of the batch.
  ///   - sequences: rows of each sequence, one behind another; positions within one follow without gaps.
  ///   - numbers: what the guest calls the sequences; 0, 1 ... when nil.
  func begin(positions: UnsafeBufferPointer<Int32>, sequences: [Range<Int>], numbers: [Int]? = nil) {
    self.positions = positions
    self.sequences = sequences
    self.numbers = numbers ?? Array(sequences.indices)
    failure = nil
    attendedLayers = 0
    checkedRows.removeAll(keepingCapacity: true)
    for layer in readCounts.indices { readCounts[layer] = 0 }
    stored.removeAll()
  }

  /// Undoes what an evaluation that ended early left behind.
  func end() {
    restore()
    stored.removeAll()
    positions = UnsafeBufferPointer(start: nil, count: 0)
  }

  override func visit(_ node: TensorPointer, isAsking: Bool) -> Bool {
    isAsking ? ask(node) : take(node)
  }

  private func ask(_ node: TensorPointer) -> Bool {
    // After a failure: stop at once, also in a graph that is split among back ends.
    if failure != nil { return true }
    survey?.note(node)
    switch node.pointee.op {
    case GGML_OP_FLASH_ATTN_EXT:
      if !keepsHostAttention {
        node.pointee.op = GGML_OP_NONE
        disabledNode = node
      }
      return true
    case GGML_OP_SET_ROWS:
      if let cache = HostTensor.cacheLayer(node) { noteStored(node, cache) }
    default: break
    }
    return false
  }

  private func take(_ node: TensorPointer) -> Bool {
    restore()
    defer { stored.removeAll() }
    guard failure == nil, node.pointee.op == GGML_OP_FLASH_ATTN_EXT else { return false }
    if survey != nil { return true }
    do {
      if Task.isCancelled || isCancelled?() == true { throw CancellationError() }
      try attend(node)
      attendedLayers += 1
      return true
    } catch {
      failure = error
      return false
    }
  }

  private func restore() {
    disabledNode?.pointee.op = GGML_OP_FLASH_ATTN_EXT
    disabledNode = nil
  }

  private func noteStored(_ node: TensorPointer, _ cache: (isKey: Bool, layer: Int)) {
    if cache.isKey, readCounts.indices.contains(cache.layer) { readCounts[cache.layer] = 0 }
    guard let rows = node.pointee.src.1 else { return }
    let isChecked = checkedRows.contains(rows)
    let isInOrder = isChecked || HostTensor.isInOrder(rows, count: positions.count)
    if isInOrder, !isChecked { checkedRows.append(rows) }
    stored.note(node, isInOrder: isInOrder)
  }

  private func attend(_ node: TensorPointer) throws {
    guard let guest, let query = node.pointee.src.0, let key = node.pointee.src.1,
      let value = node.pointee.src.2
    else { throw LlamaError.unexpectedAttention(detail: "a node without guest, queries, keys or values") }
    guard let cache = HostTensor.cacheLayer(key), cache.isKey, cache.layer < readers.count,
      readCounts[cache.layer] < readers[cache.layer].count
    else { throw LlamaError.unexpectedAttention(detail: "keys that are in no known layer's cache") }
    let layer = readers[cache.layer][readCounts[cache.layer]]
    readCounts[cache.layer] += 1
    try check(node, query, key, value, layer)
    if layer.shape.keyLayer == nil {
      try checkRows(of: key, "keys", layer.number)
      if !layer.shape.valuesAreKeys { try checkRows(of: value, "values", layer.number) }
    }
    // Whatever happens: nobody may touch what a device is working on.
    defer { for part in deviceParts { part.work.finish() } }
    let attention = AttentionNode(layer: layer, output: node, query: query, key: key, value: value)
    let isStarted = try deviceParts.map { try $0.work.startsBeforeReading && start($0, attention) }
    let queryData = UnsafePointer(
      try read(query, byteCount: ggml_nbytes(query), staging.query).assumingMemoryBound(to: Float.self))
    let keyData = UnsafePointer(
      try read(key, byteCount: batchBytes(key), staging.key).assumingMemoryBound(to: UInt16.self))
    let valueData =
      layer.shape.valuesAreKeys
      ? keyData
      : UnsafePointer(
        try read(value, byteCount: batchBytes(value), staging.value).assumingMemoryBound(to: UInt16.self))
    let isDirect = HostTensor.isHostMemory(node)
    let outputBytes = ggml_nbytes(node)
    let output: UnsafeMutableRawPointer =
      if keepsHostAttention || isDirect {
        try read(node, byteCount: outputBytes, staging.output)
      } else {
        staging.output.reserve(outputBytes, for: HostTensor.device(node))
      }
    let attendedRows = try zip(deviceParts, isStarted).compactMap { part, isStarted in
      if isStarted { part.work.didRead() }
      let isAtIt = try isStarted || !part.work.startsBeforeReading && start(part, attention)
      return isAtIt && part.work.writesOutput ? part.rows : nil
    }
    let rows = TokenRows(
      queries: StridedRows(
        reading: queryData, tokenStride: query.pointee.nb.1 / 4, headStride: query.pointee.nb.2 / 4),
      keys: StridedRows(
        reading: keyData, tokenStride: key.pointee.nb.1 / 2, headStride: key.pointee.nb.2 / 2),
      values: StridedRows(
        reading: valueData, tokenStride: value.pointee.nb.1 / 2, headStride: value.pointee.nb.2 / 2),
      output: StridedRows(
        output.assumingMemoryBound(to: Float.self), tokenStride: node.pointee.nb.2 / 4,
        headStride: node.pointee.nb.1 / 4))
    for (number, sequence) in zip(numbers, sequences) {
      let first = Int(positions[sequence.lowerBound])
      let call = AttentionCall(
        layer: layer.number, shape: layer.shape, tokens: first..<first + sequence.count,
        rows: rows.from(sequence.lowerBound), isAttended: attendedRows.contains { $0.overlaps(sequence) })
      try guest.attend(call, sequence: number, parallel: parallel)
    }
    if !isDirect { write(output, to: node, besides: attendedRows) }
  }

  private func start(_ part: DevicePart, _ node: AttentionNode) throws -> Bool {
    let position = Int(positions[part.rows.lowerBound])
    return try part.work.start(node, rows: part.rows, position: position, stored: part.stored)
  }

  /// Hands over the rows that no device attends to; rows of a node are contiguous.
  private func write(_ output: UnsafeRawPointer, to node: TensorPointer, besides attended: [Range<Int>]) {
    let stride = node.pointee.nb.2
    var first = 0
    for rows in attended + [positions.count..<positions.count] {
      let byteCount = (rows.lowerBound - first) * stride
      if byteCount > 0 {
        ggml_backend_tensor_set(node, output + first * stride, first * stride, byteCount)
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
    let tokens = Int64(positions.count)
    let shape = query.pointee.ne
    guard shape.0 == layer.shape.headDimension, shape.1 == tokens, shape.2 == layer.shape.headCount,
      shape.3 == 1,
      query.pointee.type == GGML_TYPE_F32, query.pointee.nb.0 == 4
    else {
      throw LlamaError.unexpectedAttention(
        detail: "layer \(layer.number) has queries \(shape) for \(tokens) tokens")
    }
    guard key.pointee.ne.0 == layer.shape.headDimension, key.pointee.ne.1 >= tokens,
      key.pointee.ne.2 == layer.shape.kvHeadCount, key.pointee.ne.3 == 1, key.pointee.type == GGML_TYPE_F16,
      value.pointee.ne.0 == layer.shape.valueDimension, value.pointee.ne.1 >= tokens,
      value.pointee.ne.2 == layer.shape.kvHeadCount, value.pointee.ne.3 == 1,
      value.pointee.type == GGML_TYPE_F16, !layer.shape.valuesAreKeys || HostTensor.areKeys(value, key)
    else {
      throw LlamaError.unexpectedAttention(
        detail: "layer \(layer.number) has keys \(key.pointee.ne) and values \(value.pointee.ne)")
    }
    guard node.pointee.type == GGML_TYPE_F32, node.pointee.ne.0 == layer.shape.valueDimension,
      node.pointee.ne.1 == layer.shape.headCount, node.pointee.ne.2 == tokens
    else {
      throw LlamaError.unexpectedAttention(detail: "layer \(layer.number) has output \(node.pointee.ne)")
    }
  }

  /// The rows of this batch must be the cells from 0 on, in order.
  private func checkRows(of tensor: TensorPointer, _ name: String, _ layer: Int) throws {
    guard let isInOrder = stored.isInOrder(tensor) else {
      throw LlamaError.unexpectedCacheLayout(
        layer: layer, detail: "its \(name) are not stored for this batch")
    }
    guard isInOrder else {
      throw LlamaError.unexpectedCacheLayout(layer: layer, detail: "its \(name) are not in batch order")
    }
  }

  /// Bytes from the first to the last element of the batch's rows in a cache view.
  private func batchBytes(_ tensor: TensorPointer) -> Int {
    let shape = tensor.pointee.ne
    let strides = tensor.pointee.nb
    return (positions.count - 1) * strides.1 + (Int(shape.2) - 1) * strides.2 + Int(shape.0) * strides.0
  }

  /// The tensor's own memory, or a copy of it when that is elsewhere.
  private func read(
    _ tensor: TensorPointer, byteCount: Int, _ staging: StagingBuffer
  ) throws -> UnsafeMutableRawPointer {
    if HostTensor.isHostMemory(tensor), let data = tensor.pointee.data { return data }
    let copy = staging.reserve(byteCount, for: HostTensor.device(tensor))
    ggml_backend_tensor_get(tensor, copy, 0, byteCount)
    traffic.readBytes += byteCount
    return copy
  }
}

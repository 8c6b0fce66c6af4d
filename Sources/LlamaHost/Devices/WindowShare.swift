// One device's first and last tokens: where their keys and values lie, and the graph of a step.

import CLlama

/// Attends to the fixed rows of the layers that one device has.
final class WindowShare {
  let stream: DeviceStream
  let byteCount: Int
  private let capacity: Int
  private let rows: [Int: LayerRows]
  private let scratch: DeviceMemoryBlock
  private let results: DeviceMemoryBlock
  private let graph = DeviceGraph(capacity: 32)
  private var current: TakeoverReport.Layer?
  /// Whether the device turned out not to have an operation of the graph.
  private(set) var isIncapable = false

  /// Keys `[KV heads, cells, width]` and values `[KV heads, width, cells]` of one layer: the first tokens, then the
  /// last.
  private final class LayerRows {
    let block: DeviceMemoryBlock
    /// What lies there.
    var window: FixedRows?

    init(_ block: DeviceMemoryBlock) { self.block = block }
  }

  private static let cellMultiple = 64

  /// - Parameter available: bytes to take at most; nil for as many as the device gives.
  init(layers: [TakeoverReport.Layer], capacity: Int, stream: DeviceStream, available: Int?) throws {
    self.stream = stream
    // A step's own row comes to those that are there.
    let cells = (capacity + 1 + Self.cellMultiple - 1) / Self.cellMultiple * Self.cellMultiple
    self.capacity = cells
    let sizes = layers.map {
      cells * $0.shape.kvHeadCount * ($0.shape.headDimension + $0.shape.valueDimension) * 2
    }
    let heads = layers.map(\.shape.headCount).max() ?? 0
    let widest = layers.map { $0.shape.headCount * ($0.shape.valueDimension + 1) }.max() ?? 0
    let scratchSize = Self.scratchTensors * Self.padded(heads * cells * 4)
    let resultSize = Self.padded(widest * 4) + Self.alignment
    byteCount = sizes.reduce(0, +) + scratchSize + resultSize
    if let available, byteCount > available {
      throw LlamaError.promptMemoryInsufficient(
        device: stream.name, needed: byteCount, available: max(0, available))
    }
    func block(_ byteCount: Int) throws -> DeviceMemoryBlock {
      guard let block = DeviceMemoryBlock(byteCount: byteCount, on: stream) else {
        throw LlamaError.promptMemoryInsufficient(
          device: stream.name, needed: byteCount, available: stream.freeBytes ?? 0)
      }
      return block
    }
    var rows: [Int: LayerRows] = [:]
    for (layer, size) in zip(layers, sizes) { rows[layer.number] = LayerRows(try block(size)) }
    self.rows = rows
    scratch = try block(scratchSize)
    results = try block(resultSize)
  }

  private static let alignment = 256
  private static func padded(_ bytes: Int) -> Int { (bytes + alignment - 1) / alignment * alignment }

  /// Sends rows, unless only the last step's is new, which the device has. Returns how many bytes they are.
  func send(_ layer: TakeoverReport.Layer, _ window: FixedRows, stored: any StoredRows) throws -> Int {
    guard !isIncapable, let rows = rows[layer.number], window.count < capacity else { return 0 }
    if rows.window == window { return 0 }
    rows.window = nil
    let (d, width) = (layer.shape.headDimension, layer.shape.valueDimension)
    let valueOffset = layer.shape.kvHeadCount * capacity * d * 2
    var column = [UInt16](repeating: 0, count: width * capacity)
    for head in 0..<layer.shape.kvHeadCount {
      var cell = 0
      for (count, skipped) in [
        (window.sinkCount, window.rowCount - window.sinkCount), (window.windowCount, 0),
      ] where count > 0 {
        try stored.withHalfPrecisionRows(
          layer: layer.number, kvHead: head, count: count, skipping: skipped
        ) { source in
          unsafe rows.block.write(source.keys, byteCount: count * d * 2, at: (head * capacity + cell) * d * 2)
          for row in 0..<count {
            for i in 0..<width { column[i * capacity + cell + row] = unsafe source.values[row * width + i] }
          }
        }
        cell += count
      }
      rows.block.write(column, at: valueOffset + head * width * capacity * 2)
    }
    rows.window = window
    return window.count * layer.shape.kvHeadCount * (d + width) * 2
  }

  private static let scratchTensors = 7

  /// Begins to add the token's own row and to attend to all of them. The answer is false for what the device cannot do.
  ///
  /// With s the scores and p their softmax, log-sum-exp is the mean of `s - log p` under p: every term is the same, so
  /// that small ones, whose logarithm says nothing, do not count.
  func start(_ node: AttentionNode, row: Int, _ window: FixedRows) throws -> Bool {
    let layer = node.layer
    guard !isIncapable, let rows = rows[layer.number], rows.window == window, window.count < capacity,
      let queryBuffer = unsafe HostTensor.buffer(node.query), let queryData = unsafe node.query.pointee.data,
      let keyBuffer = unsafe HostTensor.buffer(node.key), let keyData = unsafe node.key.pointee.data,
      let valueBuffer = unsafe HostTensor.buffer(node.value), let valueData = unsafe node.value.pointee.data
    else { return false }
    let (d, width, heads) = (layer.shape.headDimension, layer.shape.valueDimension, layer.shape.kvHeadCount)
    let (g, n, last) = (layer.shape.headCount / heads, window.count + 1, window.count)
    let own = rows.block
    let valueBase = unsafe own.base + heads * capacity * d * 2
    graph.removeAll()
    let newKey = unsafe graph.tensor(
      GGML_TYPE_F16, (d, 1, heads), strides: (node.key.pointee.nb.1, node.key.pointee.nb.2),
      buffer: keyBuffer,
      data: keyData + row * node.key.pointee.nb.1)
    let keyCell = unsafe graph.tensor(
      GGML_TYPE_F16, (d, 1, heads), strides: (2 * d, 2 * d * capacity), buffer: own.buffer,
      data: own.base + last * 2 * d)
    let newValue = unsafe graph.tensor(
      GGML_TYPE_F16, (1, width, heads), strides: (2, node.value.pointee.nb.2), buffer: valueBuffer,
      data: valueData + row * node.value.pointee.nb.1)
    let valueCells = unsafe graph.tensor(
      GGML_TYPE_F16, (1, width, heads), strides: (2 * capacity, 2 * capacity * width), buffer: own.buffer,
      data: valueBase + last * 2)
    let keys = unsafe graph.tensor(
      GGML_TYPE_F16, (d, n, heads), strides: (2 * d, 2 * d * capacity), buffer: own.buffer, data: own.base)
    let values = unsafe graph.tensor(
      GGML_TYPE_F16, (n, width, heads), strides: (2 * capacity, 2 * capacity * width), buffer: own.buffer,
      data: valueBase)
    let query = unsafe node.query.pointee
    let queries = unsafe graph.tensor(
      GGML_TYPE_F32, (d, g, heads), strides: (query.nb.2, g * query.nb.2), buffer: queryBuffer,
      data: queryData + row * query.nb.1)
    var place = 0
    func scratchSpace() -> DeviceGraph.Place {
      defer { place += Self.padded(layer.shape.headCount * n * 4) }
      return unsafe (scratch.buffer, scratch.base + place)
    }
    let outputData = unsafe results.base
    let sumData = unsafe results.base + outputBytes(layer)
    let nodes = unsafe graph.nodes { context, add in
      _ = unsafe add(ggml_cpy(context, newKey, keyCell), nil)
      _ = unsafe add(ggml_cpy(context, newValue, valueCells), nil)
      let scores = unsafe add(graph.product(keys, queries), scratchSpace())
      let shares = unsafe add(
        ggml_soft_max_ext(context, scores, nil, layer.shape.scale, 0), scratchSpace())
      _ = unsafe add(graph.product(values, shares), (results.buffer, outputData))
      let positive = unsafe add(ggml_clamp(context, shares, 1e-30, 1), scratchSpace())
      let logarithms = unsafe add(ggml_log(context, positive), scratchSpace())
      let scaled = unsafe add(ggml_scale(context, scores, layer.shape.scale), scratchSpace())
      let differences = unsafe add(ggml_sub(context, scaled, logarithms), scratchSpace())
      let terms = unsafe add(ggml_mul(context, positive, differences), scratchSpace())
      _ = unsafe add(ggml_sum_rows(context, terms), (results.buffer, sumData))
    }
    isIncapable = unsafe !nodes.allSatisfy { unsafe ggml_backend_supports_op(stream.handle, $0) }
    guard !isIncapable else { return false }
    rows.window = nil
    try stream.start(graph)
    // As the store will have it after the step.
    rows.window = FixedRows(
      sinkCount: window.sinkCount, windowCount: window.windowCount + 1, rowCount: window.rowCount + 1,
      version: window.version)
    current = layer
    return true
  }

  private func outputBytes(_ layer: TakeoverReport.Layer) -> Int {
    Self.padded(layer.shape.headCount * layer.shape.valueDimension * 4)
  }

  /// Waits for the present layer and reads its result, which is there until the buffer is used again.
  @discardableResult
  func readResult(into buffer: StagingBuffer) -> AttendedHeads {
    let outputs = current.map(outputBytes) ?? 0
    let byteCount = outputs + (current?.shape.headCount ?? 0) * 4
    let memory = unsafe buffer.reserve(byteCount, for: stream.device)
    unsafe ggml_backend_synchronize(stream.handle)
    unsafe results.read(memory, byteCount: byteCount, at: 0)
    let floats = unsafe memory.assumingMemoryBound(to: Float.self)
    return unsafe AttendedHeads(outputs: floats, logSumExps: floats + outputs / 4)
  }
}

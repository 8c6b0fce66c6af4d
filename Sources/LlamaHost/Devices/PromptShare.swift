// One device's part of the attention to a prompt: where its keys and values lie, and the graph of a batch.

import CLlama

/// Attends to a prompt in the layers that one device has.
final class PromptShare {
  let stream: DeviceStream
  /// Bytes for keys and values, and for masks.
  let rowBytes: Int
  let maskBytes: Int
  let residentLayers: Int
  let streamedLayers: Int
  /// Whether all layers stay that see the whole context.
  let keepsContext: Bool
  /// Layers that stay on the device, by number.
  private let resident: [Int: LayerRows]
  /// Where the others come by.
  private let passing: DeviceMemoryBlock?
  private let masks: [Mask]
  private let graph = DeviceGraph(capacity: 16)
  /// Bytes of masks that were sent.
  private(set) var sentMaskBytes = 0

  /// Keys and values of one layer, `[KV heads, cells, width]` each.
  private final class LayerRows {
    let block: DeviceMemoryBlock
    /// Tokens whose rows lie in the cells from 0 on.
    var count = 0
    /// The first of them came from main memory, in whatever order they had there.
    var sentCount = 0

    init(_ block: DeviceMemoryBlock) { self.block = block }
  }

  /// What tokens see in layers of one kind.
  private final class Mask {
    let window: Int?
    let block: DeviceMemoryBlock
    var visible = -1
    var count = 0

    init(window: Int?, block: DeviceMemoryBlock) {
      self.window = window
      self.block = block
    }
  }

  /// Kernels of GPUs want numbers of keys like these.
  private static let cellMultiple = 256

  /// - Parameter available: bytes to take at most; nil for as many as the device gives.
  init(
    layers: [TakeoverReport.Layer], end: Int, batchCapacity: Int, stream: DeviceStream, available: Int?
  ) throws {
    self.stream = stream
    func cells(_ layer: TakeoverReport.Layer) -> Int {
      Self.cellCount(layer.shape.slidingWindow.map { min(end, $0 + batchCapacity) } ?? end)
    }
    let bytes = layers.map { Self.byteCount($0, cells: cells($0)) }
    let windows = Set(layers.map(\.shape.slidingWindow))
    let maskSizes = windows.map { window in
      (window, (layers.first { $0.shape.slidingWindow == window }.map(cells) ?? 0) * batchCapacity * 2)
    }
    maskBytes = maskSizes.reduce(0) { $0 + $1.1 }
    // Layers with a window send it with each batch: it is short.
    let full = layers.indices.filter { layers[$0].shape.slidingWindow == nil }
    let largest = bytes.max() ?? 0
    var room = (available ?? .max) - maskBytes
    var kept = full.count
    let total = full.reduce(0) { $0 + bytes[$1] }
    if total > room || full.count < layers.count {
      room -= largest
      guard room >= 0 else {
        throw LlamaError.promptMemoryInsufficient(
          device: stream.name, needed: maskBytes + largest, available: max(0, available ?? 0))
      }
      kept = 0
      for index in full {
        guard bytes[index] <= room else { break }
        room -= bytes[index]
        kept += 1
      }
    }
    masks = try maskSizes.map { window, byteCount in
      Mask(window: window, block: try Self.block(byteCount, on: stream))
    }
    var passing = kept < layers.count ? try Self.block(largest, on: stream) : nil
    var resident: [(layer: Int, rows: LayerRows)] = []
    for index in full.prefix(kept) {
      if let block = DeviceMemoryBlock(byteCount: bytes[index], on: stream) {
        resident.append((layers[index].number, LayerRows(block)))
        continue
      }
      // Less than it said: this layer and the rest come by as well.
      if passing == nil {
        if !resident.isEmpty { resident.removeLast() }
        passing = try Self.block(largest, on: stream)
      }
      break
    }
    self.passing = passing
    self.resident = Dictionary(uniqueKeysWithValues: resident.map { ($0.layer, $0.rows) })
    residentLayers = resident.count
    streamedLayers = layers.count - resident.count
    keepsContext = resident.count == full.count
    rowBytes = resident.reduce(0) { $0 + $1.rows.block.byteCount } + (passing?.byteCount ?? 0)
  }

  private static func block(_ byteCount: Int, on stream: DeviceStream) throws -> DeviceMemoryBlock {
    guard let block = DeviceMemoryBlock(byteCount: byteCount, on: stream) else {
      throw LlamaError.promptMemoryInsufficient(
        device: stream.name, needed: byteCount, available: stream.freeBytes ?? 0)
    }
    return block
  }

  private static func cellCount(_ tokens: Int) -> Int {
    (tokens + cellMultiple - 1) / cellMultiple * cellMultiple
  }

  private static func byteCount(_ layer: TakeoverReport.Layer, cells: Int) -> Int {
    cells * layer.shape.kvHeadCount * (layer.shape.headDimension + layer.shape.valueDimension) * 2
  }

  /// Cells between one KV head and the next: all that a block has room for.
  private static func cells(of block: DeviceMemoryBlock, _ layer: TakeoverReport.Layer) -> Int {
    let row = byteCount(layer, cells: 1)
    return block.byteCount / row / cellMultiple * cellMultiple
  }

  /// Earlier tokens that a batch's tokens may see.
  private static func visible(_ layer: TakeoverReport.Layer, before: Int) -> Int {
    layer.shape.slidingWindow.map { min(before, $0 - 1) } ?? before
  }

  /// Sends the keys and values of earlier tokens that are not on the device. Returns how many bytes they are.
  ///
  /// - Parameter before: tokens of the context before the batch.
  func send(
    _ layer: TakeoverReport.Layer, before: Int, stored: any StoredRows
  ) throws -> Int {
    let rows = resident[layer.number]
    // Of rows in another order than the text's nobody knows which ones a context that was cut has kept; what is missing
    // lies among the rest in the store, in whatever order. So it is all or nothing.
    if let rows, rows.sentCount <= before, before <= rows.count { return 0 }
    rows?.count = 0
    guard let block = rows?.block ?? passing else { return 0 }
    let wanted = Self.visible(layer, before: before)
    guard wanted > 0 else { return 0 }
    let cells = Self.cells(of: block, layer)
    let (keyRow, valueRow) = (2 * layer.shape.headDimension, 2 * layer.shape.valueDimension)
    let values = layer.shape.kvHeadCount * cells * keyRow
    for head in 0..<layer.shape.kvHeadCount {
      try stored.withHalfPrecisionRows(layer: layer.number, kvHead: head, count: wanted, skipping: 0) {
        rows in
        unsafe block.write(rows.keys, byteCount: wanted * keyRow, at: head * cells * keyRow)
        unsafe block.write(rows.values, byteCount: wanted * valueRow, at: values + head * cells * valueRow)
      }
    }
    rows?.count = before
    rows?.sentCount = before
    return wanted * layer.shape.kvHeadCount * (keyRow + valueRow)
  }

  /// Begins to copy the batch's keys and values to the others and to attend to all of them. The answer is false for a
  /// layer that the device cannot attend to.
  func start(_ node: AttentionNode, rows: Range<Int>, before: Int) throws -> Bool {
    let layer = node.layer
    let kept = resident[layer.number]
    guard let block = kept?.block ?? passing,
      let mask = masks.first(where: { $0.window == layer.shape.slidingWindow }),
      let outputBuffer = unsafe HostTensor.buffer(node.output),
      let outputData = unsafe node.output.pointee.data,
      let queryBuffer = unsafe HostTensor.buffer(node.query), let queryData = unsafe node.query.pointee.data
    else { return false }
    let visible = Self.visible(layer, before: before)
    let used = Self.cellCount(visible + rows.count)
    let cells = Self.cells(of: block, layer)
    precondition(used <= cells, "\(used) of \(cells) cells")
    sentMaskBytes += prepare(mask, visible: visible, count: rows.count, cells: used)
    graph.removeAll()
    let (d, width, heads) = (layer.shape.headDimension, layer.shape.valueDimension, layer.shape.kvHeadCount)
    let valueOffset = heads * cells * d * 2
    func own(_ offset: Int, _ width: Int, from first: Int, count: Int) -> TensorPointer {
      unsafe graph.tensor(
        GGML_TYPE_F16, (width, count, heads), strides: (2 * width, 2 * width * cells), buffer: block.buffer,
        data: block.base + offset + first * 2 * width)
    }
    func new(_ tensor: TensorPointer, _ width: Int) -> TensorPointer? {
      guard let buffer = unsafe HostTensor.buffer(tensor), let data = unsafe tensor.pointee.data else {
        return nil
      }
      return unsafe graph.tensor(
        GGML_TYPE_F16, (width, rows.count, heads), strides: (tensor.pointee.nb.1, tensor.pointee.nb.2),
        buffer: buffer, data: data + rows.lowerBound * tensor.pointee.nb.1)
    }
    guard let newKeys = unsafe new(node.key, d), let newValues = unsafe new(node.value, width) else {
      return false
    }
    let keyCells = unsafe own(0, d, from: visible, count: rows.count)
    let valueCells = unsafe own(valueOffset, width, from: visible, count: rows.count)
    let query = unsafe node.query.pointee
    let queries = unsafe graph.tensor(
      GGML_TYPE_F32, (d, rows.count, layer.shape.headCount), strides: (query.nb.1, query.nb.2),
      buffer: queryBuffer,
      data: queryData + rows.lowerBound * query.nb.1)
    let keys = unsafe own(0, d, from: 0, count: used)
    let values = unsafe own(valueOffset, width, from: 0, count: used)
    let seen = unsafe graph.tensor(
      GGML_TYPE_F16, (used, rows.count, 1), strides: (2 * used, 2 * used * rows.count),
      buffer: mask.block.buffer, data: mask.block.base)
    var hasRoom = true
    let nodes = unsafe graph.nodes { context, add in
      _ = unsafe add(ggml_cpy(context, newKeys, keyCells), nil)
      _ = unsafe add(ggml_cpy(context, newValues, valueCells), nil)
      let attention = unsafe ggml_flash_attn_ext(
        context, queries, keys, values, seen, layer.shape.scale, 0, 0)
      guard let attention = unsafe attention else { return }
      _ = unsafe ggml_prec_set_acc(attention, GGML_PREC_F32)
      // Some back ends (Metal) work behind the output, where the host has left room for its own shapes only.
      hasRoom = unsafe ggml_backend_buffer_get_alloc_size(outputBuffer, attention) <= ggml_nbytes(attention)
      guard hasRoom else { return }
      _ = unsafe add(attention, (outputBuffer, outputData + rows.lowerBound * node.output.pointee.nb.2))
    }
    guard hasRoom, unsafe nodes.allSatisfy({ unsafe ggml_backend_supports_op(stream.handle, $0) }) else {
      return false
    }
    kept?.count = 0
    try stream.start(graph)
    kept?.count = before + rows.count
    return true
  }

  /// Token i sees the `visible` cells and those of the batch up to its own, or of these the last ones. Returns how many
  /// bytes were sent.
  private func prepare(_ mask: Mask, visible: Int, count: Int, cells: Int) -> Int {
    guard mask.visible != visible || mask.count != count else { return 0 }
    let hidden: UInt16 = 0xfc00  // -infinity
    let values = unsafe [UInt16](unsafeUninitializedCapacity: cells * count) { buffer, initialized in
      for token in 0..<count {
        let row = buffer.extracting(token * cells..<(token + 1) * cells)
        let end = visible + token + 1
        let begin = mask.window.map { max(0, end - $0) } ?? 0
        unsafe row[..<begin].initialize(repeating: hidden)
        unsafe row[begin..<end].initialize(repeating: 0)
        unsafe row[end...].initialize(repeating: hidden)
      }
      initialized = cells * count
    }
    mask.block.write(values, at: 0)
    (mask.visible, mask.count) = (visible, count)
    return 2 * cells * count
  }
}

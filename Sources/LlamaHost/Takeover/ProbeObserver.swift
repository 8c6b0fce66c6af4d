// Writes down what the host's attention nodes look like.

import CLlama

/// Nodes are looked at when the host shows them, and remembered no longer than for the graph that they are of.
@safe final class ProbeObserver: NodeObserver {
  struct Record {
    /// The layer whose cache it reads.
    var cacheLayer: Int
    /// The layer that it is of: another one when several nodes read one layer's cache, -1 when it is not known which.
    var layer: Int
    var headCount: Int
    var kvHeadCount: Int
    var headDimension: Int
    var valueDimension: Int
    var scale: Float
    var alibiBias: Float
    var softCap: Float
    var sinks: [Float]?
    /// Whether values are the beginnings of keys, in the same memory.
    var valuesAreKeys: Bool
    var keyType: String
    var valueType: String
    var shapeProblem: String?
    /// Whether each token sees exactly itself and the tokens before it.
    var isCausal: Bool
    /// Whether the last token sees the key in cell 0.
    var seesFirstCell: Bool
    /// Whether the batch's rows went to the cells from 0 on. Only meaningful for the first batch.
    var isInOrder: Bool
    var rope: RopeParameters?
  }

  private(set) var unknownCacheCount = 0
  /// Layers that keep keys.
  private(set) var storedLayers: Set<Int> = []
  private let layerCount: Int
  private var records: [Record] = []
  private var ropes: [TensorPointer] = unsafe []
  private var stored = StoredCacheRows()

  init(layerCount: Int) { self.layerCount = layerCount }

  /// What was seen since the last call.
  ///
  /// The first node that reads a layer's cache is that layer's own. Further ones are those of the layers that have no
  /// cache, in order.
  func takeRecords() -> [Record] {
    defer { records = [] }
    let owners = Set(records.map(\.cacheLayer))
    var seen: Set<Int> = []
    let sharing = records.indices.filter { !seen.insert(records[$0].cacheLayer).inserted }
    let others = (0..<layerCount).filter { !owners.contains($0) }
    let isKnown = others.count == sharing.count
    for (index, layer) in zip(sharing, isKnown ? others : Array(repeating: -1, count: sharing.count)) {
      records[index].layer = layer
    }
    return records
  }

  override func visit(_ node: TensorPointer, isAsking: Bool) -> Bool {
    guard isAsking else {
      unsafe record(node)
      unsafe ropes = unsafe []
      stored.removeAll()
      return true
    }
    switch unsafe node.pointee.op {
    case GGML_OP_FLASH_ATTN_EXT: return true
    case GGML_OP_ROPE: unsafe ropes.append(node)
    case GGML_OP_SET_ROWS:
      if unsafe HostTensor.cacheLayer(node) != nil, let rows = unsafe node.pointee.src.1 {
        unsafe stored.note(node, isInOrder: HostTensor.isInOrder(rows, count: Int(rows.pointee.ne.0)))
        if let cache = unsafe HostTensor.cacheLayer(node), cache.isKey { storedLayers.insert(cache.layer) }
      }
    default: break
    }
    return false
  }

  private func record(_ node: TensorPointer) {
    guard let query = unsafe node.pointee.src.0, let key = unsafe node.pointee.src.1,
      let value = unsafe node.pointee.src.2,
      let cache = unsafe HostTensor.cacheLayer(key), cache.isKey
    else {
      unknownCacheCount += 1
      return
    }
    func parameter(_ value: Int32) -> Float { Float(bitPattern: UInt32(bitPattern: value)) }
    let parameters = unsafe node.pointee.op_params
    let tokenCount = unsafe Int(query.pointee.ne.1)
    let (headDimension, bias) = unsafe (Int(query.pointee.ne.0), parameter(parameters.1))
    let valuesAreKeys = unsafe HostTensor.areKeys(value, key)
    let mask = unsafe node.pointee.src.3.map {
      unsafe readMask($0, tokenCount: tokenCount, isBiased: bias != 0)
    }
    func type(_ tensor: TensorPointer) -> String {
      unsafe ggml_type_name(tensor.pointee.type).map { unsafe String(cString: $0) } ?? "?"
    }
    let rope = unsafe ropes.last.map { last in
      unsafe RopeParameters(
        node: last, headDimension: headDimension,
        isAmbiguous: ropes.contains { unsafe !RopeParameters.agree($0, last, headDimension: headDimension) })
    }
    // Layers that read another one's keys store none.
    let isFirst = !records.contains { $0.cacheLayer == cache.layer }
    unsafe records.append(
      Record(
        cacheLayer: cache.layer, layer: cache.layer, headCount: Int(query.pointee.ne.2),
        kvHeadCount: Int(key.pointee.ne.2),
        headDimension: headDimension, valueDimension: Int(value.pointee.ne.0),
        scale: parameter(parameters.0), alibiBias: bias, softCap: parameter(parameters.2),
        sinks: node.pointee.src.4.map { unsafe HostTensor.floats($0) }, valuesAreKeys: valuesAreKeys,
        keyType: type(key), valueType: type(value),
        shapeProblem: shapeProblem(node, query, key, value),
        isCausal: mask?.isCausal ?? false, seesFirstCell: mask?.seesFirstCell ?? true,
        isInOrder: !isFirst
          || stored.isInOrder(key) == true && (valuesAreKeys || stored.isInOrder(value) == true),
        rope: rope))
  }

  private func shapeProblem(
    _ node: TensorPointer, _ query: TensorPointer, _ key: TensorPointer, _ value: TensorPointer
  ) -> String? {
    let heads = unsafe query.pointee.ne.2
    let kvHeads = unsafe key.pointee.ne.2
    if unsafe query.pointee.type != GGML_TYPE_F32 || node.pointee.type != GGML_TYPE_F32 {
      return "queries or outputs are not single-precision"
    }
    if unsafe query.pointee.ne.3 != 1 || key.pointee.ne.3 != 1 || value.pointee.ne.3 != 1 {
      return "attention is split into streams"
    }
    if kvHeads < 1 || heads % kvHeads != 0 {
      return "\(heads) heads do not share \(kvHeads) key-value heads evenly"
    }
    if unsafe value.pointee.ne.2 != kvHeads { return "keys and values have different numbers of heads" }
    if unsafe key.pointee.ne.0 != query.pointee.ne.0 { return "queries and keys differ in width" }
    if unsafe query.pointee.nb.0 != 4 || key.pointee.nb.0 != 2 || value.pointee.nb.0 != 2 {
      return "the elements of a head are not contiguous"
    }
    if let sinks = unsafe node.pointee.src.4,
      unsafe sinks.pointee.type != GGML_TYPE_F32 || sinks.pointee.ne.0 != heads
    {
      return "there is not one sink for each head"
    }
    return nil
  }

  /// - Parameter isBiased: whether finite numbers tell the distance, for biases that grow with it.
  private func readMask(
    _ mask: TensorPointer, tokenCount: Int, isBiased: Bool
  ) -> (isCausal: Bool, seesFirstCell: Bool) {
    let cellCount = unsafe Int(mask.pointee.ne.0)
    guard unsafe Int(mask.pointee.ne.1) >= tokenCount, cellCount >= tokenCount,
      unsafe mask.pointee.type == GGML_TYPE_F16 || mask.pointee.type == GGML_TYPE_F32
    else { return (false, false) }
    let isHalf = unsafe mask.pointee.type == GGML_TYPE_F16
    let size = isHalf ? 2 : 4
    let count = cellCount * tokenCount
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count * size) { buffer, initialized in
      unsafe ggml_backend_tensor_get(mask, buffer.baseAddress, 0, count * size)
      initialized = count * size
    }
    // Zero is visible, minus infinity is not; anything else is a bias, which only distances explain.
    func isVisible(_ token: Int, _ cell: Int) -> Bool {
      let offset = (token * cellCount + cell) * size
      let element = bytes[offset..<offset + size]
      let isHidden = isHalf ? element.last == 0xfc : element.elementsEqual([0, 0, 0x80, 0xff])
      return isBiased ? !isHidden : element.allSatisfy { $0 == 0 }
    }
    let isCausal = (0..<tokenCount).allSatisfy { token in
      (0..<cellCount).allSatisfy { isVisible(token, $0) == ($0 <= token) }
    }
    return (isCausal, isVisible(tokenCount - 1, 0))
  }
}

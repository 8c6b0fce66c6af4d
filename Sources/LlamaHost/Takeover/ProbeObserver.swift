// Writes down what the host's attention nodes look like.

import CLlama

final class ProbeObserver: NodeObserver {
  struct Record {
    var layer: Int
    var headCount: Int
    var kvHeadCount: Int
    var headDimension: Int
    var valueDimension: Int
    var scale: Float
    var alibiBias: Float
    var softCap: Float
    var hasSinks: Bool
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
  private var records: [Record] = []
  private var ropes: [TensorPointer] = []
  private var keyRows: TensorPointer?
  private var valueRows: TensorPointer?

  /// What was seen since the last call.
  func takeRecords() -> [Record] {
    defer { records = [] }
    return records
  }

  override func visit(_ node: TensorPointer, isAsking: Bool) -> Bool {
    guard isAsking else {
      record(node)
      (ropes, keyRows, valueRows) = ([], nil, nil)
      return true
    }
    switch node.pointee.op {
    case GGML_OP_FLASH_ATTN_EXT: return true
    case GGML_OP_ROPE: ropes.append(node)
    case GGML_OP_SET_ROWS:
      if let cache = HostTensor.cacheLayer(node) {
        if cache.isKey { keyRows = node.pointee.src.1 } else { valueRows = node.pointee.src.1 }
        if cache.isKey { storedLayers.insert(cache.layer) }
      }
    default: break
    }
    return false
  }

  private func record(_ node: TensorPointer) {
    guard let query = node.pointee.src.0, let key = node.pointee.src.1, let value = node.pointee.src.2,
      let cache = HostTensor.cacheLayer(key), cache.isKey
    else {
      unknownCacheCount += 1
      return
    }
    func parameter(_ value: Int32) -> Float { Float(bitPattern: UInt32(bitPattern: value)) }
    let parameters = node.pointee.op_params
    let tokenCount = Int(query.pointee.ne.1)
    let mask = node.pointee.src.3.map { readMask($0, tokenCount: tokenCount) }
    func type(_ tensor: TensorPointer) -> String {
      ggml_type_name(tensor.pointee.type).map { String(cString: $0) } ?? "?"
    }
    let rope = ropes.last.map { last in
      RopeParameters(node: last, isAmbiguous: ropes.contains { !RopeParameters.agree($0, last) })
    }
    func isInOrder(_ rows: TensorPointer?) -> Bool {
      rows.flatMap { HostTensor.indices($0, count: tokenCount) }?.elementsEqual(0..<Int64(tokenCount))
        ?? false
    }
    records.append(
      Record(
        layer: cache.layer, headCount: Int(query.pointee.ne.2), kvHeadCount: Int(key.pointee.ne.2),
        headDimension: Int(query.pointee.ne.0), valueDimension: Int(value.pointee.ne.0),
        scale: parameter(parameters.0), alibiBias: parameter(parameters.1), softCap: parameter(parameters.2),
        hasSinks: node.pointee.src.4 != nil, keyType: type(key), valueType: type(value),
        shapeProblem: shapeProblem(node, query, key, value),
        isCausal: mask?.isCausal ?? false, seesFirstCell: mask?.seesFirstCell ?? true,
        isInOrder: isInOrder(keyRows) && isInOrder(valueRows), rope: rope))
  }

  private func shapeProblem(
    _ node: TensorPointer, _ query: TensorPointer, _ key: TensorPointer, _ value: TensorPointer
  ) -> String? {
    let heads = query.pointee.ne.2
    let kvHeads = key.pointee.ne.2
    if query.pointee.type != GGML_TYPE_F32 || node.pointee.type != GGML_TYPE_F32 {
      return "queries or outputs are not single-precision"
    }
    if query.pointee.ne.3 != 1 || key.pointee.ne.3 != 1 || value.pointee.ne.3 != 1 {
      return "attention is split into streams"
    }
    if kvHeads < 1 || heads % kvHeads != 0 {
      return "\(heads) heads do not share \(kvHeads) key-value heads evenly"
    }
    if value.pointee.ne.2 != kvHeads { return "keys and values have different numbers of heads" }
    if key.pointee.ne.0 != query.pointee.ne.0 { return "queries and keys differ in width" }
    if query.pointee.nb.0 != 4 || key.pointee.nb.0 != 2 || value.pointee.nb.0 != 2 {
      return "the elements of a head are not contiguous"
    }
    return nil
  }

  private func readMask(_ mask: TensorPointer, tokenCount: Int) -> (isCausal: Bool, seesFirstCell: Bool) {
    let cellCount = Int(mask.pointee.ne.0)
    guard Int(mask.pointee.ne.1) >= tokenCount, cellCount >= tokenCount,
      mask.pointee.type == GGML_TYPE_F16 || mask.pointee.type == GGML_TYPE_F32
    else { return (false, false) }
    let isHalf = mask.pointee.type == GGML_TYPE_F16
    let size = isHalf ? 2 : 4
    let count = cellCount * tokenCount
    let bytes = [UInt8](unsafeUninitializedCapacity: count * size) { buffer, initialized in
      ggml_backend_tensor_get(mask, buffer.baseAddress, 0, count * size)
      initialized = count * size
    }
    // Zero is visible, minus infinity is not; anything else is a bias that is not for us to apply.
    func isVisible(_ token: Int, _ cell: Int) -> Bool {
      let offset = (token * cellCount + cell) * size
      return bytes[offset..<offset + size].allSatisfy { $0 == 0 }
    }
    let isCausal = (0..<tokenCount).allSatisfy { token in
      (0..<cellCount).allSatisfy { isVisible(token, $0) == ($0 <= token) }
    }
    return (isCausal, isVisible(tokenCount - 1, 0))
  }
}

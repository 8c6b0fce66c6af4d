// Keys, values and positions of one KV head: the vector store that indexes refer to.

package import AttentionKernels
package import VectorIndex

/// The rows of one KV head: keys and values `[count, d]` and the position each row came from.
///
/// Room for `capacity` rows is reserved as address space; memory is used as rows are written, and nothing moves
/// when the store grows. Row order is the order of appending, except where an index has put its rows in an order
/// of its own (attention does not care about order). One owner, not thread-safe.
@safe public final class HeadRows {
  /// Width of a key, and of a value as it is kept.
  public let dimension: Int
  /// Elements of a value that are not zero in every row.
  package let valueDimension: Int
  package let capacity: Int
  /// Rows that are there.
  public private(set) var count = 0
  /// Rows from here on are other than the ones that were last saved (all of them, when none were).
  package private(set) var firstUnsavedRow = 0
  package let keys: PackedRows
  package let values: PackedRows
  package var keyValues: KeyValueRows { KeyValueRows(keys: keys, values: values) }
  package let positions: UnsafeMutablePointer<UInt32>
  /// What was taken away from every key before it was rounded to eight bits, `[dimension]`; nil for nothing.
  ///
  /// What all keys have in common changes no softmax: scores and log-sum-exps of a head are all less by the same.
  package var keyOffsets: ListView<Float>? { unsafe offsets.count > 0 ? offsets.list : nil }
  private var offsets = RowBuffer<Float>()
  private let takesOffsets: Bool
  let memory: ReservedMemory

  /// Rows for one KV head of a layer. Throws ``AttentionError/reservationFailed(bytes:code:)``.
  ///
  /// Values that are narrower than keys are followed by zeros. Where values are keys, both are the same memory.
  package init(
    of layer: LayerShape, format: KeyValueFormat = KeyValueFormat(), capacity: Int
  ) throws(AttentionError) {
    dimension = layer.headDimension
    valueDimension = layer.valuesAreKeys ? layer.headDimension : layer.valueDimension
    // What is taken away from a key would be missing in its value, and from a score before it is bent.
    takesOffsets = !layer.valuesAreKeys && !layer.isBent
    self.capacity = capacity
    // Each of the three areas starts on a boundary of its own, so that none shares a page with another's end.
    let alignment = 1 << 16
    func area(_ bytesPerRow: Int) -> Int { (capacity * bytesPerRow + alignment - 1) / alignment * alignment }
    let keyArea = area(format.keys.bytesPerRow(dimension: dimension))
    let valueArea = layer.valuesAreKeys ? 0 : area(format.values.bytesPerRow(dimension: dimension))
    memory = try ReservedMemory(byteCount: keyArea + valueArea + area(4))
    keys = unsafe PackedRows(memory.base, format: format.keys, dimension: dimension)
    values =
      unsafe layer.valuesAreKeys
      ? keys : PackedRows(memory.base + keyArea, format: format.values, dimension: dimension)
    unsafe positions = (memory.base + keyArea + valueArea).assumingMemoryBound(to: UInt32.self)
    for area in [0..<keyArea, keyArea..<keyArea + valueArea] where area.count > Self.hugePageStart {
      memory.preferHugePages(area.lowerBound + Self.hugePageStart..<area.upperBound)
    }
  }

  /// Bytes of keys, and of values, in ordinary pages: a short context must not take two huge pages for each head.
  private static let hugePageStart = 4 << 20

  /// Bytes that one row takes.
  package static func bytesPerRow(_ format: KeyValueFormat, of layer: LayerShape) -> Int {
    let d = layer.headDimension
    return (layer.valuesAreKeys ? format.keys.bytesPerRow(dimension: d) : format.bytesPerRow(dimension: d))
      + 4
  }

  /// Whether values are kept, and are not the keys themselves.
  package var hasValues: Bool { unsafe values.base != keys.base }
  /// Keys and values, each memory once.
  var areas: [PackedRows] { hasValues ? [keys, values] : [keys] }
  /// Bytes of a key and its value.
  package var keyValueBytes: Int { keys.stride + (hasValues ? values.stride : 0) }
  /// Bytes that one row takes.
  package var bytesPerRow: Int { keyValueBytes + 4 }
  /// Bytes written so far.
  package var byteCount: Int { count * bytesPerRow }

  /// The key of a row, `[dimension]`; less what was taken away from all keys before they were rounded to eight bits.
  public func key(_ row: Int) -> [Float] { unpacked(keys, row) }
  /// The value of a row, `[dimension]`.
  public func value(_ row: Int) -> [Float] { unpacked(values, row) }

  private func unpacked(_ packed: PackedRows, _ row: Int) -> [Float] {
    precondition((0..<count).contains(row), "row \(row) of \(count)")
    return unsafe [Float](unsafeUninitializedCapacity: dimension) { target, initialized in
      unsafe Kernels.active.unsafeUnpack(
        packed.from(row), rowCount: 1, dimension: dimension, target: target.baseAddress!,
        targetStride: dimension)
      initialized = dimension
    }
  }

  /// Rows as an index takes them.
  package func indexRows(from first: Int, count: Int) -> IndexRows {
    IndexRows(keys: keys.from(first), values: values.from(first), count: count)
  }

  /// Appends `rows` f16 keys and values that stand `stride` elements apart, for positions from `firstPosition` on; in
  /// another format they are rounded.
  ///
  /// Throws ``AttentionError/capacityExceeded(tokens:capacity:)`` and then appends nothing.
  package func append(
    keys newKeys: UnsafePointer<UInt16>, keyStride: Int, values newValues: UnsafePointer<UInt16>,
    valueStride: Int, rows: Int, firstPosition: Int
  ) throws(AttentionError) {
    guard rows <= capacity - count else {
      throw .capacityExceeded(tokens: count + rows, capacity: capacity)
    }
    if count == 0, keys.format == .int8, takesOffsets {
      unsafe learnKeyOffsets(newKeys, stride: keyStride, count: rows)
    }
    unsafe write(newKeys, stride: keyStride, count: rows, offsets: keyOffsets, to: keys.from(count))
    if valueDimension < dimension {
      unsafe writePadded(newValues, stride: valueStride, count: rows, to: values.from(count))
    } else if hasValues {
      unsafe write(newValues, stride: valueStride, count: rows, offsets: nil, to: values.from(count))
    }
    for row in 0..<rows { unsafe positions[count + row] = UInt32(firstPosition + row) }
    count += rows
  }

  /// Rows that offsets are learned from: fewer say nothing about what all have in common.
  private static let offsetRows = 8...512

  /// The mean of the keys of the first batch, but for outliers, in elements where it is over three standard deviations:
  /// biases of a model's projections can make these so much larger than the others of their block that those would be
  /// lost beside them.
  private func learnKeyOffsets(_ source: UnsafePointer<UInt16>, stride: Int, count: Int) {
    offsets.removeAll()
    let first = min(count, Self.offsetRows.upperBound)
    guard first >= Self.offsetRows.lowerBound else { return }
    let apart = unsafe OutlierRows.find(
      keys: PackedRows(source, stride: stride), values: nil, count: first, dimension: dimension,
      workspace: Workspace())
    let kept = (0..<first).filter { !apart.contains(UInt32($0)) }
    let count = kept.count
    let mean = unsafe offsets.grow(by: dimension)
    unsafe mean.update(repeating: 0, count: dimension)
    var squares = [Float](repeating: 0, count: dimension)
    var key = [Float](repeating: 0, count: dimension)
    for pass in 0..<2 {
      for row in kept {
        unsafe Kernels.active.unsafeConvertFromFloat16(source + row * stride, &key, count: dimension)
        for i in 0..<dimension {
          if pass == 0 {
            unsafe mean[i] += key[i] / Float(count)
          } else {
            unsafe squares[i] += (key[i] - mean[i]) * (key[i] - mean[i])
          }
        }
      }
    }
    for i in 0..<dimension where unsafe !(mean[i] * mean[i] > 9 * squares[i] / Float(count)) {
      unsafe mean[i] = 0
    }
  }

  private func writePadded(
    _ source: UnsafePointer<UInt16>, stride: Int, count: Int, to rows: PackedRows
  ) {
    var padded = [UInt16](repeating: 0, count: count * dimension)
    unsafe padded.withUnsafeMutableBufferPointer { padded in
      guard let base = padded.baseAddress else { return }
      for row in 0..<count {
        unsafe (base + row * dimension).update(from: source + row * stride, count: valueDimension)
      }
      unsafe write(base, stride: dimension, count: count, offsets: nil, to: rows)
    }
  }

  private func write(
    _ source: UnsafePointer<UInt16>, stride: Int, count: Int, offsets: ListView<Float>?,
    to rows: PackedRows
  ) {
    let target = unsafe UnsafeMutableRawPointer(mutating: rows.base)
    switch rows.format {
    case .float16:
      for row in 0..<count {
        unsafe (target + row * rows.stride).copyMemory(from: source + row * stride, byteCount: rows.stride)
      }
    case .int8:
      unsafe Kernels.active.unsafeQuantize(
        PackedRows(source, stride: stride), rowCount: count, dimension: dimension, offsets: offsets?.base,
        target: target, targetStride: rows.stride)
    }
  }

  /// Drops all rows from `newCount` on.
  public func removeLast(to newCount: Int) {
    precondition(newCount >= 0 && newCount <= count, "cannot keep \(newCount) of \(count) rows")
    count = newCount
    willChange(from: newCount)
  }

  /// Must be told before rows from `row` on are changed where they lie; appending needs no notice.
  package func willChange(from row: Int) { firstUnsavedRow = min(firstUnsavedRow, row) }

  /// The first `count` rows are there, as they were saved.
  func didRestore(count newCount: Int) {
    precondition(newCount >= 0 && newCount <= capacity, "\(newCount) rows do not fit into \(capacity)")
    count = newCount
    firstUnsavedRow = newCount
  }

  /// What ``keyOffsets`` were when the rows were saved; of no length for nothing.
  func didRestore(keyOffsets: consuming RowBuffer<Float>) { offsets = keyOffsets }

  /// Drops the first rows and moves the last `kept` ones to the front.
  package func keepLast(_ kept: Int) {
    precondition(kept >= 0 && kept <= count, "cannot keep \(kept) of \(count) rows")
    let first = count - kept
    for rows in areas {
      // The two may overlap.
      unsafe rows.unsafeUpdate(
        from: rows.from(first).base, byteCount: kept * rows.stride)
    }
    unsafe positions.update(from: positions + first, count: kept)
    count = kept
    if first > 0 { willChange(from: 0) }
  }
}

// Rows for others to compute with.

import AttentionKernels

extension AttentionEngine: StoredRows {
  /// Calls `body` with keys and values `[count, d]` of one KV head in half precision: the last `count` rows but for the
  /// very last `skipped` ones, in the order of the text where no index has put them into another. Where rows are stored
  /// so, nothing is copied.
  package func withHalfPrecisionRows(
    layer: Int, kvHead: Int, count: Int, skipping skipped: Int, _ body: (HalfPrecisionRows) throws -> Void
  ) throws {
    guard shape[layer] != nil else {
      throw AttentionError.unknownLayer(layer, layerCount: shape.layers.count)
    }
    let rows = rows(layer: layer, kvHead: kvHead)
    guard skipped >= 0, count >= 0, skipped <= rows.count, count <= rows.count - skipped else {
      throw AttentionError.invalidSetting(
        name: "count", value: "\(count) before \(skipped)", requirement: "among \(rows.count) rows")
    }
    let first = rows.count - skipped - count
    try unsafe withHalfPrecision(rows.keys.from(first), rows, count: count, offsets: rows.keyOffsets?.base) {
      keys in
      try unsafe withHalfPrecision(rows.values.from(first), rows, count: count, offsets: nil) { values in
        try unsafe body(HalfPrecisionRows(keys: keys, values: values))
      }
    }
  }

  private func withHalfPrecision(
    _ packed: PackedRows, _ rows: HeadRows, count: Int, offsets: UnsafePointer<Float>?,
    _ body: (UnsafePointer<UInt16>) throws -> Void
  ) rethrows {
    let d = rows.dimension
    switch packed.format {
    case .float16: try unsafe body(packed.base.assumingMemoryBound(to: UInt16.self))
    case .int8:
      let kernels = Kernels.active
      var row = [Float](repeating: 0, count: d)
      let target = unsafe [UInt16](unsafeUninitializedCapacity: max(1, count * d)) { buffer, initialized in
        for number in 0..<count {
          unsafe kernels.unsafeUnpack(
            packed.from(number), rowCount: 1, dimension: d, target: &row, targetStride: d)
          // What was taken away from every key: keys of a batch have it.
          if let offsets = unsafe offsets { for i in 0..<d { unsafe row[i] += offsets[i] } }
          unsafe kernels.unsafeConvertToFloat16(row, buffer.baseAddress! + number * d, count: d)
        }
        initialized = count * d
      }
      try unsafe body(target)
    }
  }
}

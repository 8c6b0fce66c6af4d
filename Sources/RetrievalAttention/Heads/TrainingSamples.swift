// Queries seen during prefill and decode, kept as what the index learns from.

import AttentionKernels
package import VectorIndex

/// A sample of one KV head's queries with their attention outputs.
///
/// Every 32nd token is kept, back to 4096 tokens, and the very last 32: the questions to come are most like the
/// latest text, and a chat template puts the user's question last. Stored in f16.
package final class TrainingSamples {
  static let stride = 32
  static let recentCount = 32
  /// Elements of a token's queries that no other attention has.
  private static let usualWidth = 8192

  /// Tokens on the stride that are kept: fewer where a token's queries are very large, as those of latent attention.
  private let stridedCount: Int
  let groupSize: Int
  private let dimension: Int
  private var queries: RowBuffer<UInt16>  // [slots, groupSize, d]
  private var outputs: RowBuffer<UInt16>  // [slots, groupSize, d]
  private var logSumExps: RowBuffer<Float>  // [slots, groupSize]
  private var positions: RowBuffer<Int32>  // [slots], -1 for an empty one

  package init(groupSize: Int, dimension: Int) {
    self.groupSize = groupSize
    stridedCount = max(16, min(96, 96 * Self.usualWidth / max(1, groupSize * dimension)))
    self.dimension = dimension
    let slots = stridedCount + Self.recentCount
    queries = RowBuffer(capacity: slots * groupSize * dimension)
    outputs = RowBuffer(capacity: slots * groupSize * dimension)
    logSumExps = RowBuffer(capacity: slots * groupSize)
    positions = RowBuffer(capacity: slots)
    unsafe queries.grow(by: slots * groupSize * dimension)
    unsafe outputs.grow(by: slots * groupSize * dimension)
    unsafe logSumExps.grow(by: slots * groupSize)
    unsafe positions.grow(by: slots).update(repeating: -1, count: slots)
  }

  package var byteCount: Int {
    queries.byteCount + outputs.byteCount + logSumExps.byteCount + positions.byteCount
  }

  /// Whether a token should be recorded, when the batch it came in ends before position `batchEnd`.
  package func wants(position: Int, batchEnd: Int) -> Bool {
    // Not one whose slot a later token of the batch takes: they may come at once and in any order.
    position % Self.stride == 0
      ? isKept(position, at: batchEnd) : position >= batchEnd - Self.recentCount
  }

  /// Whether a token on the stride is still kept when the text has `end` tokens.
  func isKept(_ position: Int, at end: Int) -> Bool { position + Self.stride * stridedCount >= end }

  /// Keeps the queries and outputs `[groupSize, d]` and denominators `[groupSize]` of one token.
  ///
  /// - Parameters:
  ///   - scale: what the queries are multiplied by before they are kept.
  ///   - newLogSumExps: over keys from which nothing was taken away.
  package func record(
    position: Int, queries newQueries: UnsafePointer<Float>, scale: Float,
    outputs newOutputs: UnsafePointer<Float>,
    logSumExps newLogSumExps: UnsafePointer<Float>, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    // A token on the stride stands in its strided slot only, so that the training set has no duplicates.
    let slot =
      position % Self.stride == 0
      ? position / Self.stride % stridedCount : stridedCount + position % Self.recentCount
    let width = groupSize * dimension
    let scaled = unsafe scratch.floats(width)
    unsafe scaled.update(from: newQueries, count: width)
    unsafe workspace.kernels.unsafeScale(scaled, by: scale, count: width)
    unsafe workspace.kernels.unsafeConvertToFloat16(scaled, queries.base + slot * width, count: width)
    unsafe workspace.kernels.unsafeConvertToFloat16(newOutputs, outputs.base + slot * width, count: width)
    unsafe (logSumExps.base + slot * groupSize).update(from: newLogSumExps, count: groupSize)
    positions[slot] = Int32(position)
  }

  /// Forgets tokens from position `end` on.
  package func removeAll(from end: Int) {
    for slot in 0..<positions.count where Int(positions[slot]) >= end { positions[slot] = -1 }
  }

  /// Forgets tokens from position `end` on, but for when hardly any would be left: queries of a text that was dropped
  /// still tell how this head asks, until there are newer ones.
  func forget(from end: Int) {
    let left = (0..<positions.count).count { positions[$0] >= 0 && Int(positions[$0]) < end }
    if left >= Self.recentCount { removeAll(from: end) }
  }

  /// Adds everything to a segment.
  func addArrays(to segment: inout SegmentBuilder, _ place: StoredHead) {
    func add<Element>(_ tag: FileTag, _ rows: borrowing RowBuffer<Element>) {
      unsafe segment.add(
        tag, layer: place.layer, head: place.head, rows.list)
    }
    add("tque", queries)
    add("tout", outputs)
    add("tlse", logSumExps)
    add("tpos", positions)
  }

  /// Takes back what was saved; it stays in the file until it is overwritten.
  func restore(from source: HeadSource) throws(StorageError) {
    let slots = stridedCount + Self.recentCount
    let newQueries = try source.array("tque", of: UInt16.self, count: slots * groupSize * dimension)
    let newOutputs = try source.array("tout", of: UInt16.self, count: slots * groupSize * dimension)
    let newLogSumExps = try source.array("tlse", of: Float.self, count: slots * groupSize)
    let newPositions = try source.array("tpos", of: Int32.self, count: slots)
    queries = newQueries
    outputs = newOutputs
    logSumExps = newLogSumExps
    positions = newPositions
  }

  /// The sample in f32, in `scratch`, each query moved to `askPosition`.
  ///
  /// - Parameter keyOffsets: what was taken away from the keys that the index will see, if anything.
  package func trainingSet(
    askPosition: Int, rotary: RotaryEmbedding?, keyOffsets: ListView<Float>? = nil,
    in scratch: borrowing Scratch
  ) -> TrainingQueries {
    let kernels = scratch.kernels
    let slots = positions.count
    let width = groupSize * dimension
    let queryRows = unsafe scratch.floats(slots * width)
    let outputRows = unsafe scratch.floats(slots * width)
    let normalizers = unsafe scratch.floats(slots * groupSize)
    var count = 0
    for slot in 0..<slots where positions[slot] >= 0 {
      let target = unsafe queryRows + count * width
      unsafe kernels.unsafeConvertFromFloat16(queries.base + slot * width, target, count: width)
      unsafe kernels.unsafeConvertFromFloat16(
        outputs.base + slot * width, outputRows + count * width, count: width)
      unsafe (normalizers + count * groupSize).update(
        from: logSumExps.base + slot * groupSize, count: groupSize)
      unsafe rotary?.shift(
        target, count: groupSize, stride: dimension, by: askPosition - Int(positions[slot]))
      count += 1
    }
    if let keyOffsets {
      unsafe kernels.unsafeAddProducts(
        of: keyOffsets, with: FloatRows(queryRows, count: count * groupSize, dimension: dimension), by: -1,
        to: normalizers, scratch: scratch.floats(count * groupSize))
    }
    return unsafe TrainingQueries(
      queries: queryRows, outputs: outputRows, logSumExps: normalizers, count: count * groupSize,
      groupSize: groupSize)
  }
}

extension Kernels {
  /// `sums[i] += factor * vector . rows[i]`; sums and scratch `[rows.count]`.
  func unsafeAddProducts(
    of vector: ListView<Float>, with rows: FloatRows, by factor: Float,
    to sums: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    unsafe unsafeDot(vector.rows(dimension: rows.dimension), with: rows, scores: scratch)
    unsafe unsafeAddScaled(scratch, by: factor, to: sums, count: rows.count)
  }
}

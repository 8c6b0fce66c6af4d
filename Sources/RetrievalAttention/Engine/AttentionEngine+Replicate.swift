// Deep contexts without a deep prefill, for benchmarks: the same keys and values over and over.

import AttentionKernels
import VectorIndex

extension AttentionEngine {
  /// Grows the context to `count` tokens by repeating the keys and values of the first `period` tokens, without those
  /// before `first`.
  ///
  /// Token `p` gets the values of token `first + (p - first) % (period - first)` and its keys, turned to position `p`
  /// where the model's rotation is known: what decoding would see after a text that repeats itself. Sliding-window
  /// layers repeat what their windows hold. Queries are not repeated: an index learns from those of the real tokens.
  /// Nothing is inserted into an index here; call ``updateIndex(finishing:askPosition:parallel:)`` afterwards.
  ///
  /// Times on such a context are real, answers are not. Cost: a copy of the rows, a small part of a prefill.
  ///
  /// - Parameters:
  ///   - count: tokens afterwards; nothing happens when there are as many already.
  ///   - period: end of the tokens to repeat, all at present when nil.
  ///   - first: where they begin. No text has its first tokens twice, to which a model attends whatever they say.
  /// - Throws: ``AttentionError/capacityExceeded(tokens:capacity:)``, and
  ///   ``AttentionError/invalidSetting(name:value:requirement:)`` for a period without tokens; nothing has changed
  ///   then.
  package func replicate(
    to count: Int, period: Int? = nil, first: Int = 0, parallel: ParallelRunner = .serial
  ) throws(AttentionError) {
    let current = tokenCount
    let period = period ?? current
    guard period > 0, period <= current else {
      throw .invalidSetting(
        name: "period", value: "\(period)", requirement: "in 1...\(current), the tokens read")
    }
    guard (0..<period).contains(first) else {
      throw .invalidSetting(name: "first", value: "\(first)", requirement: "in 0..<\(period), the period")
    }
    guard count <= capacity else { throw .capacityExceeded(tokens: count, capacity: capacity) }
    guard count > current else { return }
    storage.stateChanged = true
    let owners = heads.indices.flatMap { layer in heads[layer].map { (layer: layer, head: $0) } }
    parallel.run(owners.count) { index, _ in
      let (layer, head) = owners[index]
      let source = RowCopies(
        of: head.rows, range: shape.layers[layer]?.slidingWindow == nil ? first..<period : nil,
        rotary: shape.layers[layer]?.rotary)
      source.append(to: head, positions: tokenCounts[layer]..<count)
    }
    for layer in heads.indices { tokenCounts[layer] = count }
    // Copies are a prompt too: its end is still to be told.
    openPromptStart = openPromptStart ?? current
  }
}

/// Copies of some rows of one head, taken before the head's store changes.
private struct RowCopies: ~Copyable {
  private let keys: RowBuffer<UInt16>  // [count, d], in the order of their positions
  private let values: RowBuffer<UInt16>  // [count, d]
  private let positions: [Int]
  private let dimension: Int
  private let rotary: RotaryEmbedding?
  /// Whether the copies repeat by position; of a window only the order is known.
  private let isWhole: Bool

  /// Rows appended at once: small enough for the cache, and less than a sliding window has to spare.
  private static let chunk = 128

  /// - Parameter range: positions of the rows; all rows of a window when nil.
  init(of rows: HeadRows, range: Range<Int>?, rotary: RotaryEmbedding?) {
    let d = rows.dimension
    // An index may have put rows in an order of its own, so they are looked up by position.
    let range = range ?? 0..<Int.max
    isWhole = range.upperBound < Int.max
    let order = (0..<rows.count).filter { unsafe range.contains(Int(rows.positions[$0])) }
      .sorted { unsafe rows.positions[$0] < rows.positions[$1] }
    var keys = RowBuffer<UInt16>(capacity: order.count * d)
    var values = RowBuffer<UInt16>(capacity: order.count * d)
    for row in order {
      Self.append(rows.keys.from(row), plus: rows.keyOffsets, to: &keys, dimension: d)
      Self.append(rows.values.from(row), to: &values, dimension: d)
    }
    self.keys = keys
    self.values = values
    positions = order.map { unsafe Int(rows.positions[$0]) }
    dimension = d
    self.rotary = rotary
  }

  private static func append(
    _ row: PackedRows, plus offsets: ListView<Float>? = nil, to list: inout RowBuffer<UInt16>,
    dimension d: Int
  ) {
    let elements = unsafe [Float](unsafeUninitializedCapacity: d) { target, count in
      let base = target.baseAddress!
      unsafe Kernels.active.unsafeUnpack(row, rowCount: 1, dimension: d, target: base, targetStride: d)
      if let offsets { unsafe Kernels.active.unsafeAddScaled(offsets.base, by: 1, to: base, count: d) }
      count = d
    }
    unsafe Kernels.active.unsafeConvertToFloat16(elements, list.grow(by: d), count: d)
  }

  func append(to head: EngineHead, positions targets: Range<Int>) {
    let moved = RowBuffer<UInt16>(capacity: Self.chunk * dimension)
    let turned = RowBuffer<Float>(capacity: Self.chunk * dimension)
    var next = targets.lowerBound
    while next < targets.upperBound {
      let first = (next - (isWhole ? positions[0] : targets.lowerBound)) % positions.count
      let count = min(Self.chunk, targets.upperBound - next, positions.count - first)
      append(to: head, first: first, count: count, position: next, moved: moved, turned: turned)
      next += count
    }
  }

  private func append(
    to head: EngineHead, first: Int, count: Int, position: Int, moved: borrowing RowBuffer<UInt16>,
    turned: borrowing RowBuffer<Float>
  ) {
    let width = count * dimension
    var source = unsafe keys.base + first * dimension
    if let rotary {
      unsafe Kernels.active.unsafeConvertFromFloat16(source, turned.base, count: width)
      unsafe rotary.shift(turned.base, count: count, stride: dimension, by: position - positions[first])
      unsafe Kernels.active.unsafeConvertToFloat16(turned.base, moved.base, count: width)
      unsafe source = moved.base
    }
    unsafe head.append(
      HalfPrecisionRows(keys: source, values: values.base + first * dimension), keyStride: dimension,
      valueStride: dimension, count: count, firstPosition: position)
  }
}

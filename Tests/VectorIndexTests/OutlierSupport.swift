// A head with a few rows unlike all others.

import AttentionKernels
import VectorIndex

/// A synthetic head, and the same with some rows replaced by outliers that queries give no weight to, so that exact
/// attention is that of the other rows.
struct OutlierHead {
  static let dimension = 64
  let plain: SyntheticHead
  let keys: [Float]
  let values: [Float]
  /// Rising.
  let outliers: [Int]
  let training: [Float]
  let queries: [Float]

  /// - Parameters:
  ///   - magnitude: how many times as long as the others.
  ///   - inValues: whether it is the values that are long; the keys then are as short as the others, and opposite to
  ///     the queries as well.
  init(rows: Int, outliers count: Int, magnitude: Float, inValues: Bool = false, seed: UInt64 = 81) {
    let d = Self.dimension
    plain = SyntheticHead(rows: rows, dimension: d, seed: seed)
    training = plain.queries(96, seed: seed)
    queries = plain.queries(24, seed: seed + 1)
    var generator = SeededGenerator(seed: seed + 2)
    outliers = Array((0..<rows).shuffled(using: &generator)[..<count]).sorted()
    // Against what all queries have in common.
    var direction = [Float](repeating: 0, count: d)
    for (i, element) in (training + queries).enumerated() { direction[i % d] -= element }
    let length = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
    var (keys, values) = (plain.keys, plain.values)
    for row in outliers {
      for i in 0..<d {
        // Two elements of it and a sign that differ from row to row: outliers need not be alike.
        let own: Float = i == row % d ? 0.1 : 0
        let key = (direction[i] / length + own) * 20 * (inValues ? 1 : magnitude)
        keys[row * d + i] = max(-60_000, min(60_000, key))
        if inValues {
          values[row * d + i] = max(-60_000, min(60_000, generator.normal() * magnitude))
        }
      }
    }
    (self.keys, self.values) = (keys, values)
  }

  /// Rows inserted in two segments, with the head's training queries.
  func indexed<Index: AttentionIndex>(_ index: Index, isPlain: Bool = false) -> IndexedRows<Index> {
    let store = IndexedRows(
      keys: isPlain ? plain.keys : keys, values: isPlain ? plain.values : values, index: index)
    let rows = keys.count / Self.dimension
    store.insert(rows * 3 / 4, training: store.train(training))
    store.insert(rows - rows * 3 / 4, training: store.train(training))
    return store
  }

  /// Mean error of groups of three queries, and what was read for each.
  func measure<Index: AttentionIndex>(_ store: IndexedRows<Index>) -> (error: Double, bytes: Double) {
    let width = 3 * Self.dimension
    var errors: [Double] = []
    var bytes = 0
    for first in stride(from: 0, to: queries.count, by: width) {
      let group = Array(queries[first..<first + width])
      let (found, read) = store.attend(group)
      errors += store.reference(group).relativeErrors(of: found)
      bytes += read.bytes
    }
    return (mean(errors), Double(bytes) / Double(queries.count / width))
  }
}

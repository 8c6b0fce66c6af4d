// The rows themselves, their ids, and what is needed to build an index over them again.

import AttentionKernels

/// Rows in the order of the index over them.
struct KeyValueStore: ~Copyable {
  /// `[count, d]` f16.
  var keys = RowBuffer<UInt16>()
  /// `[count, d]` f16.
  var values = RowBuffer<UInt16>()
  /// `[count]`.
  var ids = RowBuffer<UInt32>()
  /// `[insertions + 1]`: from 0, where the rows of each insertion end. An index moves rows only within these.
  var ends = RowBuffer<UInt32>([0])
  /// `[queries, d]`: the last training queries.
  var training = RowBuffer<Float>()
  /// Query heads that these come from in turn.
  var groupSize = 1
  /// Of the next row.
  var nextID: UInt32 = 0

  func view(count: Int, dimension d: Int) -> IndexRows {
    unsafe IndexRows(
      keys: PackedRows(keys.base, stride: d), values: PackedRows(values.base, stride: d), count: count)
  }

  /// Rows from `first` on as an index takes them in.
  func newRows(from first: Int, count: Int, dimension d: Int) -> NewRows {
    let all = view(count: first + count, dimension: d)
    return unsafe NewRows(
      keys: all.keys.from(first), values: all.values.from(first), positions: ids.base + first, count: count)
  }

  /// The rows for which `isKept` says so of their ids, those of an insertion in the order in which they came.
  func filtered(dimension d: Int, isKept: (UInt32) -> Bool) -> KeyValueStore {
    var result = KeyValueStore()
    for insertion in 1..<ends.count {
      let kept = (Int(ends[insertion - 1])..<Int(ends[insertion])).filter { isKept(ids[$0]) }
        .sorted { ids[$0] < ids[$1] }
      guard !kept.isEmpty else { continue }
      for row in kept {
        unsafe result.keys.grow(by: d).update(from: keys.base + row * d, count: d)
        unsafe result.values.grow(by: d).update(from: values.base + row * d, count: d)
        result.ids.append(ids[row])
      }
      result.ends.append(UInt32(result.ids.count))
    }
    result.training = RowBuffer(copying: training)
    result.groupSize = groupSize
    result.nextID = nextID
    return result
  }
}

/// States and results of many queries.
struct SoftmaxMemory: ~Copyable {
  var outputs = RowBuffer<Float>()  // [count, d]
  var logSumExps = RowBuffer<Float>()  // [count]
  private var maxima = RowBuffer<Float>()
  private let dimension: Int

  init(count: Int, dimension: Int) {
    self.dimension = dimension
    unsafe outputs.grow(by: count * dimension).update(repeating: 0, count: count * dimension)
    unsafe logSumExps.grow(by: count).update(repeating: 0, count: count)
    unsafe maxima.grow(by: count).update(repeating: -.infinity, count: count)
  }

  /// Exact attention, with its results in place.
  mutating func attend(_ group: QueryGroup, to rows: IndexRows, kernels: Kernels) {
    guard group.count > 0 else { return }
    let d = dimension
    let scratch = RowBuffer<Float>(capacity: Kernels.attendScratchCount(queryCount: group.count))
    let states = unsafe StatePointers(
      maxima: maxima.base, sums: logSumExps.base, accumulators: outputs.base, count: group.count,
      dimension: d)
    unsafe kernels.unsafeAttend(
      group.rows(dimension: d), to: rows.keyValues, .first(rows.count), states: states, scratch: scratch.base)
    unsafe states.finish(
      into: OutputPointers(
        outputs: outputs.base, logSumExps: maxima.base, count: group.count, dimension: d))
    unsafe logSumExps.base.update(from: maxima.base, count: group.count)
  }
}

// An index with its rows: what a program that has keys and values of its own uses.

public import AttentionKernels
import Platform

/// Keys and values of one attention head group, with an index over them.
///
///     let index = ClusterIndex(dimension: 64)
///     let rows = KeyValueIndex(index)
///     try rows.insert(keys: keys.span, values: values.span, trainingQueries: sample.span)
///     var states = try SoftmaxStates(count: 3, dimension: 64)  // three query heads share these keys
///     let read = try rows.attend(queries: queries.span, states: &states)
///     let (outputs, logSumExps) = states.finished()
///
/// Queries are scaled as for attention (by `1 / sqrt(dimension)`, usually), and training queries stand where later
/// ones will: with rotary embedding, move them to that position first. Rows that every query should see exactly,
/// the first and the newest ones, are better kept apart and attended to with ``AttentionKernels/Kernels``, on the
/// same states.
///
/// One owner; not thread-safe. ``index`` may put rows in another order; ``positions`` tells where each came from.
public final class KeyValueIndex<Index> {
  /// Set its search parameters here.
  public let index: Index
  private let core: any AttentionIndex
  private var keys = RowBuffer<UInt16>()
  private var values = RowBuffer<UInt16>()
  private var origins = RowBuffer<UInt32>()
  private let workspace = Workspace()

  fileprivate init(index: Index, core: any AttentionIndex) {
    precondition(core.rowCount == 0, "the index has \(core.rowCount) rows, whose keys are missing")
    self.index = index
    self.core = core
  }

  /// Rows inserted so far.
  public var count: Int { core.rowCount }
  /// Bytes of the index, without keys and values.
  public var indexByteCount: Int { core.byteCount }
  /// For each row, the number of rows inserted before it, `[count]`.
  public var positions: [UInt32] { (0..<count).map { origins[$0] } }

  /// Adds rows.
  ///
  /// - Parameters:
  ///   - newKeys: `[rows, dimension]`, bits of f16; `newValues` alike.
  ///   - trainingQueries: `[queries, dimension]`, scaled; what the index learns from. A hundred are enough, none are
  ///     possible. Their exact attention to all rows is computed here.
  ///   - groupSize: query heads that the training queries come from in turn.
  /// - Throws: ``AttentionKernels/KernelError`` for sizes that do not fit together; nothing has changed then.
  public func insert(
    keys newKeys: Span<UInt16>, values newValues: Span<UInt16>, trainingQueries: Span<Float>,
    groupSize: Int = 1
  ) throws(KernelError) {
    let d = core.dimension
    let count = try rowCount("keys", newKeys.count)
    guard newValues.count == newKeys.count else {
      throw .mismatch(name: "elements of values", expected: newKeys.count, actual: newValues.count)
    }
    guard groupSize > 0 else { throw .invalidCount(name: "groupSize", value: groupSize) }
    let queryCount = try rowCount("training queries", trainingQueries.count)
    guard queryCount % groupSize == 0 else {
      throw .mismatch(
        name: "training queries modulo group size", expected: 0, actual: queryCount % groupSize)
    }
    guard count > 0 else { return }
    let first = core.rowCount
    keys.append(contentsOf: newKeys)
    values.append(contentsOf: newValues)
    for position in first..<first + count { origins.append(UInt32(position)) }
    let all = indexRows(count: first + count)
    let new = unsafe NewRows(
      keys: all.keys.from(first), values: all.values.from(first), positions: origins.base + first,
      count: count)
    var queries = RowBuffer<Float>()
    queries.append(contentsOf: trainingQueries)
    var states = SoftmaxMemory(count: queryCount, dimension: d)
    let group = unsafe QueryGroup(queries: queries.base, count: queryCount)
    states.attend(group, to: all, kernels: workspace.kernels)
    unsafe core.insert(
      new, all: all,
      training: TrainingQueries(
        queries: group.queries, outputs: states.outputs.base, logSumExps: states.logSumExps.base,
        count: queryCount, groupSize: groupSize), workspace: workspace)
  }

  /// Attends a group's queries `[states.count, dimension]`, scaled, to all rows, as far as the index finds worth it,
  /// and adds the result to `states`.
  ///
  /// - Throws: ``AttentionKernels/KernelError`` for sizes that do not fit together; nothing has changed then.
  public func attend(queries: Span<Float>, states: inout SoftmaxStates) throws(KernelError) -> ReadCount {
    let d = core.dimension
    guard states.dimension == d else {
      throw .mismatch(name: "dimension of states", expected: d, actual: states.dimension)
    }
    guard queries.count == states.count * d else {
      throw .mismatch(name: "elements of queries", expected: states.count * d, actual: queries.count)
    }
    var read = ReadCount()
    guard count > 0, states.count > 0 else { return read }
    let rows = indexRows(count: count)
    let scratch = workspace.scope()
    let copy = unsafe scratch.list(queries.count)
    for i in 0..<queries.count { copy[i] = queries[i] }
    let group = unsafe QueryGroup(queries: copy.base, count: states.count)
    states.withPointers { pointers in
      read = core.attend(
        IndexCall(group, rows: rows, dimension: core.dimension, workspace: workspace, recorder: nil),
        states: pointers)
    }
    return read
  }

  private func indexRows(count: Int) -> IndexRows {
    let d = core.dimension
    return unsafe IndexRows(
      keys: PackedRows(keys.base, stride: d), values: PackedRows(values.base, stride: d), count: count)
  }

  private func rowCount(_ name: String, _ elements: Int) throws(KernelError) -> Int {
    guard elements % core.dimension == 0 else {
      throw .mismatch(
        name: "elements of \(name) modulo dimension", expected: 0, actual: elements % core.dimension)
    }
    return elements / core.dimension
  }
}

extension KeyValueIndex where Index == ClusterIndex {
  /// No rows yet. Traps for an index that has some: their keys are missing.
  public convenience init(_ index: ClusterIndex) { self.init(index: index, core: index) }
}

extension KeyValueIndex where Index == GraphIndex {
  /// No rows yet. Traps for an index that has some: their keys are missing.
  public convenience init(_ index: GraphIndex) { self.init(index: index, core: index) }
}

extension KeyValueIndex where Index == IVFIndex {
  /// No rows yet. Traps for an index that has some: their keys are missing.
  public convenience init(_ index: IVFIndex) { self.init(index: index, core: index) }
}

extension KeyValueIndex where Index == ScanIndex {
  /// No rows yet. Traps for an index that has some: their keys are missing.
  public convenience init(_ index: ScanIndex) { self.init(index: index, core: index) }
}

/// States and results of many queries.
private struct SoftmaxMemory: ~Copyable {
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
    for query in 0..<group.count {
      let sum = logSumExps[query]
      for i in 0..<d { outputs[query * d + i] /= sum }
      logSumExps[query] = maxima[query] + log(sum)
    }
  }
}

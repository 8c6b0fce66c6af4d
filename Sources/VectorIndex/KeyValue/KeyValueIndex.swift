// An index with its rows: what a program that has keys and values of its own uses.

public import AttentionKernels

/// Keys and values of one attention head group, with an index over them.
///
///     let rows = try KeyValueIndex(ClusterIndex(dimension: 64))
///     let ids = try rows.insert(keys: keys.span, values: values.span, trainingQueries: sample.span)
///     var states = try SoftmaxStates(count: 3, dimension: 64)  // three query heads share these keys
///     let read = try rows.attend(queries: queries.span, states: &states)
///     let (outputs, logSumExps) = states.finished()
///     let best = try rows.search(queries: queries.span, count: 10).rows  // ids and scores, for each query
///     try rows.remove(ids: [ids.lowerBound])
///     try rows.save(to: "head.index")
///     let reopened = try KeyValueIndex<ClusterIndex>(contentsOf: "head.index")
///
/// Queries are scaled as for attention (by `1 / sqrt(dimension)`, usually), and training queries stand where later
/// ones will: with rotary embedding, move them to that position first. Rows that every query should see exactly,
/// the first and the newest ones, are better kept apart and attended to with ``AttentionKernels/Kernels``, on the
/// same states.
///
/// Rows are kept in 16-bit floats. Each has an id, the number of rows that were ever inserted before it, which remains
/// whatever becomes of others.
///
/// One owner; not thread-safe. What throws changes nothing.
public final class KeyValueIndex<Index> {
  /// Set its search parameters here.
  public let index: Index
  let core: any KeyIndex
  var rows = KeyValueStore()
  let workspace = Workspace()

  init(index: Index, core: any KeyIndex) throws(KeyValueIndexError) {
    guard core.rowCount == 0 else { throw .indexNotEmpty(rowCount: core.rowCount) }
    self.index = index
    self.core = core
  }

  /// An index with the rows that belong to it.
  init(index: Index, core: any KeyIndex, rows: consuming KeyValueStore) {
    self.index = index
    self.core = core
    self.rows = rows
  }

  /// Rows that are there.
  public var count: Int { core.rowCount }
  /// Width of keys, values and queries.
  public var dimension: Int { core.dimension }
  /// Bytes of the index, without keys and values.
  public var indexByteCount: Int { core.byteCount }
  /// The ids of all rows, `[count]`, in the order of the index.
  public var ids: [UInt32] { (0..<count).map { rows.ids[$0] } }

  /// Attends a group's queries `[states.count, dimension]`, scaled, to all rows, as far as the index finds worth it,
  /// and adds the result to `states`.
  ///
  /// - Returns: what was read.
  /// - Throws: ``KeyValueIndexError`` for sizes that do not fit together, and for queries that are not finite.
  public func attend(
    queries: Span<Float>, states: inout SoftmaxStates
  ) throws(KeyValueIndexError) -> ReadCount {
    let d = core.dimension
    guard states.dimension == d else {
      throw .mismatch(name: "dimension of states", expected: d, actual: states.dimension)
    }
    guard queries.count == states.count * d else {
      throw .mismatch(name: "elements of queries", expected: states.count * d, actual: queries.count)
    }
    try requireFinite("queries", queries)
    var read = ReadCount()
    guard count > 0, states.count > 0 else { return read }
    let scratch = workspace.scope()
    let group = unsafe QueryGroup(queries: copy(queries, in: scratch), count: states.count)
    states.withPointers { pointers in
      read = core.attend(
        IndexCall(
          group, rows: rows.view(count: count, dimension: d), dimension: d, workspace: workspace,
          recorder: nil),
        states: pointers)
    }
    return read
  }

  /// The address of a copy, `[count]`, in `scratch`.
  @unsafe func copy(_ elements: Span<Float>, in scratch: borrowing Scratch) -> UnsafePointer<Float> {
    let target = unsafe scratch.list(elements.count)
    for i in 0..<elements.count { target[i] = elements[i] }
    return unsafe UnsafePointer(target.base)
  }

  func requireFinite(_ name: String, _ elements: Span<Float>) throws(KeyValueIndexError) {
    for i in 0..<elements.count where !elements[i].isFinite { throw .notFinite(name: name, element: i) }
  }

  /// Rows of so many elements.
  func rowCount(_ name: String, _ elements: Int) throws(KeyValueIndexError) -> Int {
    guard elements % core.dimension == 0 else {
      throw .mismatch(
        name: "elements of \(name) modulo dimension", expected: 0, actual: elements % core.dimension)
    }
    return elements / core.dimension
  }
}

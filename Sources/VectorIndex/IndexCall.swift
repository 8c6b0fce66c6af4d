// What a call of an index works on.

public import AttentionKernels

/// A group's queries, the rows that an index stands for, and what to work with. A view that is valid during the call.
public struct IndexCall {
  package let group: QueryGroup
  package let rows: IndexRows
  /// Width of queries, keys and values.
  public let dimension: Int
  package let workspace: Workspace
  package let recorder: ReadRecorder?

  package init(
    _ group: QueryGroup, rows: IndexRows, dimension: Int, workspace: Workspace, recorder: ReadRecorder?
  ) {
    self.group = group
    self.rows = rows
    self.dimension = dimension
    self.workspace = workspace
    self.recorder = recorder
  }

  /// Queries of the group.
  public var queryCount: Int { group.count }
  /// Rows that the index stands for.
  public var rowCount: Int { rows.count }
  /// Bytes of a key and its value, to tell what was read.
  public var bytesPerRow: Int { rows.bytesPerRow }

  /// A query, multiplied by the layer's scale: its dot products with keys are the exponents of softmax.
  public func query(_ number: Int) -> [Float] {
    group.query(number, dimension: dimension)
  }

  /// Dot products of all queries with the keys of some rows, `[queryCount, list.count]`.
  public func scores(of list: [Int]) -> [Float] {
    check(list)
    guard !list.isEmpty else { return [] }
    return unsafe [Float](unsafeUninitializedCapacity: queryCount * list.count) { target, count in
      let scratch = workspace.scope()
      unsafe workspace.kernels.unsafeDot(
        group.rows(dimension: dimension), with: rows.keys, .listed(scratch.rows(list)),
        scores: target.baseAddress!)
      count = target.count
    }
  }

  /// Adds the attention of all queries to some rows, none of them twice, to `states`.
  ///
  /// - Returns: what was read for it.
  public func attend(to list: [Int], states: StatePointers) -> ReadCount {
    check(list)
    var read = ReadCount()
    guard !list.isEmpty else { return read }
    let scratch = workspace.scope()
    let indices = unsafe scratch.rows(list)
    unsafe workspace.kernels.unsafeAttend(
      group.rows(dimension: dimension), to: rows.keyValues, .listed(indices), states: states,
      scratch: scratch.floats(Kernels.attendScratchCount(queryCount: queryCount)))
    recorder?.read(indices)
    read.retrieved = list.count
    read.bytes = list.count * bytesPerRow
    return read
  }

  private func check(_ list: [Int]) {
    precondition(list.allSatisfy { (0..<rowCount).contains($0) }, "rows beyond \(rowCount)")
  }
}

extension IndexRows {
  /// The key of a row, `[dimension]`; less what was taken away from all keys before they were rounded to eight bits.
  public func key(_ row: Int, dimension: Int) -> [Float] {
    precondition((0..<count).contains(row), "row \(row) of \(count)")
    return unsafe [Float](unsafeUninitializedCapacity: dimension) { target, initialized in
      unsafe Kernels.active.unsafeUnpack(
        keys.from(row), rowCount: 1, dimension: dimension, target: target.baseAddress!,
        targetStride: dimension)
      initialized = dimension
    }
  }
}

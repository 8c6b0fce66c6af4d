// What all kinds of index have in common: rows go in, attention comes out.

public import AttentionKernels

/// The rows of one KV head: keys and values in any format.
///
/// An index never copies keys: the caller's store is the vector store, and the caller passes it to each call. Row
/// *i* of an index is always row *i* of these.
public struct IndexRows {
  /// `[count, d]`.
  package var keys: PackedRows
  /// `[count, d]`.
  package var values: PackedRows
  public package(set) var count: Int

  package init(keys: PackedRows, values: PackedRows, count: Int) {
    self.keys = keys
    self.values = values
    self.count = count
  }

  package var keyValues: KeyValueRows { KeyValueRows(keys: keys, values: values) }
  /// Bytes of a key and its value.
  package var bytesPerRow: Int { unsafe keys.stride + (values.base != keys.base ? values.stride : 0) }
}

/// Rows about to be inserted, which a kind of index may put in another order (all three arrays alike), in memory that
/// may be written.
@safe public struct NewRows {
  /// `[count, d]`, without gaps.
  package var keys: PackedRows
  /// `[count, d]`, without gaps.
  package var values: PackedRows
  /// `[count]`.
  package var positions: UnsafeMutablePointer<UInt32>
  public package(set) var count: Int

  package init(
    keys: PackedRows, values: PackedRows, positions: UnsafeMutablePointer<UInt32>, count: Int
  ) {
    self.keys = keys
    self.values = values
    unsafe self.positions = positions
    self.count = count
  }

  /// Puts rows in the order of their groups (a stable counting sort: within a group, the order of the text remains)
  /// and tells `body` where each group ends.
  func sort(
    by assignments: UnsafePointer<UInt32>, groups: Int, workspace: Workspace, body: (_ end: UInt32) -> Void
  ) {
    let scratch = workspace.scope()
    let places = unsafe scratch.indices(groups + 1)
    unsafe places.update(repeating: 0, count: groups + 1)
    for i in 0..<count { unsafe places[Int(assignments[i]) + 1] += 1 }
    for group in 0..<groups {
      unsafe places[group + 1] += places[group]
      unsafe body(places[group + 1])
    }
    let order = unsafe scratch.indices(count)
    for i in 0..<count {
      let group = unsafe Int(assignments[i])
      unsafe order[Int(places[group])] = UInt32(i)
      unsafe places[group] += 1
    }
    unsafe reorder(order, workspace: workspace)
  }

  /// Puts row `order[i]` in place i, for all of them.
  func reorder(_ order: UnsafePointer<UInt32>, workspace: Workspace) {
    // Values may be the keys themselves.
    for rows in unsafe values.base != keys.base ? [keys, values] : [keys] {
      let scratch = workspace.scope()
      let target = unsafe UnsafeMutableRawPointer(mutating: rows.base)
      let copy = unsafe scratch.bytes(count * rows.stride)
      unsafe UnsafeMutableRawPointer(copy).copyMemory(from: target, byteCount: count * rows.stride)
      for i in 0..<count {
        unsafe (target + i * rows.stride).copyMemory(
          from: copy + Int(order[i]) * rows.stride, byteCount: rows.stride)
      }
    }
    let scratch = workspace.scope()
    let oldPositions = unsafe scratch.indices(count)
    unsafe oldPositions.update(from: positions, count: count)
    for i in 0..<count { unsafe positions[i] = oldPositions[Int(order[i])] }
  }
}

/// The queries of one KV head's group, `[count, d]`, scaled as for attention.
@safe public struct QueryGroup {
  package var queries: UnsafePointer<Float>
  package var count: Int

  package init(queries: UnsafePointer<Float>, count: Int) {
    unsafe self.queries = queries
    self.count = count
  }

  /// Rows without gaps.
  package init(_ queries: FloatRows) { unsafe self.init(queries: queries.base, count: queries.count) }

  /// A copy of one query.
  package func query(_ number: Int, dimension: Int) -> [Float] {
    precondition((0..<count).contains(number), "query \(number) of a group of \(count)")
    return unsafe Array(UnsafeBufferPointer(start: queries + number * dimension, count: dimension))
  }

  package func rows(dimension: Int) -> FloatRows {
    unsafe FloatRows(queries, count: count, dimension: dimension)
  }
}

extension StatePointers {
  /// Empty states of so many queries.
  @unsafe package init(count: Int, dimension: Int, in scratch: borrowing Scratch) {
    unsafe self.init(
      maxima: scratch.floats(count), sums: scratch.floats(count),
      accumulators: scratch.floats(count * dimension), count: count, dimension: dimension)
    clear()
  }
}

/// An index over the keys and values of one KV head that attends for a whole group of query heads at once.
///
/// Not thread-safe: one owner. ``attend(_:states:)`` changes nothing in the index, so
/// calls with different workspaces may run at the same time.
public protocol AttentionIndex: AnyObject {
  var dimension: Int { get }
  /// Rows inserted so far.
  var rowCount: Int { get }
  /// Bytes of the index, without the rows it refers to.
  var byteCount: Int { get }

  /// Adds rows that follow the rows already indexed in the caller's store.
  ///
  /// - Parameters:
  ///   - new: the rows, `all.count` of which are then indexed; may be put in another order.
  ///   - all: the whole store from the first indexed row on, the new rows included: `rowCount + new.count` rows.
  ///   - training: queries to learn from; may be empty.
  func insert(_ new: NewRows, all: IndexRows, training: TrainingQueries, workspace: Workspace)

  /// Attends a group's queries to the indexed rows and adds the result to running softmax states.
  ///
  /// What the states hold already (sink and window) may decide what still matters: attend to those first.
  func attend(_ call: IndexCall, states: StatePointers) -> ReadCount
}

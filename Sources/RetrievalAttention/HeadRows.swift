// Keys, values and positions of one KV head: the vector store that indexes refer to.

/// The rows of one KV head: keys and values `[count, d]` in f16 and the position each row came from.
///
/// Room for `capacity` rows is reserved as address space; memory is used as rows are written, and nothing moves
/// when the store grows. Row order is the order of appending, except where an index has put its rows in an order
/// of its own (attention does not care about order). One owner, not thread-safe.
package final class HeadRows {
  package let dimension: Int
  package let capacity: Int
  package private(set) var count = 0
  /// Rows from here on are other than the ones that were last saved (all of them, when none were).
  package private(set) var firstUnsavedRow = 0
  package let keys: UnsafeMutablePointer<UInt16>
  package let values: UnsafeMutablePointer<UInt16>
  package let positions: UnsafeMutablePointer<UInt32>
  let memory: ReservedMemory

  /// Throws ``AttentionError/reservationFailed(bytes:code:)``.
  package init(dimension: Int, capacity: Int) throws(AttentionError) {
    self.dimension = dimension
    self.capacity = capacity
    // Each of the three areas starts on a boundary of its own, so that none shares a page with another's end.
    let alignment = 1 << 16
    func area(_ bytesPerRow: Int) -> Int { (capacity * bytesPerRow + alignment - 1) / alignment * alignment }
    let rowArea = area(dimension * 2)
    memory = try ReservedMemory(byteCount: 2 * rowArea + area(4))
    keys = memory.base.assumingMemoryBound(to: UInt16.self)
    values = (memory.base + rowArea).assumingMemoryBound(to: UInt16.self)
    positions = (memory.base + 2 * rowArea).assumingMemoryBound(to: UInt32.self)
    for area in 0..<2 {
      memory.preferHugePages(
        area * rowArea + Self.hugePageStart..<max(area * rowArea + Self.hugePageStart, (area + 1) * rowArea))
    }
  }

  /// Bytes of keys, and of values, in ordinary pages: a short context must not take two huge pages for each head.
  private static let hugePageStart = 4 << 20

  /// Bytes that one row takes.
  package static func bytesPerRow(dimension: Int) -> Int { 2 * dimension * 2 + 4 }

  /// Bytes written so far.
  package var byteCount: Int { count * Self.bytesPerRow(dimension: dimension) }

  /// Appends `rows` keys and values that stand `stride` elements apart, for positions from `firstPosition` on.
  ///
  /// Throws ``AttentionError/capacityExceeded(tokens:capacity:)`` and then appends nothing.
  package func append(
    keys newKeys: UnsafePointer<UInt16>, keyStride: Int, values newValues: UnsafePointer<UInt16>,
    valueStride: Int, rows: Int, firstPosition: Int
  ) throws(AttentionError) {
    guard rows <= capacity - count else {
      throw .capacityExceeded(tokens: count + rows, capacity: capacity)
    }
    for row in 0..<rows {
      let target = (count + row) * dimension
      (keys + target).update(from: newKeys + row * keyStride, count: dimension)
      (values + target).update(from: newValues + row * valueStride, count: dimension)
      positions[count + row] = UInt32(firstPosition + row)
    }
    count += rows
  }

  /// Drops all rows from `newCount` on.
  package func removeLast(to newCount: Int) {
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

  /// Drops the first rows and moves the last `kept` ones to the front.
  package func keepLast(_ kept: Int) {
    precondition(kept >= 0 && kept <= count, "cannot keep \(kept) of \(count) rows")
    let first = count - kept
    keys.update(from: keys + first * dimension, count: kept * dimension)
    values.update(from: values + first * dimension, count: kept * dimension)
    positions.update(from: positions + first, count: kept)
    count = kept
    if first > 0 { willChange(from: 0) }
  }
}

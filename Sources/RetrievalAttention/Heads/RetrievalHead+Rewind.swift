// Going back into what is indexed already: the rows stay, the index is made anew.

import AttentionKernels
import VectorIndex

extension RetrievalHead: RewindableHead {
  package func rewinding(to count: Int) throws(AttentionError) -> (() -> Void)? {
    guard index.rowCount > 0 || draft != nil, count < movedEnd else { return nil }
    guard let order = rows.order(below: count) else {
      throw .cannotTruncate(to: count, indexed: indexedRowCount)
    }
    let empty = try emptyIndex()
    return { [self] in
      rows.reorder(order)
      samples.forget(from: order.count)
      index = empty
      draft = nil
    }
  }
}

extension HeadRows {
  /// For each position below `count` its row; nil when a position is missing.
  func order(below count: Int) -> [UInt32]? {
    guard count <= self.count else { return nil }
    var order = [UInt32](repeating: .max, count: count)
    for row in 0..<self.count {
      let position = unsafe Int(positions[row])
      if position < count { order[position] = UInt32(row) }
    }
    return order.contains(.max) ? nil : order
  }

  /// Makes row `order[i]` row i, and drops all that are not mentioned.
  func reorder(_ order: [UInt32]) {
    // What is in order already, the sink at least, stays where it is, in the file that it may be mapped from.
    let first = order.indices.first { order[$0] != $0 } ?? order.count
    willChange(from: first)
    let moved = order[first...]
    for area in areas {
      let copy = RowBuffer<UInt8>(capacity: moved.count * area.stride)
      for (i, row) in moved.enumerated() {
        unsafe PackedRows(base: copy.base, stride: area.stride, format: area.format).from(i).unsafeUpdate(
          from: area.from(Int(row)).base, byteCount: area.stride)
      }
      unsafe area.from(first).unsafeUpdate(
        from: copy.base, byteCount: moved.count * area.stride)
    }
    for position in first..<order.count { unsafe positions[position] = UInt32(position) }
    removeLast(to: order.count)
  }
}

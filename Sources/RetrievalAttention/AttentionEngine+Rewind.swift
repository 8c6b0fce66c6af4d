// Going back into what is indexed already: the rows stay, the index is made anew.

import VectorIndex

extension AttentionEngine {
  /// Whether ``rewind(to:parallel:)`` is possible: not when a sliding window has passed the place.
  public func canRewind(to count: Int) -> Bool {
    guard count > 0 else { return count == 0 }
    for (layer, layerHeads) in heads.enumerated() where tokenCounts[layer] > count {
      guard let window = shape.layers[layer]?.slidingWindow else { continue }
      let dropped = tokenCounts[layer] - count
      guard layerHeads.allSatisfy({ $0.rows.count - dropped >= min(window, count) }) else { return false }
    }
    return true
  }

  /// Drops tokens from `count` on, wherever they are.
  ///
  /// Where they are in an index, that index is dropped; the next ``updateIndex(finishing:askPosition:parallel:)`` makes
  /// one of the rows that are left, and attention is exact until then. Cost: a copy of the rows.
  ///
  /// - Throws: ``AttentionError/cannotTruncate(to:indexed:)`` when a sliding window has passed the place (going back to
  ///   0 always works), ``AttentionError/invalidSetting(name:value:requirement:)`` for a negative count; nothing has
  ///   changed then.
  public func rewind(to count: Int, parallel: ParallelRunner = .serial) throws(AttentionError) {
    guard count >= 0 else {
      throw .invalidSetting(name: "count", value: "\(count)", requirement: "zero or positive")
    }
    guard canRewind(to: count) else {
      throw .cannotTruncate(to: count, indexed: tokenCount)
    }
    var owners: [(head: RetrievalHead, order: [UInt32], index: any AttentionIndex)] = []
    for (layer, layerHeads) in heads.enumerated() where tokenCounts[layer] > count {
      for case let head as RetrievalHead in layerHeads where head.isIndexed(from: count) {
        guard let order = head.rows.order(below: count) else {
          throw .cannotTruncate(to: count, indexed: head.indexedRowCount)
        }
        owners.append((head, order, try head.emptyIndex()))
      }
    }
    rewriteCount += 1
    if !owners.isEmpty { storage.indexesChanged = true }
    storage.stateChanged = true
    parallel.run(owners.count) { number, _ in
      owners[number].head.restart(order: owners[number].order, index: owners[number].index)
    }
    for (layer, layerHeads) in heads.enumerated() where tokenCounts[layer] > count {
      for head in layerHeads {
        let kept =
          shape.layers[layer]?.slidingWindow == nil ? count : head.rows.count - (tokenCounts[layer] - count)
        if head.rows.count > max(0, kept) { try head.truncate(to: max(0, kept)) }
      }
      tokenCounts[layer] = count
    }
  }
}

extension RetrievalHead {
  /// Whether any token from `count` on is in the index.
  func isIndexed(from count: Int) -> Bool {
    index.rowCount > 0 && count < settings.sinkCount + index.rowCount
  }

  /// Puts the rows in the order given, of their positions, and forgets the rest and what the index had.
  func restart(order: [UInt32], index empty: any AttentionIndex) {
    rows.reorder(order)
    samples.forget(from: order.count)
    index = empty
  }
}

extension HeadRows {
  /// For each position below `count` its row; nil when a position is missing.
  func order(below count: Int) -> [UInt32]? {
    guard count <= self.count else { return nil }
    var order = [UInt32](repeating: .max, count: count)
    for row in 0..<self.count {
      let position = Int(positions[row])
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
    for area in [keys, values] {
      let copy = UnsafeMutableRawBufferPointer.allocate(
        byteCount: max(1, moved.count * area.stride), alignment: 16)
      defer { copy.deallocate() }
      for (i, row) in moved.enumerated() {
        (copy.baseAddress! + i * area.stride).copyMemory(
          from: area.from(Int(row)).base, byteCount: area.stride)
      }
      UnsafeMutableRawPointer(mutating: area.from(first).base).copyMemory(
        from: copy.baseAddress!, byteCount: moved.count * area.stride)
    }
    for position in first..<order.count { positions[position] = UInt32(position) }
    removeLast(to: order.count)
  }
}

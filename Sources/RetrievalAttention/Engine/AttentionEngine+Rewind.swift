// Going back into what is indexed already: the rows stay, the index is made anew.

import VectorIndex

extension AttentionEngine {
  /// Whether ``rewind(to:parallel:)`` is possible: not when a sliding window, or a policy that gives up tokens, has
  /// passed the place.
  public func canRewind(to count: Int) -> Bool {
    guard count > 0 else { return count == 0 }
    for (layer, layerHeads) in heads.enumerated() where tokenCounts[layer] > count {
      let dropped = tokenCounts[layer] - count
      let window = shape.layers[layer]?.slidingWindow
      for head in layerHeads {
        if let window, head.rows.count - dropped < min(window, count) { return false }
        if head.rewindable == nil, (try? head.checkTruncation(to: head.rows.count - dropped)) == nil {
          return false
        }
      }
    }
    return true
  }

  /// Drops tokens from `count` on, wherever they are.
  ///
  /// Where they are in an index, that index is dropped; the next ``updateIndex(finishing:askPosition:parallel:)`` makes
  /// one of the rows that are left, and attention is exact until then. Cost: a copy of the rows.
  ///
  /// - Throws: ``AttentionError/cannotTruncate(to:indexed:)`` when ``canRewind(to:)`` says so (going back to 0 always
  ///   works), ``AttentionError/invalidSetting(name:value:requirement:)`` for a negative count; nothing has
  ///   changed then.
  public func rewind(to count: Int, parallel: ParallelRunner = .serial) throws(AttentionError) {
    guard count >= 0 else {
      throw .invalidSetting(name: "count", value: "\(count)", requirement: "zero or positive")
    }
    guard canRewind(to: count) else {
      throw .cannotTruncate(to: count, indexed: tokenCount)
    }
    var restarts: [() -> Void] = []
    for (layer, layerHeads) in heads.enumerated() where tokenCounts[layer] > count {
      for head in layerHeads {
        if let restart = try head.rewindable?.rewinding(to: count) { restarts.append(restart) }
      }
    }
    rewriteCount += 1
    if !restarts.isEmpty { storage.indexesChanged = true }
    storage.stateChanged = true
    parallel.run(restarts.count) { number, _ in restarts[number]() }
    for (layer, layerHeads) in heads.enumerated() where tokenCounts[layer] > count {
      for head in layerHeads {
        let kept =
          shape.layers[layer]?.slidingWindow == nil ? count : head.rows.count - (tokenCounts[layer] - count)
        if head.rows.count > max(0, kept) { try head.policy.truncate(to: max(0, kept)) }
      }
      tokenCounts[layer] = count
    }
    if let start = openPromptStart, count <= start { openPromptStart = nil }
  }
}

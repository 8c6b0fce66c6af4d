// Choosing the best of many scores for each query of a group.

import AttentionKernels

extension Workspace {
  /// Sets `marks` `[count]` to 1 for the union of the `limit` highest scores of each query `[queryCount, count]`, and
  /// to 0 elsewhere.
  package func markHighest(
    _ limit: Int, of scores: UnsafePointer<Float>, count: Int, queryCount: Int,
    marks: UnsafeMutablePointer<UInt32>
  ) {
    marks.update(repeating: 0, count: count)
    let scratch = scope()
    let heap = scratch.indices(min(limit, count))
    for query in 0..<queryCount {
      let found = HighestScores.select(limit, of: scores + query * count, count: count, into: heap)
      for i in 0..<found { marks[Int(heap[i])] = 1 }
    }
  }

}

extension Scratch {
  /// The union of the `limit` highest scores of each query `[queryCount, count]`, ascending. For long lists: linear in
  /// `count`, whatever the limit.
  package func unionOfHighest(
    _ limit: Int, of scores: UnsafePointer<Float>, count: Int, queryCount: Int
  ) -> UnsafeBufferPointer<UInt32> {
    let found = indices(min(count, limit * queryCount))
    let scratch = workspace.scope()
    let union = RowUnion(rowCount: count, in: scratch)
    let ranks = scratch.ranks(TopRanks.capacity(limit: limit))
    for query in 0..<queryCount {
      var top = TopRanks(limit: limit, base: ranks)
      top.collect(scores + query * count, count: count, firstRow: 0, kernels: kernels)
      top.prune()
      for i in 0..<top.count { union.insert(Kernels.index(ofRank: top.base[i])) }
    }
    return UnsafeBufferPointer(start: found, count: union.list(into: found))
  }
}

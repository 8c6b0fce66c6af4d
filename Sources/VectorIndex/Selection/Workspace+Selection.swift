// Choosing the best of many scores for each query of a group.

import AttentionKernels

extension Workspace {
  /// Sets `marks` `[count]` to 1 for the union of the `limit` highest scores of each query `[queryCount, count]`, and
  /// to 0 elsewhere.
  package func markHighest(
    _ limit: Int, of scores: ListView<Float>, queryCount: Int, marks: ListView<UInt32>
  ) {
    let count = marks.count
    precondition(
      scores.count >= queryCount * count, "\(scores.count) scores of \(queryCount) queries and \(count)")
    marks.fill(0)
    let scratch = scope()
    let heap = unsafe scratch.indices(min(limit, count))
    for query in 0..<queryCount {
      let found = unsafe HighestScores.select(
        limit, of: scores.base + query * count, count: count, into: heap)
      for i in 0..<found { unsafe marks[Int(heap[i])] = 1 }
    }
  }

}

extension Scratch {
  /// The union of the `limit` highest scores of each query `[queryCount, count]`, ascending. For long lists: linear in
  /// `count`, whatever the limit.
  package func unionOfHighest(
    _ limit: Int, of scores: ListView<Float>, queryCount: Int
  ) -> ListView<UInt32> {
    let count = scores.count / queryCount
    let found = unsafe rows(min(count, limit * queryCount))
    let scratch = workspace.scope()
    let union = unsafe RowUnion(rowCount: count, in: scratch)
    let ranks = unsafe scratch.ranks(TopRanks.capacity(limit: limit))
    for query in 0..<queryCount {
      var top = unsafe TopRanks(limit: limit, base: ranks)
      unsafe top.collect(scores.base + query * count, count: count, firstRow: 0, kernels: kernels)
      top.prune()
      for i in 0..<top.count { unsafe union.insert(Kernels.index(ofRank: top.base[i])) }
    }
    return union.list(into: found)
  }
}

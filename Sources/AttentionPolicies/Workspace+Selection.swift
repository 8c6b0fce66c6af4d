// Choosing the best of many scores for each query of a group.

import AttentionKernels
import RetrievalAttention
import VectorIndex

extension Workspace {
  /// Sets `marks` `[count]` to 1 for the union of the `limit` highest scores of each query `[queryCount, count]`, and
  /// to 0 elsewhere.
  func markHighest(
    _ limit: Int, of scores: UnsafePointer<Float>, count: Int, queryCount: Int,
    marks: UnsafeMutablePointer<UInt32>
  ) {
    marks.update(repeating: 0, count: count)
    let heap = indices(.candidates, max(1, min(limit, count)))
    for query in 0..<queryCount {
      let found = HighestScores.select(limit, of: scores + query * count, count: count, into: heap)
      for i in 0..<found { marks[Int(heap[i])] = 1 }
    }
  }

  /// The union of the `limit` highest scores of each query `[queryCount, count]`, ascending, in this memory until its
  /// next use. For long lists: linear in `count`, whatever the limit.
  func unionOfHighest(
    _ limit: Int, of scores: UnsafePointer<Float>, count: Int, queryCount: Int
  ) -> UnsafeBufferPointer<UInt32> {
    let union = RowUnion(rowCount: count, workspace: self)
    for query in 0..<queryCount {
      var top = TopRanks(limit: limit, base: ranks(.candidates, TopRanks.capacity(limit: limit)))
      top.collect(scores + query * count, count: count, firstRow: 0, kernels: kernels)
      top.prune()
      for i in 0..<top.count { union.insert(Kernels.index(ofRank: top.base[i])) }
    }
    return union.rows(atMost: min(count, limit * queryCount), workspace: self)
  }
}

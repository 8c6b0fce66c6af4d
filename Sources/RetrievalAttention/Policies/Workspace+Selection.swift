// Choosing the best of many scores for each query of a group.

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
}

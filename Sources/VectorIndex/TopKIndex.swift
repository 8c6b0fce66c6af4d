// The true top k: what a perfect index of keys finds. Needs no build and scores everything.

import AttentionKernels

/// Attends each query to the k rows of the highest scores, found by scoring every key: what a perfect top-k index
/// gives, and what a flat scan of the keys costs.
package final class ExactTopKIndex: AttentionIndex {
  package let dimension: Int
  /// Rows that each query attends to.
  package var k: Int
  package private(set) var rowCount = 0
  package var byteCount: Int { 0 }

  package init(dimension: Int, k: Int = 100) {
    precondition(k > 0, "k is \(k)")
    self.dimension = dimension
    self.k = k
  }

  package func insert(_ new: NewRows, all: IndexRows, training: TrainingQueries, workspace: Workspace) {
    rowCount += new.count
  }

  package func attend(
    _ group: QueryGroup, rows: IndexRows, states: StatePointers, workspace: Workspace, recorder: ReadRecorder?
  ) -> ReadCount {
    let scratch = workspace.scope()
    var read = ReadCount()
    let (d, n) = (dimension, rowCount)
    guard n > 0 else { return read }
    let kept = min(k, n)
    // The keys are read once for all queries of the group.
    let scores = scratch.floats(group.count * n)
    workspace.kernels.unsafeDot(
      queries: group.queries, queryStride: d, queryCount: group.count, rows: rows.keys, rowCount: n,
      dimension: d, scores: scores, scoreStride: n)
    let top = scratch.indices(kept)
    let topScores = scratch.floats(kept)
    let union = RowUnion(rowCount: n, in: scratch)
    for h in 0..<group.count {
      TopRows.select(scores + h * n, count: n, top: top, topScores: topScores, k: kept)
      workspace.kernels.unsafeSoftmaxAccumulate(
        scores: topScores, scoreStride: kept, queryCount: 1, values: rows.values, indices: top,
        rowCount: kept,
        dimension: d, maxima: states.maxima + h, sums: states.sums + h,
        accumulators: states.accumulators + h * d, accumulatorStride: d)
      for i in 0..<kept { union.insert(top[i]) }
    }
    let found = scratch.indices(min(n, kept * group.count))
    let rowsRead = UnsafeBufferPointer(start: found, count: union.list(into: found))
    recorder?.read(rowsRead)
    read.retrieved = rowsRead.count
    read.scored = n
    // Scores are known already, so only values are read again, by each query for itself.
    read.bytes = n * rows.keys.stride + kept * group.count * rows.values.stride
    return read
  }
}

/// The rows of the highest scores.
package enum TopRows {
  /// Writes the `k` rows of the highest scores, in no order; of equal scores the lower row first. `1...count` for k.
  ///
  /// A binary heap whose root is the worst row kept: most rows fail against the root and cost one comparison.
  package static func select(
    _ scores: UnsafePointer<Float>, count: Int, top: UnsafeMutablePointer<UInt32>,
    topScores: UnsafeMutablePointer<Float>, k: Int
  ) {
    precondition((1...count).contains(k), "the top \(k) of \(count) rows")
    func sink(_ start: Int) {
      let (row, score) = (top[start], topScores[start])
      var place = start
      while 2 * place + 1 < k {
        var child = 2 * place + 1
        if child + 1 < k, isWorse(topScores[child + 1], top[child + 1], topScores[child], top[child]) {
          child += 1
        }
        guard isWorse(topScores[child], top[child], score, row) else { break }
        top[place] = top[child]
        topScores[place] = topScores[child]
        place = child
      }
      top[place] = row
      topScores[place] = score
    }
    for row in 0..<k {
      top[row] = UInt32(row)
      topScores[row] = scores[row]
    }
    for place in (0..<k / 2).reversed() { sink(place) }
    for row in k..<max(k, count) where scores[row] > topScores[0] {
      top[0] = UInt32(row)
      topScores[0] = scores[row]
      sink(0)
    }
  }

  private static func isWorse(_ a: Float, _ aRow: UInt32, _ b: Float, _ bRow: UInt32) -> Bool {
    a < b || a == b && aRow > bRow
  }
}

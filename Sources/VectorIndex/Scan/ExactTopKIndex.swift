// The true top k: what a perfect index of keys finds. Needs no build and scores everything.

import AttentionKernels

/// Attends each query to the k rows of the highest scores, found by scoring every key: what a perfect top-k index
/// gives, and what a flat scan of the keys costs. In a ``ScanIndex`` without codes the group attends to the union of
/// what its queries want; here each query attends to its own.
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

  public func insert(_ new: NewRows, all: IndexRows, training: TrainingQueries, workspace: Workspace) {
    rowCount += new.count
  }

  public func attend(_ call: IndexCall, states: StatePointers) -> ReadCount {
    let (group, rows, workspace, recorder) = (call.group, call.rows, call.workspace, call.recorder)
    let scratch = workspace.scope()
    var read = ReadCount()
    let (d, n) = (dimension, rowCount)
    guard n > 0 else { return read }
    let kept = min(k, n)
    // The keys are read once for all queries of the group.
    let scores = unsafe scratch.floats(group.count * n)
    unsafe workspace.kernels.unsafeDot(
      group.rows(dimension: d), with: rows.keys, .first(n), scores: scores)
    let top = unsafe scratch.indices(kept)
    let topScores = unsafe scratch.floats(kept)
    let union = unsafe RowUnion(rowCount: n, in: scratch)
    for h in 0..<group.count {
      _ = unsafe HighestScores.select(kept, of: scores + h * n, count: n, into: top)
      for i in 0..<kept { unsafe topScores[i] = scores[h * n + Int(top[i])] }
      unsafe workspace.kernels.unsafeSoftmaxAccumulate(
        scores: topScores, values: rows.values, .listed(top, count: kept), to: states[h])
      for i in 0..<kept { unsafe union.insert(top[i]) }
    }
    let rowsRead = unsafe union.list(into: scratch.rows(min(n, kept * group.count)))
    recorder?.read(rowsRead)
    read.retrieved = rowsRead.count
    read.scored = n
    // Scores are known already, so only values are read again, by each query for itself.
    read.bytes = n * rows.keys.stride + kept * group.count * rows.values.stride
    return read
  }
}

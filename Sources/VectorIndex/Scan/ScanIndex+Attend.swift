// Decoding: score all rows, keep the best of each query, attend to their union.

public import AttentionKernels

extension ScanIndex {
  /// Rows scored between two selections: scores of a group of 8 fill 64 KB, which stays in the L2.
  private static let scannedRows = 2048

  public func attend(_ call: IndexCall, states: StatePointers) -> ReadCount {
    let (group, rows, workspace, recorder) = (call.group, call.rows, call.workspace, call.recorder)
    let scratch = workspace.scope()
    var read = ReadCount()
    guard rowCount > 0, group.count > 0, search.k > 0 else { return read }
    if search.k >= rowCount {
      attendToAll(group, rows: rows, states: states, workspace: workspace)
      recorder?.read(0..<rowCount)
      read.retrieved = rowCount
      read.scored = rowCount
      read.bytes = rowCount * rows.bytesPerRow
      return read
    }
    let union = scan(group, k: search.k, rows: rows, in: scratch)
    unsafe workspace.kernels.unsafeAttend(
      group.rows(dimension: dimension), to: rows.keyValues, .listed(union),
      states: states, scratch: scratch.floats(Kernels.attendScratchCount(queryCount: group.count)))
    recorder?.read(union)
    read.retrieved = union.count
    read.scored = rowCount + union.count
    read.bytes = rowCount * (scorer.bytesPerRow ?? rows.keys.stride) + union.count * rows.bytesPerRow
    return read
  }

  private func attendToAll(
    _ group: QueryGroup, rows: IndexRows, states: StatePointers, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    unsafe workspace.kernels.unsafeAttend(
      group.rows(dimension: dimension), to: rows.keyValues, .first(rowCount), states: states,
      scratch: scratch.floats(Kernels.attendScratchCount(queryCount: group.count)))
  }

  /// The union of the `k` best rows of each query by their codes and of the outliers, ascending, in `result`.
  func scan(
    _ group: QueryGroup, k: Int, rows: IndexRows, in result: borrowing Scratch
  ) -> ListView<UInt32> {
    let found = unsafe result.rows(min(rowCount, group.count * k + outliers.count))
    let scratch = result.workspace.scope()
    let kernels = scratch.kernels
    let prepared = scorer.prepare(group, in: scratch)
    let scores = unsafe ScoreRows(scratch.list(group.count * Self.scannedRows), stride: Self.scannedRows)
    let capacity = TopRanks.capacity(limit: k)
    let ranks = unsafe scratch.ranks(group.count * capacity)
    let union = unsafe RowUnion(rowCount: rowCount, in: scratch)
    return unsafe withUnsafeTemporaryAllocation(of: TopRanks.self, capacity: group.count) { tops in
      for h in 0..<group.count {
        unsafe tops.initializeElement(at: h, to: TopRanks(limit: k, base: ranks + h * capacity))
      }
      for first in stride(from: 0, to: rowCount, by: Self.scannedRows) {
        let range = first..<min(first + Self.scannedRows, rowCount)
        scorer.score(
          range, of: prepared, rows: rows, scores: scores, kernels: kernels)
        for h in 0..<group.count {
          unsafe tops[h].collect(
            scores.list.base + h * scores.stride, count: range.count, firstRow: first, kernels: kernels)
        }
      }
      for h in 0..<group.count {
        unsafe tops[h].prune()
        for i in unsafe 0..<tops[h].count { unsafe union.insert(Kernels.index(ofRank: tops[h].base[i])) }
      }
      for i in 0..<outliers.count { unsafe union.insert(outliers.base[i]) }
      return union.list(into: found)
    }
  }
}

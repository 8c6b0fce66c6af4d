// The best keys of a query: those whose codes score highest.

import AttentionKernels

extension ScanIndex: KeyIndex {
  /// Cost: all codes are read.
  package func candidates(
    _ count: Int, for query: QueryGroup, rows: IndexRows, workspace: Workspace
  ) -> (rows: [UInt32], read: ReadCount) {
    let scratch = workspace.scope()
    let limit = build.codes == .float16 ? count : candidateCount(for: count)
    let found = scan(query, k: min(limit, rowCount), rows: rows, in: scratch)
    var read = ReadCount()
    read.scored = rowCount
    read.bytes = rowCount * (scorer.bytesPerRow ?? rows.keys.stride)
    return (Array(found), read)
  }

  package func removeAll() {
    scorer = Self.scorer(of: build, dimension: dimension)
    outliers = RowBuffer()
  }
}

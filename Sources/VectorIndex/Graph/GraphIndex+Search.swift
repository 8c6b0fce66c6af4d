// The best keys of a query, from a walk.

import AttentionKernels

extension GraphIndex: KeyIndex {
  /// Cost: as that of a query of ``attend(_:states:)``, with a beam that is wide enough for `count`. Where each query
  /// head has a graph, that of the first one is walked.
  package func candidates(
    _ count: Int, for query: QueryGroup, rows: IndexRows, workspace: Workspace
  ) -> (rows: [UInt32], read: ReadCount) {
    let (found, read) = search(
      query, keys: rows.keys, k: count, beamWidth: max(search.beamWidth, count), workspace: workspace)
    var seen = Set(found[0])
    let apart = (0..<outliers.count).map { outliers[$0] }.filter { seen.insert($0).inserted }
    return (found[0] + apart, read)
  }

  package func removeAll() {
    outliers = RowBuffer()
    graphs = []
    geometry = RowBuffer()
    rowCount = 0
  }
}

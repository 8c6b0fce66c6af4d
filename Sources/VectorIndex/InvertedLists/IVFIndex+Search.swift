// The best keys of a query: those of the best lists.

import AttentionKernels

extension IVFIndex: KeyIndex {
  /// All rows of the lists that a query of ``attend(_:states:)`` would read.
  package func candidates(
    _ count: Int, for query: QueryGroup, rows: IndexRows, workspace: Workspace
  ) -> (rows: [UInt32], read: ReadCount) {
    let scratch = workspace.scope()
    let probes = min(max(1, search.probes), listCount - outlierListCount) + outlierListCount
    let selected = unsafe scratch.rows(listCount)
    if probes < listCount {
      select(probes, for: query, marks: selected, workspace: workspace)
    } else {
      selected.fill(1)
    }
    var read = ReadCount()
    read.scored = listCount
    read.bytes = listCount * (2 * dimension + Self.statisticsByteCount)
    var found: [UInt32] = []
    for list in 0..<listCount where selected[list] != 0 { found += starts[list]..<starts[list + 1] }
    return (found, read)
  }

  package func removeAll() {
    representatives = RowBuffer()
    logMass = RowBuffer()
    starts = RowBuffer([0])
    (rowCount, listCount, segmentCount, outlierListCount) = (0, 0, 0, 0)
  }
}

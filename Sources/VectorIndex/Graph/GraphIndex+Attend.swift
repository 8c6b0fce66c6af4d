// Decoding: walk the graph for each query of the group, then attend to all that was found.

public import AttentionKernels

extension GraphIndex {
  /// Bytes are counted so: the key of every row scored (with separate graphs, once for each search that scored it),
  /// every link read, and the value of every row attended. The keys of these were scored, so they count no more, but
  /// for those of outliers.
  public func attend(_ call: IndexCall, states: StatePointers) -> ReadCount {
    let (group, rows, workspace, recorder) = (call.group, call.rows, call.workspace, call.recorder)
    let scratch = workspace.scope()
    var read = ReadCount()
    guard rowCount > 0, group.count > 0, search.k > 0 else { return read }
    let d = dimension
    let (beams, cost) = walk(
      group, keys: rows.keys, k: search.k, beamWidth: search.beamWidth, in: scratch)

    let found = unsafe scratch.rows(
      min(rowCount, group.count * min(search.k, rowCount) + outliers.count))
    var foundCount = 0
    let marks = workspace.rowMarks.unseen(rows: rowCount)
    for i in 0..<outliers.count where unsafe marks.see(outliers.base[i]) {
      found[foundCount] = unsafe outliers.base[i]
      foundCount += 1
    }
    for query in 0..<group.count {
      for candidate in unsafe beams[query].prefix(search.k) where marks.see(candidate.row) {
        found[foundCount] = candidate.row
        foundCount += 1
      }
    }
    unsafe workspace.kernels.unsafeAttend(
      group.rows(dimension: d), to: rows.keyValues, .listed(found.first(foundCount)), states: states,
      scratch: scratch.floats(Kernels.attendScratchCount(queryCount: group.count)))
    recorder?.read(found.first(foundCount))
    read.retrieved = foundCount
    read.scored = cost.scored + outliers.count
    read.hops = cost.hops
    read.bytes =
      rows.keys.stride * (cost.scored + outliers.count) + 4 * cost.links + rows.values.stride * foundCount
    return read
  }

  /// The rows of largest inner product that the graph leads each query to, best first: `[queries][at most k]`.
  ///
  /// For measurements; ``attend(_:states:)`` makes no arrays.
  package func search(
    _ group: QueryGroup, keys: PackedRows, k: Int, beamWidth: Int, workspace: Workspace
  ) -> (rows: [[UInt32]], read: ReadCount) {
    var read = ReadCount()
    guard rowCount > 0, k > 0 else { return ([[UInt32]](repeating: [], count: group.count), read) }
    let scratch = workspace.scope()
    let (beams, cost) = walk(group, keys: keys, k: k, beamWidth: beamWidth, in: scratch)
    read.scored = cost.scored
    read.hops = cost.hops
    read.bytes = keys.stride * cost.scored + 4 * cost.links
    return ((0..<group.count).map { query in unsafe beams[query].prefix(k).map(\.row) }, read)
  }

  /// Fills beam `i` with what query `i` finds.
  private func walk(
    _ group: QueryGroup, keys: PackedRows, k: Int, beamWidth: Int, in scratch: borrowing Scratch
  ) -> (beams: Beams, cost: SearchCost) {
    let workspace = scratch.workspace
    let scoring = ScoredRows(rows: keys, dimension: dimension)
    let width = max(1, beamWidth)
    var beams = Beams(
      queries: group.count, width: min(max(width, k), rowCount), rows: rowCount, in: scratch)
    if graphs.count == 1 {
      let cost = unsafe BeamSearch(graph: graphs[0], scoring: scoring, beams: beams, workspace: workspace)
        .run(group.rows(dimension: dimension), beamWidth: width)
      return (beams, cost)
    }
    var total = SearchCost()
    for query in 0..<group.count {
      beams.marks = workspace.rowMarks.unseen(rows: rowCount)
      let graph = graphs[query % graphs.count]
      let cost = unsafe BeamSearch(graph: graph, scoring: scoring, beams: beams, workspace: workspace)
        .run(
          FloatRows(group.queries + query * dimension, count: 1, dimension: dimension), beamWidth: width,
          firstBeam: query)
      total.scored += cost.scored
      total.hops += cost.hops
      total.links += cost.links
    }
    return (beams, total)
  }
}

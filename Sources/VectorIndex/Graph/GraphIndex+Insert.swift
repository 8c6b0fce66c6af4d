// Building: the first rows make a graph, later ones are linked into it.

import AttentionKernels

extension GraphIndex {
  /// Links the new rows; their order stays as it is.
  ///
  /// The first call builds by the construction chosen, or from keys alone if there are no training queries. Later
  /// calls link row by row, each to rows near it and to those that the queries of that call retrieve with it.
  /// Every row can be reached afterwards, but for outliers, which are kept apart. A failed allocation traps, as
  /// everywhere in Swift; nothing else can fail.
  public func insert(_ new: NewRows, all: IndexRows, training: TrainingQueries, workspace: Workspace) {
    precondition(new.count >= 0, "cannot insert \(new.count) rows")
    guard new.count > 0 else { return }
    let apart = OutlierRows.find(
      keys: new.keys, values: nil, count: new.count, dimension: dimension, workspace: workspace)
    for row in apart { outliers.append(UInt32(rowCount) + row) }
    let isFirst = graphs.isEmpty
    if isFirst { makeGraphs(groupSize: training.groupSize) }
    let scratch = workspace.scope()
    let space = keySpace(all, training: training, in: scratch)
    for head in graphs.indices {
      let step = graphs.count
      let retrieved = unsafe RetrievedKeys(
        of: FloatRows(
          training.queries + (step > 1 ? head * dimension : 0),
          count: build.construction == .keysOnly ? 0 : training.count / step, dimension: dimension,
          stride: step * dimension),
        keys: all.keys, keyCount: all.count, excluded: outlierRows, width: build.nearestCount,
        workspace: workspace)
      let builder = GraphBuilder(
        graph: graphs[head], space: space, degree: build.maxDegree, beamWidth: build.buildBeamWidth,
        workspace: workspace)
      if isFirst, retrieved.queryCount > 0 {
        buildGraph(builder, retrieved)
      } else {
        builder.graph.append(rows: new.count)
        for row in rowCount..<all.count { link(row, retrieved, builder) }
        if isFirst { builder.graph.entryPoints = [space.centralRow()] }
      }
      builder.shrinkAll()
      builder.connect()
    }
    rowCount += new.count
  }

  private var outlierRows: ListView<UInt32> { unsafe outliers.list }

  private func makeGraphs(groupSize: Int) {
    let count = build.sharing == .perQueryHead ? max(1, groupSize) : 1
    let (maxDegree, capacity) = Self.degrees(of: build)
    for _ in 0..<count { graphs.append(LinkTable(maxDegree: maxDegree, capacity: capacity)) }
  }

  /// Distances between keys: Euclidean, or for co-retrieval as the queries see them.
  private func keySpace(_ all: IndexRows, training: TrainingQueries, in scratch: borrowing Scratch)
    -> KeySpace
  {
    let d = dimension
    let keys = KeySet(keys: all.keys, count: all.count, dimension: d, outliers: outlierRows)
    guard build.construction == .coRetrieval else { return KeySpace(keys, in: scratch) }
    if geometry.count == 0, training.count > 0 {
      unsafe QueryGeometry.map(
        queries: training.queries, count: training.count, dimension: d, workspace: scratch.workspace,
        result: geometry.grow(by: d * d))
    }
    guard geometry.count > 0 else { return KeySpace(keys, in: scratch) }
    return unsafe KeySpace(keys, map: geometry.list.matrix(rows: d, columns: d), in: scratch)
  }

  /// The whole construction, for the first rows.
  private func buildGraph(_ builder: GraphBuilder, _ retrieved: borrowing RetrievedKeys) {
    let graph = builder.graph
    let rows = builder.space.count
    graph.append(rows: rows)
    if build.construction == .coRetrieval {
      graph.entryPoints = Self.mostRetrieved(retrieved, rows: rows)
      builder.linkRetrievedTogether(retrieved)
      return
    }
    let projection = LinkTable(
      maxDegree: build.maxDegree, capacity: build.maxDegree + (build.maxDegree + 1) / 2)
    projection.append(rows: rows)
    let projecting = GraphBuilder(
      graph: projection, space: builder.space, degree: build.maxDegree, beamWidth: build.buildBeamWidth,
      workspace: builder.workspace)
    projecting.projectQueries(retrieved)
    // The paper starts from the central key, which only the enhancement is sure to link: until then the nearest
    // key that a query retrieves does its work.
    let central = builder.space.centralRow()
    projection.entryPoints = [projecting.nearestLinked(to: central)]
    projecting.enhance(graph)
    graph.entryPoints = [central]
  }

  /// The keys that most training queries retrieve: where a search is likely to end up.
  private static func mostRetrieved(_ retrieved: borrowing RetrievedKeys, rows: Int) -> [UInt32] {
    var ranked: [RankedRow] = []
    for row in 0..<rows {
      let count = retrieved.queries(of: row).count
      if count > 0 { ranked.append(RankedRow(Float(count), row: UInt32(row))) }
    }
    return ranked.sorted(by: >).prefix(entryPointCount).map(\.row)
  }

  /// Their number hardly matters to recall.
  private static let entryPointCount = 8

  /// Links one row of a later call.
  private func link(_ row: Int, _ retrieved: borrowing RetrievedKeys, _ builder: GraphBuilder) {
    guard retrieved.queryCount > 0, !retrieved.queries(of: row).isEmpty else { return builder.link(row) }
    let scratch = builder.workspace.scope()
    switch build.construction {
    case .keysOnly: builder.link(row)
    case .coRetrieval:
      let together = builder.keysRetrieved(with: row, retrieved, in: scratch)
      builder.link(row, extra: together)
    case .roarGraph:
      let projected = builder.keysProjected(on: row, retrieved, in: scratch)
      builder.link(row, extra: projected)
    }
  }
}

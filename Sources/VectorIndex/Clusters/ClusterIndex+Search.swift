// The best keys of a query: clusters by what they promise, keys by their codes.

import AttentionKernels

extension ClusterIndex: KeyIndex {
  /// How far above a centroid's score the best keys of its cluster are expected, in standard deviations of their
  /// scores. Of 64 normal deviates one is on average beyond 2.2.
  static let searchReach: Float = 3

  /// Goes through the clusters in the order of what their best keys may score, and ends where the next one promises
  /// less than the worst of the candidates.
  ///
  /// Cost: a dot product with each centroid, and the codes of the clusters looked into. Without codes, their keys.
  package func candidates(
    _ count: Int, for query: QueryGroup, rows: IndexRows, workspace: Workspace
  ) -> (rows: [UInt32], read: ReadCount) {
    let scratch = workspace.scope()
    let d = dimension
    // Sums of more codes do not fit into the 16 bits that the kernel has for them.
    let usesCodes = build.usesCodes && codes.subquantizers <= 256
    let limit = min(usesCodes ? candidateCount(for: count) : count, rowCount)
    let centroidScores = unsafe scratch.list(clusterCount)
    unsafe workspace.kernels.unsafeDot(
      query.rows(dimension: d), with: PackedRows(centroids.base, stride: d), .first(clusterCount),
      scores: centroidScores.base)
    let reach = unsafe Self.searchReach * vectorNorm(query.queries, dimension: d)
    var promises = (0..<clusterCount).map {
      RankedRow(centroidScores[$0] + reach * spread[$0], row: UInt32($0))
    }
    promises.sort(by: >)

    let kept = outlierPlaces
    let tables = usesCodes ? unsafe codes.tables(queries: query.queries, count: 1, in: scratch) : nil
    var read = ReadCount()
    read.centroids = clusterCount
    read.bytes = clusterCount * (2 * d + MemoryLayout<Float>.size)
    read.scored = clusterCount
    var best: [RankedRow] = []
    var worst = -Float.infinity
    for promise in promises where promise.value >= worst || best.count < limit {
      let cluster = Int(promise.row)
      let end = kept.ends[UInt32(cluster)] ?? Int(starts[cluster + 1])
      let range = Int(starts[cluster])..<end
      guard !range.isEmpty else { continue }
      let own = workspace.scope()
      let scores = unsafe own.list(range.count)
      var base: Float = 0
      if let tables {
        base = centroidScores[cluster]
        unsafe workspace.kernels.unsafeDotPQ4(
          tables.queries, with: CodeBlocks(codes.blocks.base, width: codes.subquantizers), range,
          scores: scores.base, scoreStride: range.count)
      } else {
        unsafe workspace.kernels.unsafeDot(
          query.rows(dimension: d), with: rows.keys.from(range.lowerBound), .first(range.count),
          scores: scores.base)
      }
      read.scored += range.count
      read.bytes += range.count * (usesCodes ? codes.bytesPerRow : rows.keys.stride)
      for (i, row) in range.enumerated() where best.count < limit || scores[i] + base > worst {
        best.append(RankedRow(scores[i] + base, row: UInt32(row)))
      }
      guard best.count >= limit else { continue }
      best.sort(by: >)
      best.removeLast(best.count - limit)
      worst = best[limit - 1].value
    }
    return (kept.rows + best.map(\.row), read)
  }

  /// Rows in no cluster, and where the clusters before them end.
  private var outlierPlaces: (rows: [UInt32], ends: [UInt32: Int]) {
    var (rows, ends): ([UInt32], [UInt32: Int]) = ([], [:])
    for run in 0..<outliers.count {
      let cluster = outliers.cluster(run)
      ends[UInt32(cluster)] = outliers.begin(run)
      rows += UInt32(outliers.begin(run))..<starts[cluster + 1]
    }
    return (rows, ends)
  }

  package func removeAll() {
    centroids = RowBuffer()
    meanValues = RowBuffer()
    logMass = RowBuffer()
    spread = RowBuffer()
    gain = RowBuffer()
    valueSpread = RowBuffer()
    logCounts = RowBuffer()
    logWeights = RowBuffer()
    highestSpread = 0
    groups = ClusterGroups()
    outliers = OutlierRuns()
    codes = ResidualCodes(dimension: dimension)
    starts = RowBuffer([0])
    exactTolerance = 0
    (rowCount, clusterCount, segmentCount) = (0, 0, 0)
  }
}

// Decoding: score centroids, read what is worth it, estimate the rest.

import AttentionKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

extension ClusterIndex {
  package func attend(
    _ group: QueryGroup, rows: IndexRows, states: StatePointers, workspace: Workspace, recorder: ReadRecorder?
  ) -> ReadCount {
    guard clusterCount > 0 else { return ReadCount() }
    let (d, g, groupCount) = (dimension, group.count, groups.count)
    let kernels = workspace.kernels
    let groupScores = workspace.floats(.groupScores, g * groupCount)
    let limit = build.usesCodes ? search.tolerance * search.refinement : search.tolerance
    let scan = scan(group, states: states, limit: limit, groupScores: groupScores, workspace: workspace)
    var read =
      build.usesCodes
      ? attendKeys(group, rows: rows, states: states, scan: scan, workspace: workspace, recorder: recorder)
      : attendClusters(
        group, rows: rows, states: states, scan: scan, workspace: workspace, recorder: recorder)
    scan.forEachRun { run in
      kernels.unsafeSoftmaxAccumulate(
        scores: scan.scores + run.lowerBound, scoreStride: scan.count, queryCount: g,
        values: meanValues.base + Int(scan.ids[run.lowerBound]) * d, valueStride: d, rowCount: run.count,
        dimension: d, maxima: states.maxima, sums: states.sums, accumulators: states.accumulators,
        accumulatorStride: d)
    }
    kernels.unsafeSoftmaxAccumulate(
      scores: groupScores, scoreStride: groupCount, queryCount: g, values: groups.meanValues.base,
      valueStride: d, rowCount: groupCount, dimension: d, maxima: states.maxima, sums: states.sums,
      accumulators: states.accumulators, accumulatorStride: d)
    read.centroids = groupCount + scan.count
    read.scored += read.centroids
    read.bytes += read.retrieved * 4 * d + read.centroids * (4 * d + Self.statisticsByteCount)
    return read
  }

  /// Attends exactly to all keys of the clusters worth it, and takes their estimates out of `scores`.
  private func attendClusters(
    _ group: QueryGroup, rows: IndexRows, states: StatePointers, scan: ClusterScan, workspace: Workspace,
    recorder: ReadRecorder?
  ) -> ReadCount {
    let (d, g) = (dimension, group.count)
    let selected = workspace.indices(.selected, scan.count)
    var selectedCount = 0
    var retrieved = 0
    for c in 0..<scan.count where !(scan.gains[c] < search.tolerance) {
      selected[selectedCount] = UInt32(c)
      selectedCount += 1
      retrieved += scan.size(c)
    }
    if retrieved > search.maximumRetrieved {
      (selectedCount, retrieved) = keepBest(selected, selectedCount, of: scan, limit: search.maximumRetrieved)
    }
    let scratch = workspace.floats(.kernel, Kernels.attendScratchCount(queryCount: g))
    scan.forEachRun(of: selected, selectedCount) { run in
      let begin = run.lowerBound
      workspace.kernels.unsafeAttend(
        queries: group.queries, queryStride: d, queryCount: g, keys: rows.keys + begin * d, keyStride: d,
        values: rows.values + begin * d, valueStride: d, rowCount: run.count, dimension: d,
        maxima: states.maxima, sums: states.sums, accumulators: states.accumulators, accumulatorStride: d,
        scratch: scratch)
      recorder?.read(run)
    }
    for h in 0..<g {
      for s in 0..<selectedCount { scan.scores[h * scan.count + Int(selected[s])] = -.infinity }
    }
    var read = ReadCount()
    read.retrieved = retrieved
    read.scored = retrieved
    return read
  }

  /// Euclidean length.
  static func norm(_ vector: UnsafePointer<Float>, dimension: Int) -> Float {
    var sum: Float = 0
    for i in 0..<dimension { sum += vector[i] * vector[i] }
    return sum.squareRoot()
  }

  /// Keeps the selected clusters of highest gain that fit in `limit` keys, in memory order.
  private func keepBest(
    _ selected: UnsafeMutablePointer<UInt32>, _ count: Int, of scan: ClusterScan, limit: Int
  ) -> (clusters: Int, keys: Int) {
    var candidates = UnsafeMutableBufferPointer(start: selected, count: count)
    candidates.sort { scan.gains[Int($0)] > scan.gains[Int($1)] }
    var kept = 0
    var keys = 0
    while kept < count, keys + scan.size(Int(candidates[kept])) <= limit {
      keys += scan.size(Int(candidates[kept]))
      kept += 1
    }
    candidates = UnsafeMutableBufferPointer(start: selected, count: kept)
    candidates.sort()
    return (kept, keys)
  }
}

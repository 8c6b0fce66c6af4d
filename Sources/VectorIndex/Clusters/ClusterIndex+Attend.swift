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
    let plan = plan(group, states: states, workspace: workspace)
    let excess = workspace.emptyStates(count: group.count, dimension: dimension)
    var read = plan.read
    for slice in 0..<plan.sliceCount {
      read += attend(
        group, slice: slice, of: plan, rows: rows, states: states, excess: excess, workspace: workspace,
        recorder: recorder)
    }
    for h in 0..<group.count where excess.maxima[h] > -.infinity {
      let scale = exp(excess.maxima[h] - states.maxima[h])
      guard scale * excess.sums[h] < Self.maximumExcess * states.sums[h] else { continue }
      states.sums[h] -= scale * excess.sums[h]
      workspace.kernels.unsafeAddScaled(
        excess.accumulators + h * dimension, by: -scale, to: states.accumulators + h * dimension,
        count: dimension)
    }
    return read
  }

  /// What is taken away again is less than this share of the whole: more would have to go only if codes were worthless,
  /// and is left then.
  package static let maximumExcess: Float = 0.9

  /// Scores groups and clusters, adds the groups that promise little to `states` through their estimates, and chooses
  /// the clusters whose keys are worth a look. Traps without rows.
  ///
  /// - Parameters:
  ///   - known: what attention to other keys gave; tells what still matters. Of these only maxima and sums are read.
  ///   - states: where the estimates of groups go; may be the same.
  package func plan(
    _ group: QueryGroup, known: StatePointers? = nil, states: StatePointers, workspace: Workspace
  ) -> ClusterPlan {
    precondition(clusterCount > 0, "nothing is indexed")
    let (d, g, groupCount) = (dimension, group.count, groups.count)
    let groupScores = workspace.floats(.groupScores, g * groupCount)
    let limit = build.usesCodes ? search.tolerance * search.refinement : search.tolerance
    workspace.stages?.begin(.centroids)
    let scan = scan(
      group, states: known ?? states, limit: limit, groupScores: groupScores, workspace: workspace)
    workspace.stages?.begin(.selection)
    let selected = workspace.indices(.selected, scan.count)
    var selectedCount = 0
    for c in 0..<scan.count where !(scan.gains[c] < limit) {
      selected[selectedCount] = UInt32(c)
      selectedCount += 1
    }
    if !build.usesCodes { selectedCount = keepBest(selected, selectedCount, of: scan) }
    let tables =
      build.usesCodes && selectedCount > 0
      ? codes.tables(queries: group.queries, count: g, workspace: workspace) : nil
    workspace.stages?.begin(.tail)
    workspace.kernels.unsafeSoftmaxAccumulate(
      scores: groupScores, scoreStride: groupCount, queryCount: g, values: groups.meanValues.base,
      valueStride: d, rowCount: groupCount, dimension: d, maxima: states.maxima, sums: states.sums,
      accumulators: states.accumulators, accumulatorStride: d)
    var read = ReadCount()
    read.centroids = groupCount + scan.count
    read.scored = read.centroids
    read.bytes = read.centroids * (4 * d + Self.statisticsByteCount)
    return ClusterPlan(
      scan: scan, selected: selected, selectedCount: selectedCount, tables: tables, read: read,
      workspace: workspace)
  }

  /// Adds one slice of the clusters to `states`: what is worth it by its keys, the rest by its estimate. Slices of a plan
  /// may run at the same time, with other states and workspaces.
  ///
  /// - Parameter excess: a state of what has to be taken away from the sum of all slices.
  package func attend(
    _ group: QueryGroup, slice: Int, of plan: ClusterPlan, rows: IndexRows, states: StatePointers,
    excess: StatePointers, workspace: Workspace, recorder: ReadRecorder?
  ) -> ReadCount {
    let scan = plan.scan.part(plan.clusters(ofSlice: slice))
    let selected = plan.selection(ofSlice: slice)
    var read = ReadCount()
    if !selected.isEmpty {
      if let tables = plan.tables {
        read = attendKeys(
          group, rows: rows, states: states, excess: excess, scan: scan, selected: selected, tables: tables,
          limit: plan.share(of: search.maximumRetrieved, slice: slice), workspace: workspace,
          recorder: recorder)
      } else {
        read = attendClusters(
          group, rows: rows, states: states, scan: scan, selected: selected, workspace: workspace,
          recorder: recorder)
      }
    }
    workspace.stages?.begin(.tail)
    addMeanValues(
      scan.scores, stride: scan.stride, of: scan.ids, count: scan.count, queryCount: group.count, to: states,
      workspace: workspace)
    read.bytes += read.retrieved * rows.bytesPerRow
    return read
  }

  /// Adds the mean values of clusters, weighted by log masses `[queries, stride]`.
  func addMeanValues(
    _ logMasses: UnsafePointer<Float>, stride: Int, of clusters: UnsafePointer<UInt32>, count: Int,
    queryCount: Int, to states: StatePointers, workspace: Workspace
  ) {
    workspace.kernels.unsafeSoftmaxAccumulate(
      scores: logMasses, scoreStride: stride, queryCount: queryCount,
      values: PackedRows(meanValues.base, stride: dimension), indices: clusters, rowCount: count,
      dimension: dimension, maxima: states.maxima, sums: states.sums, accumulators: states.accumulators,
      accumulatorStride: dimension)
  }

  /// Attends exactly to all keys of the clusters worth it, and takes their estimates out of the scan's scores.
  private func attendClusters(
    _ group: QueryGroup, rows: IndexRows, states: StatePointers, scan: ClusterScan,
    selected: UnsafeBufferPointer<UInt32>, workspace: Workspace, recorder: ReadRecorder?
  ) -> ReadCount {
    let (d, g) = (dimension, group.count)
    let scratch = workspace.floats(.kernel, Kernels.attendScratchCount(queryCount: g))
    var read = ReadCount()
    workspace.stages?.begin(.retrieved)
    scan.forEachRun(of: selected) { run in
      let begin = run.lowerBound
      workspace.kernels.unsafeAttend(
        queries: group.queries, queryStride: d, queryCount: g, keys: rows.keys.from(begin),
        values: rows.values.from(begin), rowCount: run.count, dimension: d,
        maxima: states.maxima, sums: states.sums, accumulators: states.accumulators, accumulatorStride: d,
        scratch: scratch)
      recorder?.read(run)
      read.retrieved += run.count
    }
    for h in 0..<g {
      for c in selected { scan.scores[h * scan.stride + Int(c)] = -.infinity }
    }
    read.scored = read.retrieved
    return read
  }

  /// Euclidean length.
  static func norm(_ vector: UnsafePointer<Float>, dimension: Int) -> Float {
    var sum: Float = 0
    for i in 0..<dimension { sum += vector[i] * vector[i] }
    return sum.squareRoot()
  }

  /// Keeps the selected clusters of highest gain that fit in the most keys that may be read, in memory order. Returns
  /// how many.
  private func keepBest(
    _ selected: UnsafeMutablePointer<UInt32>, _ count: Int, of scan: ClusterScan
  ) -> Int {
    var keys = 0
    for i in 0..<count { keys += scan.size(Int(selected[i])) }
    guard keys > search.maximumRetrieved else { return count }
    var candidates = UnsafeMutableBufferPointer(start: selected, count: count)
    candidates.sort { scan.gains[Int($0)] > scan.gains[Int($1)] }
    var kept = 0
    keys = 0
    while kept < count, keys + scan.size(Int(candidates[kept])) <= search.maximumRetrieved {
      keys += scan.size(Int(candidates[kept]))
      kept += 1
    }
    candidates = UnsafeMutableBufferPointer(start: selected, count: kept)
    candidates.sort()
    return kept
  }
}

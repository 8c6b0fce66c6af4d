// Decoding: score centroids, read what is worth it, estimate the rest.

public import AttentionKernels
import Platform

extension ClusterIndex {
  public func attend(_ call: IndexCall, states: StatePointers) -> ReadCount {
    let (group, rows, workspace, recorder) = (call.group, call.rows, call.workspace, call.recorder)
    let scratch = workspace.scope()
    guard clusterCount > 0 else { return ReadCount() }
    let plan = plan(group, rows: rows, states: states, in: scratch, recorder: recorder)
    let tail = unsafe TailSums(
      scratch.floats(TailSums.floatCount(queries: group.count, dimension: dimension)),
      queries: group.count, dimension: dimension)
    tail.clear()
    var read = plan.read
    for slice in 0..<plan.sliceCount {
      read += attend(call, slice: slice, of: plan, states: states, tail: tail)
    }
    tail.add(to: states, kernels: workspace.kernels)
    return read
  }

  /// Attends to outliers, scores groups and clusters, adds the groups that promise little to `states` through their
  /// estimates, and chooses the clusters whose keys are worth a look. Or, where that does not pay, plans to read all
  /// rows. Traps without rows.
  ///
  /// - Parameters:
  ///   - known: what attention to other keys gave; tells what still matters. Of these only maxima and sums are used,
  ///     and those of the outliers are added. Nil for what `states` hold.
  ///   - states: where outliers and the estimates of groups go; empty unless `known` is nil.
  ///   - scratch: where the plan lies. It is good for as long.
  package func plan(
    _ group: QueryGroup, rows: IndexRows, known: StatePointers? = nil, states: StatePointers,
    in scratch: borrowing Scratch, recorder: ReadRecorder?
  ) -> ClusterPlan {
    let workspace = scratch.workspace
    precondition(clusterCount > 0, "nothing is indexed")
    if readsAllRows(queryCount: group.count) { return ClusterPlan(rowCount: rowCount, in: scratch) }
    let (d, g, groupCount) = (dimension, group.count, groups.count)
    var read = ReadCount()
    if outliers.count > 0 {
      workspace.stages?.begin(.retrieved)
      read = attendOutliers(group, rows: rows, states: states, workspace: workspace, recorder: recorder)
      read.bytes = read.retrieved * rows.bytesPerRow
      if let known { for h in 0..<g { known.mergeWeight(of: states, query: h) } }
    }
    let groupScores = unsafe scratch.floats(g * groupCount)
    let limit = build.usesCodes ? search.tolerance * search.refinement : search.tolerance
    workspace.stages?.begin(.centroids)
    let scan = unsafe scan(
      group, states: known ?? states, limit: limit, groupScores: groupScores, in: scratch)
    workspace.stages?.begin(.selection)
    let room = unsafe scratch.rows(scan.count)
    var selectedCount = 0
    for c in 0..<scan.count where unsafe !(scan.gains[c] < limit) {
      unsafe room.base[selectedCount] = UInt32(c)
      selectedCount += 1
    }
    var selected = room.first(selectedCount)
    if !build.usesCodes { selected = keepBest(selected, of: scan) }
    let tables =
      unsafe build.usesCodes && !selected.isEmpty
      ? codes.tables(queries: group.queries, count: g, in: scratch) : nil
    workspace.stages?.begin(.tail)
    unsafe workspace.kernels.unsafeSoftmaxAccumulate(
      scores: groupScores, values: PackedRows(groups.meanValues.base, stride: d), .first(groupCount),
      to: states)
    read.centroids = groupCount + scan.count
    read.scored += read.centroids
    read.bytes += read.centroids * (4 * d + Self.statisticsByteCount)
    return ClusterPlan(
      scan: scan, selected: selected, tables: tables, read: read, in: scratch)
  }

  /// Attends to the keys of one slice of the clusters that are worth it, and adds estimates of all others; or to a
  /// slice of all rows. Slices of a plan may run at the same time, with other states and workspaces.
  ///
  /// - Parameters:
  ///   - states: where the keys go.
  ///   - tail: where the estimates go, in the scale of the plan: nothing yet, or what other slices gave.
  package func attend(
    _ call: IndexCall, slice: Int, of plan: ClusterPlan, states: StatePointers, tail: TailSums
  ) -> ReadCount {
    let (group, rows, workspace) = (call.group, call.rows, call.workspace)
    let scratch = workspace.scope()
    guard let wholeScan = plan.scan else {
      workspace.stages?.begin(.retrieved)
      var read = attend(
        group, to: plan.range(ofSlice: slice), of: rows, states: states, workspace: workspace,
        recorder: call.recorder)
      read.bytes = read.retrieved * rows.bytesPerRow
      return read
    }
    let scan = unsafe wholeScan.part(plan.range(ofSlice: slice))
    let weights = unsafe scratch.list(group.count * scan.count)
    let work = ClusterSlice(
      scan: scan, selected: plan.selection(ofSlice: slice),
      limit: plan.share(of: search.maximumRetrieved, slice: slice), weights: weights)
    var read = ReadCount()
    workspace.stages?.begin(.tail)
    unsafe tail.logScales.update(from: scan.logTotals, count: group.count)
    for h in 0..<group.count {
      let (row, scores, logTotal) = unsafe (
        weights.base + h * scan.count, scan.scores + h * scan.stride, scan.logTotals[h]
      )
      for c in 0..<scan.count { unsafe row[c] = scores[c] - logTotal }
    }
    unsafe workspace.kernels.unsafeExp(weights.base, weights.base, count: group.count * scan.count)
    if !work.selected.isEmpty {
      if let tables = plan.tables {
        read = attendKeys(call, work, tables: tables, states: states)
      } else {
        read = attendClusters(call, work, states: states)
      }
    }
    workspace.stages?.begin(.tail)
    unsafe workspace.kernels.unsafeAddRows(
      PackedRows(meanValues.base, stride: dimension), .listed(scan.ids, count: scan.count),
      weights: weights.base,
      to: tail.states)
    read.bytes += read.retrieved * rows.bytesPerRow
    return read
  }

  /// Attends exactly to all keys of the clusters worth it, whose weights become zero.
  private func attendClusters(_ call: IndexCall, _ slice: ClusterSlice, states: StatePointers) -> ReadCount {
    let (group, rows, workspace, scan) = (call.group, call.rows, call.workspace, slice.scan)
    let scratch = workspace.scope()
    let (d, g) = (dimension, group.count)
    let kernelScratch = unsafe scratch.floats(Kernels.attendScratchCount(queryCount: g))
    var read = ReadCount()
    workspace.stages?.begin(.retrieved)
    unsafe scan.forEachRun(of: slice.selected) { run in
      let begin = run.lowerBound
      unsafe workspace.kernels.unsafeAttend(
        group.rows(dimension: d), to: rows.keyValues.from(begin), .first(run.count), states: states,
        scratch: kernelScratch)
      call.recorder?.read(run)
      read.retrieved += run.count
    }
    for h in 0..<g {
      for c in slice.selected { unsafe slice.weights.base[h * scan.count + Int(c)] = 0 }
    }
    read.scored = read.retrieved
    return read
  }

  /// Keeps the selected clusters of highest gain that fit in the most keys that may be read, in memory order.
  private func keepBest(_ selected: ListView<UInt32>, of scan: ClusterScan) -> ListView<UInt32> {
    var keys = 0
    for cluster in selected { unsafe keys += scan.size(Int(cluster)) }
    guard keys > search.maximumRetrieved else { return selected }
    selected.sort { unsafe scan.gains[Int($0)] > scan.gains[Int($1)] }
    var kept = 0
    keys = 0
    while kept < selected.count, unsafe keys + scan.size(Int(selected[kept])) <= search.maximumRetrieved {
      unsafe keys += scan.size(Int(selected[kept]))
      kept += 1
    }
    let best = selected.first(kept)
    best.sort()
    return best
  }
}

// Choosing single keys: score the keys of promising clusters by their codes, read those that matter and a sample of
// the others, and let the codes tell what that sample stands for.

import AttentionKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

extension ClusterIndex {
  /// Attends to the keys worth it, and replaces the estimates of their clusters in the scan by what is left of them.
  ///
  /// With w what the codes say a key weighs, p the chance that it is read (1 when it is worth the tolerance, in
  /// proportion below), m the mean value of its cluster, and k, v the key and value themselves, the sum over a
  /// cluster's keys of `exp(q.k) v` is estimated by
  ///
  ///     sum over all: w m  +  sum over those read: (exp(q.k) v - w m) / p
  ///
  /// which is right on average whatever the codes and m are; they only make it vary less. Drawing by estimated weight
  /// is MagicPIG's idea (arXiv 2410.16179), top keys with a sample of the rest that of vAttention (2510.05688). The
  /// sample is systematic: a key is taken whenever the sum of p over the keys before it passes a whole number. So
  /// neighbors in a cluster are not taken together, and the same query gives the same answer.
  ///
  /// - Parameters:
  ///   - excess: a state of what the codes put into the mean values too much, to be taken away from `states`.
  ///   - selected: clusters, numbers in the scan.
  ///   - limit: most keys to read.
  func attendKeys(
    _ group: QueryGroup, rows: IndexRows, states: StatePointers, excess: StatePointers, scan: ClusterScan,
    selected: UnsafeBufferPointer<UInt32>, tables: ResidualCodes.Tables, limit: Int, workspace: Workspace,
    recorder: ReadRecorder?
  ) -> ReadCount {
    let (g, clusters) = (group.count, scan.count)
    var candidateCount = 0
    for c in selected { candidateCount += scan.size(Int(c)) }
    guard candidateCount > 0, let selection = selected.baseAddress else { return ReadCount() }
    workspace.stages?.begin(.selection)
    let kernels = workspace.kernels
    let lists = RowLists(begins: scan.begins, ends: scan.ends, selected: selection, count: selected.count)
    // [g, candidates] weights, then what each key is worth.
    let stride = candidateCount + Kernels.rowPadding
    let weights = workspace.floats(.candidates, (g + 1) * stride)
    let worth = weights + g * stride
    // Chances of the chosen rows, [g, clusters] what codes are added to, and [g, lists] what is left of each list.
    let logChances = workspace.floats(.whitened, candidateCount + g * (clusters + 2 * lists.count))
    let bases = logChances + candidateCount
    for h in 0..<g {
      // The codes score residuals; the query's score of the centroid is the estimate without the learned mass.
      for number in selected {
        let c = Int(number)
        bases[h * clusters + c] = scan.scores[h * scan.stride + c] - scan.logMass[c] - scan.logTotals[h]
      }
    }
    codes.weigh(
      tables, queryCount: g, lists: lists, bases: bases, baseStride: clusters, factors: scan.valueSpread,
      weights: weights, weightStride: stride, worths: worth, kernels: kernels)

    let chosen = workspace.indices(.order, candidateCount)
    let chosenCount = takeSample(
      worth, count: candidateCount, limit: limit, items: chosen, chances: logChances, workspace: workspace)
    var (list, offset) = (0, 0)
    for j in 0..<chosenCount {
      let item = Int(chosen[j])
      while item >= offset + scan.size(Int(selected[list])) {
        offset += scan.size(Int(selected[list]))
        list += 1
      }
      chosen[j] = scan.begins[Int(selected[list])] + UInt32(item - offset)
      // What is left for the mean value: w - w / p.
      let factor = 1 - 1 / logChances[j]
      for h in 0..<g { weights[h * stride + item] *= factor }
    }
    kernels.unsafeLog(logChances, logChances, count: chosenCount)
    kernels.unsafeScale(logChances, by: -1, count: chosenCount)

    let sums = bases + g * clusters
    kernels.unsafeSumLists(
      weights, stride: stride, rowCount: g, lists: lists, sums: sums, sumStride: lists.count)
    let logs = sums + g * lists.count
    kernels.unsafeLog(sums, logs, count: g * lists.count)
    for h in 0..<g {
      let row = scan.scores + h * scan.stride
      for s in 0..<lists.count { row[Int(lists.selected[s])] = scan.logTotals[h] + logs[h * lists.count + s] }
    }
    workspace.stages?.begin(.retrieved)
    attendChosen(
      group, rows: rows, states: states, chosen: chosen, logChances: logChances, count: chosenCount,
      workspace: workspace)
    workspace.stages?.begin(.tail)
    addExcess(sums, logs: logs, of: lists, in: scan, queryCount: g, to: excess, workspace: workspace)
    recorder?.read(UnsafeBufferPointer(start: chosen, count: chosenCount))
    var read = ReadCount()
    read.retrieved = chosenCount
    read.scored = candidateCount
    read.bytes = candidateCount * codes.bytesPerRow
    return read
  }

  /// Adds the mean values of lists of which less than nothing is left, as much as that is.
  ///
  /// - Parameters:
  ///   - sums: `[queries, lists]` shares; other signs afterwards.
  ///   - logs: room for as many.
  private func addExcess(
    _ sums: UnsafeMutablePointer<Float>, logs: UnsafeMutablePointer<Float>, of lists: RowLists,
    in scan: ClusterScan, queryCount g: Int, to states: StatePointers, workspace: Workspace
  ) {
    let ids = workspace.indices(.union, lists.count)
    var count = 0
    for s in 0..<lists.count where (0..<g).contains(where: { sums[$0 * lists.count + s] < 0 }) {
      ids[count] = scan.ids[Int(lists.selected[s])]
      // Column `count` is not to the right of column s.
      for h in 0..<g { sums[h * lists.count + count] = -sums[h * lists.count + s] }
      count += 1
    }
    for h in 0..<g {
      let row = logs + h * lists.count
      workspace.kernels.unsafeLog(sums + h * lists.count, row, count: count)
      for s in 0..<count { row[s] += scan.logTotals[h] }
    }
    addMeanValues(
      logs, stride: lists.count, of: ids, count: count, queryCount: g, to: states, workspace: workspace)
  }

  /// Adds the chosen keys, each as often as it stands for.
  private func attendChosen(
    _ group: QueryGroup, rows: IndexRows, states: StatePointers, chosen: UnsafePointer<UInt32>,
    logChances: UnsafePointer<Float>, count: Int, workspace: Workspace
  ) {
    let (d, g) = (dimension, group.count)
    workspace.kernels.unsafeAttend(
      queries: group.queries, queryStride: d, queryCount: g, keys: rows.keys, values: rows.values,
      indices: chosen, biases: logChances, rowCount: count, dimension: d, maxima: states.maxima,
      sums: states.sums, accumulators: states.accumulators, accumulatorStride: d,
      scratch: workspace.floats(.kernel, Kernels.attendScratchCount(queryCount: g)))
  }

  /// Takes the keys worth the tolerance and a sample of the others, or just the best ones when more would be read than
  /// may be, since then a few keys would stand for very many. Returns how many.
  private func takeSample(
    _ worth: UnsafePointer<Float>, count: Int, limit: Int, items: UnsafeMutablePointer<UInt32>,
    chances: UnsafeMutablePointer<Float>, workspace: Workspace
  ) -> Int {
    // Half way to the first of the sample: as good as any start, and always the same.
    let taken = workspace.kernels.unsafeSample(
      worth, count: count, threshold: search.tolerance, limit: limit, sum: 0.5, items: items, chances: chances
    )
    guard taken == limit, limit > 0, limit < count else { return taken }
    let sorted = workspace.floats(.values, count)
    sorted.update(from: worth, count: count)
    var values = UnsafeMutableBufferPointer(start: sorted, count: count)
    values.sort(by: >)
    let least = values[limit - 1]
    var kept = 0
    for i in 0..<count where !(worth[i] < least) && kept < limit {
      items[kept] = UInt32(i)
      chances[kept] = 1
      kept += 1
    }
    return kept
  }
}

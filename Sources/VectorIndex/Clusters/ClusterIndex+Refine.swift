// Choosing single keys: score the keys of promising clusters by their codes, read those that matter and a sample of
// the others, and let the codes tell what that sample stands for.

import AttentionKernels

extension ClusterIndex {
  /// Attends to the keys worth it, and leaves of their clusters what those do not stand for.
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
  func attendKeys(
    _ call: IndexCall, _ slice: ClusterSlice, tables: ResidualCodes.Tables, states: StatePointers
  ) -> ReadCount {
    let (group, rows, workspace) = (call.group, call.rows, call.workspace)
    let (scan, selected) = (slice.scan, slice.selected)
    let scratch = workspace.scope()
    let (d, g, clusters) = (dimension, group.count, scan.count)
    var candidateCount = 0
    for c in selected { unsafe candidateCount += scan.size(Int(c)) }
    guard candidateCount > 0 else { return ReadCount() }
    workspace.stages?.begin(.selection)
    let lists = unsafe RowLists(
      begins: scan.begins, ends: scan.ends, selected: selected.base, count: selected.count)
    let bases = unsafe scratch.floats(g * clusters)
    for h in 0..<g {
      // The codes score residuals; the query's score of the centroid is the estimate without the weight.
      for number in selected {
        let c = Int(number)
        unsafe bases[h * clusters + c] =
          scan.scores[h * scan.stride + c] - scan.logWeights[c] - scan.logTotals[h]
      }
    }
    let room = min(slice.limit, candidateCount)
    let sample = unsafe RowSample(
      threshold: search.tolerance, limit: slice.limit, rows: scratch.indices(room),
      chances: scratch.floats(room), rests: scratch.floats(g * lists.count), restStride: lists.count)
    let count = unsafe take(
      sample,
      of: CodedLists(
        lists: lists, bases: bases, baseStride: clusters, factors: scan.valueSpread),
      candidates: candidateCount, tables: tables, workspace: workspace)
    let weights = unsafe slice.weights.base
    for h in 0..<g {
      for s in 0..<lists.count {
        unsafe weights[h * clusters + Int(lists.selected[s])] = sample.rests[h * lists.count + s]
      }
    }
    let logChances = unsafe sample.chances
    unsafe workspace.kernels.unsafeLog(logChances, logChances, count: count)
    unsafe workspace.kernels.unsafeScale(logChances, by: -1, count: count)
    workspace.stages?.begin(.retrieved)
    unsafe workspace.kernels.unsafeAttend(
      group.rows(dimension: d), to: rows.keyValues, .listed(sample.rows, count: count), biases: logChances,
      states: states, scratch: scratch.floats(Kernels.attendScratchCount(queryCount: g)))
    unsafe call.recorder?.read(ListView(sample.rows, count: count))
    var read = ReadCount()
    read.retrieved = count
    read.scored = candidateCount
    read.bytes = candidateCount * codes.bytesPerRow
    return read
  }

  /// Takes the keys worth the tolerance and a sample of the others, or just the best ones when more would be read than
  /// may be, since then a few keys would stand for very many. Returns how many.
  private func take(
    _ sample: RowSample, of lists: CodedLists, candidates: Int, tables: ResidualCodes.Tables,
    workspace: Workspace
  ) -> Int {
    let scratch = workspace.scope()
    func scan(_ sample: RowSample, worths: ListView<Float>? = nil) -> Int {
      unsafe codes.sample(sample, of: lists, tables: tables, worths: worths?.base, workspace: workspace)
    }
    let wanted = scan(sample)
    guard wanted > sample.limit else { return wanted }
    guard sample.limit > 0 else { return 0 }
    let worths = unsafe scratch.list(candidates)
    _ = scan(sample, worths: worths)
    worths.sort(by: >)
    var best = sample
    best.threshold = worths[sample.limit - 1]
    best.isSystematic = false
    return min(scan(best), sample.limit)
  }
}

// The scan of centroids in two levels: groups of clusters first, then the clusters of the groups that promise
// something.

import AttentionKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// The clusters that one call looks at one by one, in arrays of the workspace without gaps.
struct ClusterScan {
  /// Clusters.
  let count: Int
  /// `[count]`: numbers of the clusters, rising.
  let ids: UnsafeMutablePointer<UInt32>
  /// `[count]`: first row of each.
  let begins: UnsafeMutablePointer<UInt32>
  /// `[count]`: the row behind the last of each.
  let ends: UnsafeMutablePointer<UInt32>
  /// `[count]`.
  let logMass: UnsafeMutablePointer<Float>
  /// `[count]`.
  let valueSpread: UnsafeMutablePointer<Float>
  /// `[queries, stride]`: estimated log masses.
  let scores: UnsafeMutablePointer<Float>
  let stride: Int
  /// `[count]`: what each cluster is worth.
  let gains: UnsafeMutablePointer<Float>
  /// `[queries]`: estimated log-sum-exp of everything.
  let logTotals: UnsafeMutablePointer<Float>

  func size(_ cluster: Int) -> Int { Int(ends[cluster] - begins[cluster]) }

  /// Neighbors of the scan, in the same memory.
  func part(_ range: Range<Int>) -> ClusterScan {
    let first = range.lowerBound
    return ClusterScan(
      count: range.count, ids: ids + first, begins: begins + first, ends: ends + first,
      logMass: logMass + first, valueSpread: valueSpread + first, scores: scores + first, stride: stride,
      gains: gains + first, logTotals: logTotals)
  }

  /// Calls `body` with ranges of clusters (numbers in the scan) that are neighbors in memory.
  func forEachRun(_ body: (Range<Int>) -> Void) {
    var begin = 0
    while begin < count {
      var end = begin + 1
      while end < count, ids[end] == ids[end - 1] + 1 { end += 1 }
      body(begin..<end)
      begin = end
    }
  }

  /// Calls `body` with the rows of selected clusters (numbers in the scan), neighbors together, so that they are read
  /// in one go.
  func forEachRun(
    of selected: UnsafeBufferPointer<UInt32>, body: (_ rows: Range<Int>) -> Void
  ) {
    var next = 0
    while next < selected.count {
      let first = Int(selected[next])
      var end = Int(ends[first])
      next += 1
      while next < selected.count, Int(begins[Int(selected[next])]) == end {
        end = Int(ends[Int(selected[next])])
        next += 1
      }
      body(Int(begins[first])..<end)
    }
  }
}

extension ClusterIndex {
  /// Scores groups, leaves those in `groupScores` that promise little, and scores the clusters of the others.
  ///
  /// - Parameters:
  ///   - limit: what a cluster must be worth.
  ///   - groupScores: `[queries, groups]`: afterwards the log masses of groups that stand for their clusters,
  ///     -infinity for the others.
  func scan(
    _ group: QueryGroup, states: StatePointers, limit: Float, groupScores: UnsafeMutablePointer<Float>,
    workspace: Workspace
  ) -> ClusterScan {
    let (d, g, groupCount) = (dimension, group.count, groups.count)
    let kernels = workspace.kernels
    kernels.unsafeDot(
      queries: group.queries, queryStride: d, queryCount: g, rows: groups.centroids.base, rowStride: d,
      rowCount: groupCount, dimension: d, scores: groupScores, scoreStride: groupCount)
    // [2 groups] worth and scratch, then what is known outside of the clusters: [g] maxima and [g] sums.
    let groupGains = workspace.floats(.groupWeights, 2 * groupCount + 3 * g)
    let outsideMaxima = groupGains + 2 * groupCount
    let outside = OutsideMass(maxima: outsideMaxima, sums: outsideMaxima + g)
    outside.maxima.update(from: states.maxima, count: g)
    outside.sums.update(from: states.sums, count: g)
    estimateGains(
      group,
      ClusterEstimates(logMass: groups.logMass.base, spread: groups.spread.base, gain: groups.gain.base),
      count: groupCount, scores: groupScores, outside: outside, result: groupGains,
      shares: groupGains + groupCount, logTotals: outsideMaxima + 2 * g, kernels: kernels)
    let expansion = clusterCount < search.minimumGroupedClusters ? 0 : search.expansion
    let (ids, count) = expand(
      groupGains, limit: limit * expansion, groupScores: groupScores, queryCount: g, workspace: workspace)
    addMass(of: groupScores, queryCount: g, to: outside, scratch: groupGains + groupCount, kernels: kernels)
    return score(group, clusters: ids, count: count, outside: outside, workspace: workspace)
  }

  /// The clusters of groups that are worth the limit, whose scores become -infinity.
  private func expand(
    _ gains: UnsafePointer<Float>, limit: Float, groupScores: UnsafeMutablePointer<Float>, queryCount g: Int,
    workspace: Workspace
  ) -> (ids: UnsafeMutablePointer<UInt32>, count: Int) {
    let groupCount = groups.count
    let ids = workspace.indices(.clusterIDs, 3 * clusterCount)
    var count = 0
    for number in 0..<groupCount where !(gains[number] < limit) {
      for cluster in groups.starts.base[number]..<groups.starts.base[number + 1] {
        ids[count] = cluster
        count += 1
      }
      for h in 0..<g { groupScores[h * groupCount + number] = -.infinity }
    }
    return (ids, count)
  }

  /// Adds what the groups left in `scores` weigh.
  private func addMass(
    of scores: UnsafePointer<Float>, queryCount g: Int, to outside: OutsideMass,
    scratch: UnsafeMutablePointer<Float>, kernels: Kernels
  ) {
    let groupCount = groups.count
    for h in 0..<g {
      let row = scores + h * groupCount
      var highest = outside.maxima[h]
      for number in 0..<groupCount { highest = max(highest, row[number]) }
      guard highest > -.infinity else { continue }
      for number in 0..<groupCount { scratch[number] = row[number] - highest }
      kernels.unsafeExp(scratch, scratch, count: groupCount)
      var sum = outside.maxima[h] > -.infinity ? outside.sums[h] * exp(outside.maxima[h] - highest) : 0
      for number in 0..<groupCount { sum += scratch[number] }
      outside.maxima[h] = highest
      outside.sums[h] = sum
    }
  }

  private func score(
    _ group: QueryGroup, clusters ids: UnsafeMutablePointer<UInt32>, count: Int, outside: OutsideMass,
    workspace: Workspace
  ) -> ClusterScan {
    let (d, g) = (dimension, group.count)
    let numbers = workspace.floats(.weights, 6 * count + g)
    let scan = ClusterScan(
      count: count, ids: ids, begins: ids + clusterCount, ends: ids + 2 * clusterCount, logMass: numbers,
      valueSpread: numbers + count, scores: workspace.floats(.scores, g * count), stride: count,
      gains: numbers + 2 * count,
      logTotals: numbers + 6 * count)
    let spreads = numbers + 4 * count
    let costs = numbers + 5 * count
    for i in 0..<count {
      let c = Int(ids[i])
      scan.begins[i] = starts.base[c]
      scan.ends[i] = starts.base[c + 1]
      scan.logMass[i] = logMass.base[c]
      scan.valueSpread[i] = valueSpread.base[c]
      spreads[i] = spread.base[c]
      costs[i] = gain.base[c]
    }
    scan.forEachRun { run in
      workspace.kernels.unsafeDot(
        queries: group.queries, queryStride: d, queryCount: g,
        rows: centroids.base + Int(ids[run.lowerBound]) * d, rowStride: d, rowCount: run.count, dimension: d,
        scores: scan.scores + run.lowerBound, scoreStride: count)
    }
    estimateGains(
      group, ClusterEstimates(logMass: scan.logMass, spread: spreads, gain: costs), count: count,
      scores: scan.scores, outside: outside, result: scan.gains, shares: numbers + 3 * count,
      logTotals: scan.logTotals, kernels: workspace.kernels)
    return scan
  }

  /// Turns dot products into estimated log masses (in place) and writes what each cluster, or group, is worth: its
  /// share of the attention of the group's queries, raised by its spread, times its gain.
  private func estimateGains(
    _ group: QueryGroup, _ estimates: ClusterEstimates, count: Int, scores: UnsafeMutablePointer<Float>,
    outside: OutsideMass, result: UnsafeMutablePointer<Float>, shares: UnsafeMutablePointer<Float>,
    logTotals: UnsafeMutablePointer<Float>, kernels: Kernels
  ) {
    let logMass = estimates.logMass
    let spread = estimates.spread
    result.update(repeating: 0, count: count)
    for h in 0..<group.count {
      let row = scores + h * count
      var highest = outside.maxima[h]
      for c in 0..<count {
        row[c] += logMass[c]
        highest = max(highest, row[c])
      }
      for c in 0..<count { shares[c] = row[c] - highest }
      kernels.unsafeExp(shares, shares, count: count)
      var total = outside.maxima[h] > -.infinity ? outside.sums[h] * exp(outside.maxima[h] - highest) : 0
      for c in 0..<count { total += shares[c] }
      let perSpread =
        search.spreadFactor * Self.norm(group.queries + h * dimension, dimension: dimension)
      let logTotal = highest + log(total)
      logTotals[h] = logTotal
      for c in 0..<count {
        shares[c] = row[c] - logTotal + min(perSpread * spread[c], Self.maximumLogFactor)
      }
      kernels.unsafeExp(shares, shares, count: count)
      kernels.unsafeAddScaled(shares, by: 1, to: result, count: count)
    }
    for c in 0..<count { result[c] *= estimates.gain[c] }
  }

  /// The same factor as a number: by how much a cluster's share is raised for what it may hide.
  static func selectionFactor(spread: Float, queryNorm: Float, factor: Float) -> Float {
    exp(min(factor * queryNorm * spread, maximumLogFactor))
  }

  /// Beyond e^8 every cluster is read anyway, and sums stay finite.
  private static let maximumLogFactor: Float = 8
}

/// `[count]` each: what was learned of clusters or groups.
private struct ClusterEstimates {
  var logMass: UnsafePointer<Float>
  var spread: UnsafePointer<Float>
  var gain: UnsafePointer<Float>
}

/// `[queries]` each: softmax maxima and sums of everything that is not being scored.
private struct OutsideMass {
  var maxima: UnsafeMutablePointer<Float>
  var sums: UnsafeMutablePointer<Float>
}

// The scan of centroids in two levels: groups of clusters first, then the clusters of the groups that promise
// something.

import AttentionKernels
import Platform

/// The clusters that one call looks at one by one, in arrays without gaps of the scope that it was made in. To hold it
/// is safe; numbers of clusters are not checked.
@safe struct ClusterScan {
  /// Clusters.
  let count: Int
  /// `[count]`: numbers of the clusters, rising.
  let ids: UnsafeMutablePointer<UInt32>
  /// `[count]`: first row of each.
  let begins: UnsafeMutablePointer<UInt32>
  /// `[count]`: the row behind the last of each.
  let ends: UnsafeMutablePointer<UInt32>
  /// `[count]`: what estimates add to the score of a centroid.
  let logWeights: UnsafeMutablePointer<Float>
  /// `[count]`.
  let valueSpread: UnsafeMutablePointer<Float>
  /// `[queries, stride]`: estimated log masses.
  let scores: UnsafeMutablePointer<Float>
  let stride: Int
  /// `[count]`: what each cluster is worth.
  let gains: UnsafeMutablePointer<Float>
  /// `[queries]`: estimated log-sum-exp of everything.
  let logTotals: UnsafeMutablePointer<Float>

  @unsafe func size(_ cluster: Int) -> Int { unsafe Int(ends[cluster] - begins[cluster]) }

  /// Neighbors of the scan, in the same memory.
  @unsafe func part(_ range: Range<Int>) -> ClusterScan {
    let first = range.lowerBound
    return unsafe ClusterScan(
      count: range.count, ids: ids + first, begins: begins + first, ends: ends + first,
      logWeights: logWeights + first, valueSpread: valueSpread + first, scores: scores + first,
      stride: stride,
      gains: gains + first, logTotals: logTotals)
  }

  /// Calls `body` with the rows of selected clusters (numbers in the scan), neighbors together, so that they are read
  /// in one go.
  @unsafe func forEachRun(
    of selected: ListView<UInt32>, body: (_ rows: Range<Int>) -> Void
  ) {
    var next = 0
    let (selected, count) = unsafe (selected.base, selected.count)
    while next < count {
      let first = unsafe Int(selected[next])
      var end = unsafe Int(ends[first])
      next += 1
      while next < count, unsafe Int(begins[Int(selected[next])]) == end {
        end = unsafe Int(ends[Int(selected[next])])
        next += 1
      }
      unsafe body(Int(begins[first])..<end)
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
    in scratch: borrowing Scratch
  ) -> ClusterScan {
    let (d, g, groupCount) = (dimension, group.count, groups.count)
    let kernels = scratch.kernels
    unsafe kernels.unsafeDot(
      group.rows(dimension: d), with: PackedRows(groups.centroids.base, stride: d), .first(groupCount),
      scores: groupScores)
    let groupGains = unsafe scratch.floats(groupCount)
    let outside = unsafe OutsideMass(maxima: scratch.floats(g), sums: scratch.floats(g))
    unsafe outside.maxima.update(from: states.maxima, count: g)
    unsafe outside.sums.update(from: states.sums, count: g)
    unsafe estimateGains(
      group,
      ClusterEstimates(
        count: groupCount, logWeights: groups.logWeights.base, logMass: groups.logMass.base,
        spread: groups.spread.base, gain: groups.gain.base, scores: groupScores, gains: groupGains,
        logTotals: scratch.floats(g)),
      outside: outside, in: scratch)
    let expansion = clusterCount < search.minimumGroupedClusters ? 0 : search.expansion
    let (ids, count) = unsafe expand(
      groupGains, limit: limit * expansion, groupScores: groupScores, queryCount: g, in: scratch)
    for h in 0..<g {
      unsafe kernels.unsafeAddMass(
        groupScores + h * groupCount, count: groupCount, maximum: outside.maxima + h, sum: outside.sums + h)
    }
    return unsafe score(group, clusters: ids, count: count, outside: outside, in: scratch)
  }

  /// The clusters of groups that are worth the limit, whose scores become -infinity.
  private func expand(
    _ gains: UnsafePointer<Float>, limit: Float, groupScores: UnsafeMutablePointer<Float>, queryCount g: Int,
    in scratch: borrowing Scratch
  ) -> (ids: UnsafeMutablePointer<UInt32>, count: Int) {
    let groupCount = groups.count
    let ids = unsafe scratch.indices(clusterCount)
    var count = 0
    for number in 0..<groupCount where unsafe !(gains[number] < limit) {
      for cluster in unsafe groups.starts.base[number]..<groups.starts.base[number + 1] {
        unsafe ids[count] = cluster
        count += 1
      }
      for h in 0..<g { unsafe groupScores[h * groupCount + number] = -.infinity }
    }
    return unsafe (ids, count)
  }

  private func score(
    _ group: QueryGroup, clusters ids: UnsafeMutablePointer<UInt32>, count: Int, outside: OutsideMass,
    in result: borrowing Scratch
  ) -> ClusterScan {
    let (d, g) = (dimension, group.count)
    let scan = unsafe ClusterScan(
      count: count, ids: ids, begins: result.indices(count), ends: result.indices(count),
      logWeights: result.floats(count), valueSpread: result.floats(count), scores: result.floats(g * count),
      stride: count, gains: result.floats(count), logTotals: result.floats(g))
    let scratch = result.workspace.scope()
    let (masses, spreads, costs) = unsafe (
      scratch.floats(count), scratch.floats(count), scratch.floats(count)
    )
    for i in 0..<count {
      let c = unsafe Int(ids[i])
      unsafe scan.begins[i] = starts.base[c]
      unsafe scan.ends[i] = starts.base[c + 1]
      unsafe scan.logWeights[i] = logWeights.base[c]
      unsafe masses[i] = logMass.base[c]
      unsafe scan.valueSpread[i] = valueSpread.base[c]
      unsafe spreads[i] = spread.base[c]
      unsafe costs[i] = gain.base[c]
    }
    excludeOutliers(from: scan)
    unsafe scratch.kernels.unsafeDot(
      group.rows(dimension: d), with: PackedRows(centroids.base, stride: d), .listed(ids, count: count),
      scores: scan.scores)
    unsafe estimateGains(
      group,
      ClusterEstimates(
        count: count, logWeights: scan.logWeights, logMass: masses, spread: spreads, gain: costs,
        scores: scan.scores, gains: scan.gains, logTotals: scan.logTotals),
      outside: outside, in: scratch)
    return scan
  }

  /// Turns dot products into estimated log masses (in place) and writes what each cluster, or group, is worth: its
  /// share of the attention of the group's queries, raised by what was learned of it, times its gain.
  ///
  /// Learned masses are right on average, but for some queries far too high where scores within a cluster lie far
  /// apart. In estimates, and in the total that shares are of, they are therefore bounded (``maximumBias``); the share
  /// of a cluster itself is of all that was learned, which has it looked into.
  private func estimateGains(
    _ group: QueryGroup, _ estimates: ClusterEstimates, outside: OutsideMass, in result: borrowing Scratch
  ) {
    let scratch = result.workspace.scope()
    let kernels = scratch.kernels
    let (count, result, logTotals) = unsafe (estimates.count, estimates.gains, estimates.logTotals)
    let (biases, raised) = unsafe (scratch.floats(count), scratch.floats(count))
    for c in 0..<count { unsafe biases[c] = estimates.logMass[c] - estimates.logWeights[c] }
    unsafe result.update(repeating: 0, count: count)
    for h in 0..<group.count {
      let row = unsafe estimates.scores + h * count
      unsafe kernels.unsafeAddScaled(estimates.logWeights, by: 1, to: row, count: count)
      var (highest, total) = unsafe (outside.maxima[h], outside.sums[h])
      unsafe kernels.unsafeAddMass(row, count: count, maximum: &highest, sum: &total)
      let perSpread =
        unsafe search.spreadFactor * vectorNorm(group.queries + h * dimension, dimension: dimension)
      unsafe logTotals[h] = highest + log(total)
      unsafe raised.update(from: row, count: count)
      unsafe kernels.unsafeAddScaled(biases, by: 1, to: raised, count: count)
      unsafe kernels.unsafeAddShares(
        raised, spreads: estimates.spread, count: count, logTotal: logTotals[h],
        raise: SpreadRaise(perSpread: perSpread, most: Self.maximumLogFactor), to: result)
      if perSpread * highestSpread > Self.blindLogFactor {
        for c in 0..<count where unsafe perSpread * estimates.spread[c] > Self.blindLogFactor {
          unsafe result[c] = .infinity
        }
      }
    }
    for c in 0..<count { unsafe result[c] *= estimates.gain[c] }
  }

  /// The same factor as a number: by how much a cluster's share is raised for what it may hide.
  static func selectionFactor(spread: Float, queryNorm: Float, factor: Float) -> Float {
    exp(min(factor * queryNorm * spread, maximumLogFactor))
  }

  /// Estimates give a cluster at most e^4 of what its keys would weigh at the centroid, which is the least that they do
  /// (Jensen's inequality). With more, estimates for some queries take the attention of what is read; with less, totals
  /// are too low where clusters are many, and too much is looked into.
  static let maximumBias: Float = 4
  /// With factors up to e^8 sums stay finite, and beyond them a share tells little.
  static let maximumLogFactor: Float = 8
  /// Beyond e^24 an estimate tells nothing of what a cluster hides from a query, and every cluster is looked into.
  /// Heads of models stay below e^12; queries far longer than those learned from, or than the keys of an index that
  /// learned from none, do not.
  static let blindLogFactor: Float = 24
}

/// What was learned of clusters or groups, and what that says of them for some queries.
@safe private struct ClusterEstimates {
  var count: Int
  /// `[count]`, as are `logMass`, `spread` and `gain`: what estimates add to the score of a centroid.
  var logWeights: UnsafePointer<Float>
  var logMass: UnsafePointer<Float>
  var spread: UnsafePointer<Float>
  var gain: UnsafePointer<Float>
  /// `[queries, count]`: dot products with centroids, then estimated log masses.
  var scores: UnsafeMutablePointer<Float>
  /// `[count]`: what each is worth.
  var gains: UnsafeMutablePointer<Float>
  /// `[queries]`: estimated log-sum-exp of everything.
  var logTotals: UnsafeMutablePointer<Float>
}

/// `[queries]` each: softmax maxima and sums of everything that is not being scored.
@safe private struct OutsideMass {
  var maxima: UnsafeMutablePointer<Float>
  var sums: UnsafeMutablePointer<Float>
}

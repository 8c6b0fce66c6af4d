// Decoding: score centroids, read the clusters that are worth it, estimate the rest.

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
    let queries = group.queries
    let g = group.count
    let (maxima, sums, accumulators) = (states.maxima, states.sums, states.accumulators)
    let clusters = clusterCount
    guard clusters > 0 else { return ReadCount() }
    let d = dimension
    let kernels = workspace.kernels
    let scores = workspace.floats(.scores, g * clusters)
    kernels.unsafeDot(
      queries: queries, queryStride: d, queryCount: g, rows: centroids.base, rowStride: d, rowCount: clusters,
      dimension: d, scores: scores, scoreStride: clusters)
    let expectedGain = workspace.floats(.weights, 2 * clusters + 2 * g)
    let logTotals = expectedGain + 2 * clusters
    estimateGains(
      queries: queries, scores: scores, queryCount: g, maxima: maxima, sums: sums,
      result: expectedGain, shares: expectedGain + clusters, logTotals: logTotals, kernels: kernels)
    var read =
      build.usesCodes
      ? attendKeys(
        group, rows: rows, states: states, scores: scores, gains: expectedGain, logTotals: logTotals,
        workspace: workspace, recorder: recorder)
      : attendClusters(
        group, rows: rows, states: states, scores: scores, gains: expectedGain, workspace: workspace,
        recorder: recorder)
    kernels.unsafeSoftmaxAccumulate(
      scores: scores, scoreStride: clusters, queryCount: g, values: meanValues.base, valueStride: d,
      rowCount: clusters, dimension: d, maxima: maxima, sums: sums, accumulators: accumulators,
      accumulatorStride: d)
    read.centroids = clusters
    read.scored += clusters
    read.bytes += read.retrieved * 4 * d + clusters * (4 * d + Self.statisticsByteCount)
    return read
  }

  /// Attends exactly to all keys of the clusters worth it, and takes their estimates out of `scores`.
  private func attendClusters(
    _ group: QueryGroup, rows: IndexRows, states: StatePointers, scores: UnsafeMutablePointer<Float>,
    gains: UnsafePointer<Float>, workspace: Workspace, recorder: ReadRecorder?
  ) -> ReadCount {
    let (d, g, clusters) = (dimension, group.count, clusterCount)
    let selected = workspace.indices(.selected, clusters)
    var selectedCount = 0
    var retrieved = 0
    for c in 0..<clusters where !(gains[c] < search.tolerance) {
      selected[selectedCount] = UInt32(c)
      selectedCount += 1
      retrieved += size(c)
    }
    if retrieved > search.maximumRetrieved {
      (selectedCount, retrieved) = keepBest(
        selected, selectedCount, gains: gains, limit: search.maximumRetrieved)
    }
    let scratch = workspace.floats(.kernel, Kernels.attendScratchCount(queryCount: g))
    forEachRun(selected, selectedCount) { run in
      let begin = Int(starts.base[run.lowerBound])
      let end = Int(starts.base[run.upperBound])
      workspace.kernels.unsafeAttend(
        queries: group.queries, queryStride: d, queryCount: g, keys: rows.keys + begin * d, keyStride: d,
        values: rows.values + begin * d, valueStride: d, rowCount: end - begin, dimension: d,
        maxima: states.maxima, sums: states.sums, accumulators: states.accumulators, accumulatorStride: d,
        scratch: scratch)
      recorder?.read(begin..<end)
      for h in 0..<g {
        for c in run { scores[h * clusters + c] = -.infinity }
      }
    }
    var read = ReadCount()
    read.retrieved = retrieved
    read.scored = retrieved
    return read
  }

  /// Calls `body` with ranges of clusters that are neighbors in memory, so that they are read in one go.
  func forEachRun(_ selected: UnsafePointer<UInt32>, _ count: Int, body: (Range<Int>) -> Void) {
    var next = 0
    while next < count {
      let first = Int(selected[next])
      var end = first + 1
      next += 1
      while next < count, Int(selected[next]) == end {
        end += 1
        next += 1
      }
      body(first..<end)
    }
  }

  /// Turns dot products into estimated log masses (in place) and writes what each cluster is worth: its share of
  /// the attention of the group's queries, raised by its spread, times its gain.
  private func estimateGains(
    queries: UnsafePointer<Float>, scores: UnsafeMutablePointer<Float>, queryCount g: Int,
    maxima: UnsafePointer<Float>, sums: UnsafePointer<Float>,
    result: UnsafeMutablePointer<Float>, shares: UnsafeMutablePointer<Float>,
    logTotals: UnsafeMutablePointer<Float>, kernels: Kernels
  ) {
    let clusters = clusterCount
    let logMass = logMass.base
    let spread = spread.base
    let gain = gain.base
    result.update(repeating: 0, count: clusters)
    for h in 0..<g {
      let row = scores + h * clusters
      var highest = maxima[h]
      for c in 0..<clusters {
        row[c] += logMass[c]
        highest = max(highest, row[c])
      }
      for c in 0..<clusters { shares[c] = row[c] - highest }
      kernels.unsafeExp(shares, shares, count: clusters)
      var total = maxima[h] > -.infinity ? sums[h] * exp(maxima[h] - highest) : 0
      for c in 0..<clusters { total += shares[c] }
      let perSpread = search.spreadFactor * Self.norm(queries + h * dimension, dimension: dimension)
      let logTotal = highest + log(total)
      logTotals[h] = logTotal
      for c in 0..<clusters {
        shares[c] = row[c] - logTotal + min(perSpread * spread[c], Self.maximumLogFactor)
      }
      kernels.unsafeExp(shares, shares, count: clusters)
      kernels.unsafeAddScaled(shares, by: 1, to: result, count: clusters)
    }
    for c in 0..<clusters { result[c] *= gain[c] }
  }

  /// The same factor as a number: by how much a cluster's share is raised for what it may hide.
  static func selectionFactor(spread: Float, queryNorm: Float, factor: Float) -> Float {
    exp(min(factor * queryNorm * spread, maximumLogFactor))
  }

  /// Beyond e^8 every cluster is read anyway, and sums stay finite.
  private static let maximumLogFactor: Float = 8

  /// Euclidean length.
  static func norm(_ vector: UnsafePointer<Float>, dimension: Int) -> Float {
    var sum: Float = 0
    for i in 0..<dimension { sum += vector[i] * vector[i] }
    return sum.squareRoot()
  }

  func size(_ cluster: Int) -> Int {
    Int(starts.base[cluster + 1]) - Int(starts.base[cluster])
  }

  /// Keeps the selected clusters of highest gain that fit in `limit` keys, in memory order.
  private func keepBest(
    _ selected: UnsafeMutablePointer<UInt32>, _ count: Int, gains: UnsafePointer<Float>, limit: Int
  ) -> (clusters: Int, keys: Int) {
    var candidates = UnsafeMutableBufferPointer(start: selected, count: count)
    candidates.sort { gains[Int($0)] > gains[Int($1)] }
    var kept = 0
    var keys = 0
    while kept < count, keys + size(Int(candidates[kept])) <= limit {
      keys += size(Int(candidates[kept]))
      kept += 1
    }
    candidates = UnsafeMutableBufferPointer(start: selected, count: kept)
    candidates.sort()
    return (kept, keys)
  }
}

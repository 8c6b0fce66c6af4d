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
  func attendKeys(
    _ group: QueryGroup, rows: IndexRows, states: StatePointers, scan: ClusterScan, workspace: Workspace,
    recorder: ReadRecorder?
  ) -> ReadCount {
    let (g, clusters) = (group.count, scan.count)
    let (scores, logTotals) = (scan.scores, scan.logTotals)
    let least = search.tolerance * search.refinement
    let selected = workspace.indices(.selected, clusters)
    var selectedCount = 0
    var candidateCount = 0
    for c in 0..<clusters where !(scan.gains[c] < least) {
      selected[selectedCount] = UInt32(c)
      selectedCount += 1
      candidateCount += Int(scan.sizes[c])
    }
    guard candidateCount > 0 else { return ReadCount() }
    let kernels = workspace.kernels
    let tables = codes.tables(queries: group.queries, count: g, workspace: workspace)
    // [g, candidates] weights, then what each key is worth.
    let weights = workspace.floats(.candidates, (g + 1) * candidateCount)
    let worth = weights + g * candidateCount
    worth.update(repeating: 0, count: candidateCount)
    var next = 0
    scan.forEachRun(of: selected, selectedCount) { run in
      codes.score(
        tables, queryCount: g, first: run.lowerBound, count: run.count, result: weights + next,
        stride: candidateCount, kernels: kernels)
      next += run.count
    }
    for h in 0..<g {
      let row = weights + h * candidateCount
      var offset = 0
      for s in 0..<selectedCount {
        let c = Int(selected[s])
        // The codes score residuals; the query's score of the centroid is the estimate without the learned mass.
        let base = scores[h * clusters + c] - scan.logMass[c] - logTotals[h]
        let end = offset + Int(scan.sizes[c])
        for i in offset..<end { row[i] += base }
        offset = end
      }
      kernels.unsafeExp(row, row, count: candidateCount)
      kernels.unsafeAddScaled(row, by: 1, to: worth, count: candidateCount)
    }

    var offset = 0
    for s in 0..<selectedCount {
      let c = Int(selected[s])
      kernels.unsafeScale(worth + offset, by: scan.valueSpread[c], count: Int(scan.sizes[c]))
      offset += Int(scan.sizes[c])
    }
    var sample = makeSample(worth, count: candidateCount, workspace: workspace)

    // Chosen rows, the logarithm of 1 / p of each, and masses below zero.
    let chosen = workspace.indices(.order, candidateCount)
    let logChances = workspace.floats(.whitened, candidateCount + g * clusters)
    let negative = logChances + candidateCount
    negative.update(repeating: -.infinity, count: g * clusters)
    var chosenCount = 0
    offset = 0
    for s in 0..<selectedCount {
      let c = Int(selected[s])
      let begin = Int(scan.begins[c])
      let n = Int(scan.sizes[c])
      var next = offset
      while let taken = sample.next(worth, in: next..<offset + n) {
        next = taken.index + 1
        chosen[chosenCount] = UInt32(begin + taken.index - offset)
        logChances[chosenCount] = -log(taken.chance)
        chosenCount += 1
        // What is left for the mean value: w - w / p.
        for h in 0..<g { weights[h * candidateCount + taken.index] *= 1 - 1 / taken.chance }
      }
      for h in 0..<g {
        let sum = Self.sum(weights + h * candidateCount + offset, count: n)
        scores[h * clusters + c] = sum > 0 ? logTotals[h] + log(sum) : -.infinity
        if sum < 0 { negative[h * clusters + c] = logTotals[h] + log(-sum) }
      }
      offset += n
    }
    attendChosen(
      group, rows: rows, states: states, chosen: chosen, logChances: logChances, count: chosenCount,
      workspace: workspace)
    subtract(negative, of: scan, queryCount: g, states: states, workspace: workspace)
    recorder?.read(UnsafeBufferPointer(start: chosen, count: chosenCount))
    var read = ReadCount()
    read.retrieved = chosenCount
    read.scored = candidateCount
    read.bytes = candidateCount * codes.bytesPerRow
    return read
  }

  private static func sum(_ values: UnsafePointer<Float>, count: Int) -> Float {
    var sums = SIMD8<Float>(repeating: 0)
    var i = 0
    while i + 8 <= count {
      sums += UnsafeRawPointer(values + i).loadUnaligned(as: SIMD8<Float>.self)
      i += 8
    }
    var total = sums.sum()
    while i < count {
      total += values[i]
      i += 1
    }
    return total
  }

  /// Adds the chosen keys, each as often as it stands for.
  private func attendChosen(
    _ group: QueryGroup, rows: IndexRows, states: StatePointers, chosen: UnsafePointer<UInt32>,
    logChances: UnsafePointer<Float>, count: Int, workspace: Workspace
  ) {
    let (d, g) = (dimension, group.count)
    let scores = workspace.floats(.candidates, g * count)
    workspace.kernels.unsafeDotGather(
      queries: group.queries, queryStride: d, queryCount: g, rows: rows.keys, rowStride: d, indices: chosen,
      indexCount: count, dimension: d, scores: scores, scoreStride: count)
    for h in 0..<g {
      workspace.kernels.unsafeAddScaled(logChances, by: 1, to: scores + h * count, count: count)
    }
    workspace.kernels.unsafeSoftmaxAccumulateGather(
      scores: scores, scoreStride: count, queryCount: g, values: rows.values, valueStride: d, indices: chosen,
      indexCount: count, dimension: d, maxima: states.maxima, sums: states.sums,
      accumulators: states.accumulators, accumulatorStride: d)
  }

  /// Takes mean values away whose keys the sample stands for more than enough.
  ///
  /// - Parameter logMasses: `[queries, clusters]`, -infinity for nothing.
  private func subtract(
    _ logMasses: UnsafePointer<Float>, of scan: ClusterScan, queryCount g: Int, states: StatePointers,
    workspace: Workspace
  ) {
    let d = dimension
    let maxima = workspace.floats(.best, g * (2 + d))
    let sums = maxima + g
    let accumulators = sums + g
    maxima.update(repeating: -.infinity, count: g)
    sums.update(repeating: 0, count: g * (1 + d))
    scan.forEachRun { run in
      workspace.kernels.unsafeSoftmaxAccumulate(
        scores: logMasses + run.lowerBound, scoreStride: scan.count, queryCount: g,
        values: meanValues.base + Int(scan.ids[run.lowerBound]) * d, valueStride: d, rowCount: run.count,
        dimension: d, maxima: maxima, sums: sums, accumulators: accumulators, accumulatorStride: d)
    }
    for h in 0..<g where maxima[h] > -.infinity {
      let scale = exp(maxima[h] - states.maxima[h])
      // All but nothing of the mass would go only if the codes were worthless.
      guard scale * sums[h] < 0.9 * states.sums[h] else { continue }
      states.sums[h] -= scale * sums[h]
      workspace.kernels.unsafeAddScaled(
        accumulators + h * d, by: -scale, to: states.accumulators + h * d, count: d)
    }
  }

  /// What decides for keys of a worth each: by the tolerance, or just the best ones when more would be read than may
  /// be, since then a few keys would stand for very many.
  private func makeSample(
    _ worth: UnsafePointer<Float>, count: Int, workspace: Workspace
  ) -> SystematicSample {
    let limit = search.maximumRetrieved
    let sample = SystematicSample(threshold: search.tolerance, limit: limit)
    guard count > limit else { return sample }
    var expected: Float = 0
    for i in 0..<count { expected += worth[i] < search.tolerance ? worth[i] / search.tolerance : 1 }
    guard expected > Float(limit) else { return sample }
    let sorted = workspace.floats(.whitened, count)
    sorted.update(from: worth, count: count)
    var values = UnsafeMutableBufferPointer(start: sorted, count: count)
    values.sort(by: >)
    return SystematicSample(
      threshold: limit > 0 ? values[limit - 1] : .infinity, limit: limit, samples: false)
  }
}

/// Takes every item above a threshold, and of the others one for each threshold that they amount to together.
private struct SystematicSample {
  let threshold: Float
  private let samples: Bool
  private var left: Int
  /// Half way to the first: a sample as good as any, and always the same.
  private var sum: Float = 0.5

  init(threshold: Float, limit: Int, samples: Bool = true) {
    self.threshold = threshold
    self.samples = samples
    left = limit
  }

  /// The first item of a range that is taken, and the chance with which it was; nil when none is. What is no number
  /// is taken.
  ///
  /// Ranges must follow one another. Most items are worth very little: eight that take no one to the next whole number
  /// are passed at once.
  mutating func next(_ worth: UnsafePointer<Float>, in range: Range<Int>) -> (index: Int, chance: Float)? {
    guard left > 0 else { return nil }
    var i = range.lowerBound
    while i < range.upperBound {
      if range.upperBound - i >= 8 {
        let eight = UnsafeRawPointer(worth + i).loadUnaligned(as: SIMD8<Float>.self)
        let chances = eight.sum() / threshold
        // Both are false for no number, and when one item alone reaches the threshold.
        if samples ? sum + chances < 1 : all(eight .< threshold) {
          sum += chances
          i += 8
          continue
        }
      }
      if let chance = take(worth[i]) { return (i, chance) }
      i += 1
    }
    return nil
  }

  private mutating func take(_ worth: Float) -> Float? {
    guard worth < threshold else {
      left -= 1
      return 1
    }
    guard samples else { return nil }
    let chance = worth / threshold
    sum += chance
    guard sum >= 1 else { return nil }
    sum -= 1
    left -= 1
    return chance
  }
}

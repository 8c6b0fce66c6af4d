// Choosing single keys: score the keys of promising clusters by their codes, read those that matter, and let the
// codes tell what the others weigh.

import AttentionKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

extension ClusterIndex {
  /// Attends exactly to the keys worth it, and replaces the estimates of their clusters in `scores` by what the
  /// codes say of the keys left.
  ///
  /// - Parameters:
  ///   - scores: `[queries, clusters]`: estimated log masses.
  ///   - gains: `[clusters]`: what each cluster is worth.
  ///   - logTotals: `[queries]`: estimated log-sum-exp of everything.
  func attendKeys(
    _ group: QueryGroup, rows: IndexRows, states: StatePointers, scores: UnsafeMutablePointer<Float>,
    gains: UnsafePointer<Float>, logTotals: UnsafePointer<Float>, workspace: Workspace,
    recorder: ReadRecorder?
  ) -> ReadCount {
    let (d, g, clusters) = (dimension, group.count, clusterCount)
    let threshold = search.tolerance * search.refinement
    let selected = workspace.indices(.selected, clusters)
    var selectedCount = 0
    var candidateCount = 0
    for c in 0..<clusters where !(gains[c] < threshold) {
      selected[selectedCount] = UInt32(c)
      selectedCount += 1
      candidateCount += size(c)
    }
    guard candidateCount > 0 else { return ReadCount() }
    let kernels = workspace.kernels
    let tables = codes.tables(queries: group.queries, count: g, workspace: workspace)
    // [g, candidates] weights, then what each key is worth.
    let weights = workspace.floats(.candidates, (g + 1) * candidateCount)
    let worth = weights + g * candidateCount
    worth.update(repeating: 0, count: candidateCount)
    var next = 0
    forEachRun(selected, selectedCount) { run in
      let begin = Int(starts.base[run.lowerBound])
      let count = Int(starts.base[run.upperBound]) - begin
      codes.score(
        tables, queryCount: g, first: begin, count: count, result: weights + next, stride: candidateCount,
        kernels: kernels)
      next += count
    }
    for h in 0..<g {
      let row = weights + h * candidateCount
      var offset = 0
      for s in 0..<selectedCount {
        let c = Int(selected[s])
        // The codes score residuals; the query's score of the centroid is the estimate without the learned mass.
        let base = scores[h * clusters + c] - logMass.base[c] - logTotals[h]
        for i in offset..<offset + size(c) { row[i] += base }
        offset += size(c)
      }
      kernels.unsafeExp(row, row, count: candidateCount)
      kernels.unsafeAddScaled(row, by: 1, to: worth, count: candidateCount)
    }

    var offset = 0
    for s in 0..<selectedCount {
      let c = Int(selected[s])
      kernels.unsafeScale(worth + offset, by: valueSpread.base[c], count: size(c))
      offset += size(c)
    }
    let least = leastWorth(worth, count: candidateCount, workspace: workspace)

    let chosen = workspace.indices(.order, candidateCount)
    var chosenCount = 0
    offset = 0
    for s in 0..<selectedCount {
      let c = Int(selected[s])
      let begin = Int(starts.base[c])
      let n = size(c)
      for i in offset..<offset + n where !(worth[i] < least) && chosenCount < search.maximumRetrieved {
        chosen[chosenCount] = UInt32(begin + i - offset)
        chosenCount += 1
        for h in 0..<g { weights[h * candidateCount + i] = 0 }
      }
      for h in 0..<g {
        let row = weights + h * candidateCount + offset
        var sum: Float = 0
        for i in 0..<n { sum += row[i] }
        scores[h * clusters + c] = sum > 0 ? logTotals[h] + log(sum) : -.infinity
      }
      offset += n
    }
    kernels.unsafeAttendGather(
      queries: group.queries, queryStride: d, queryCount: g, keys: rows.keys, keyStride: d,
      values: rows.values, valueStride: d, indices: chosen, indexCount: chosenCount, dimension: d,
      maxima: states.maxima, sums: states.sums, accumulators: states.accumulators, accumulatorStride: d,
      scratch: workspace.floats(.kernel, Kernels.attendScratchCount(queryCount: g)))
    recorder?.read(UnsafeBufferPointer(start: chosen, count: chosenCount))
    var read = ReadCount()
    read.retrieved = chosenCount
    read.scored = candidateCount
    read.bytes = candidateCount * codes.bytesPerRow
    return read
  }

  /// The tolerance, or what the best keys have at least, when more are above it than may be read.
  private func leastWorth(_ worth: UnsafePointer<Float>, count: Int, workspace: Workspace) -> Float {
    let limit = search.maximumRetrieved
    guard count > limit else { return search.tolerance }
    var above = 0
    let sorted = workspace.floats(.whitened, count)
    for i in 0..<count where worth[i] >= search.tolerance {
      sorted[above] = worth[i]
      above += 1
    }
    guard above > limit else { return search.tolerance }
    var values = UnsafeMutableBufferPointer(start: sorted, count: above)
    values.sort(by: >)
    return values[limit - 1]
  }
}

// Decoding with clusters in three zones.

import AttentionKernels
package import RetrievalAttention
import VectorIndex

extension RetroInferHead {
  package func attend(_ step: HeadStep) -> ReadStatistics.Head {
    let (queries, states, workspace) = (step.queries, step.states, step.workspace)
    let scratch = workspace.scope()
    let sink = min(settings.sinkCount, rows.count)
    let end = members.count > 0 ? indexedEnd : sink
    states.attend(queries, to: 0..<sink, of: rows, workspace: workspace)
    states.attend(queries, to: end..<rows.count, of: rows, workspace: workspace)
    var read = ReadStatistics.Head(fixed: sink + rows.count - end)
    guard clusterCount > 0 else { return read }
    let (d, g, clusters) = (rows.dimension, states.count, clusterCount)
    let scores = unsafe scratch.list(g * clusters)
    unsafe workspace.kernels.unsafeDot(
      queries, with: PackedRows(centroids.base, stride: d),
      .first(clusters), scores: scores.base)
    let retrieved = Int((settings.retrievalShare * Float(clusters)).rounded(.up))
    let estimated = Int((settings.estimationShare * Float(clusters)).rounded(.up))
    let zones = rank(
      scores, queryCount: g, first: retrieved, second: estimated, in: scratch)
    read.retrieved = readClusters(zones.first, queries: queries, states: states, workspace: workspace)
    estimate(zones.second, scores: scores, states: states, workspace: workspace)
    // All centroids; members of what is read; mean values and counts of what is estimated.
    read.indexBytes =
      centroids.byteCount + zones.first.count * 8 + read.retrieved * 4 + zones.second.count * (2 * d + 4)
    return read
  }

  /// The best clusters by the group's summed softmax, and the next best.
  private func rank(
    _ scores: ListView<Float>, queryCount g: Int, first: Int, second: Int, in result: borrowing Scratch
  ) -> (first: ListView<UInt32>, second: ListView<UInt32>) {
    let count = scores.count / g
    let total = min(count, first + second)
    let (chosen, best) = unsafe (result.rows(total), result.rows(total))
    let scratch = result.workspace.scope()
    let (shares, softmax, chosenShares) = unsafe (
      scratch.floats(count), scratch.floats(count), scratch.floats(total)
    )
    unsafe shares.update(repeating: 0, count: count)
    for h in 0..<g {
      unsafe softmax.update(from: scores.base + h * count, count: count)
      unsafe scratch.kernels.softmax(softmax, count: count)
      unsafe scratch.kernels.unsafeAddScaled(softmax, by: 1, to: shares, count: count)
    }
    _ = unsafe HighestScores.select(total, of: shares, count: count, into: chosen.base)
    chosen.sort()
    for i in 0..<total { unsafe chosenShares[i] = shares[Int(chosen[i])] }
    let bestCount = unsafe HighestScores.select(first, of: chosenShares, count: total, into: best.base)
    // The best to the front of one list, the others to the front of another, both in the order of memory.
    let marks = unsafe scratch.indices(total)
    unsafe marks.update(repeating: 0, count: total)
    for i in 0..<bestCount { unsafe marks[Int(best[i])] = 1 }
    var (bestEnd, restEnd) = (0, 0)
    for i in 0..<total {
      if unsafe marks[i] != 0 {
        best[bestEnd] = chosen[i]
        bestEnd += 1
      } else {
        chosen[restEnd] = chosen[i]
        restEnd += 1
      }
    }
    return (best.first(bestEnd), chosen.first(restEnd))
  }

  private func readClusters(
    _ clusters: ListView<UInt32>, queries: FloatRows, states: StatePointers, workspace: Workspace
  ) -> Int {
    let scratch = workspace.scope()
    var count = 0
    for cluster in clusters { unsafe count += Int(starts.base[Int(cluster) + 1] - starts.base[Int(cluster)]) }
    let list = unsafe scratch.rows(count)
    var next = 0
    for cluster in clusters {
      let begin = unsafe Int(starts.base[Int(cluster)])
      let size = unsafe Int(starts.base[Int(cluster) + 1]) - begin
      unsafe (list.base + next).update(from: members.base + begin, count: size)
      next += size
    }
    unsafe states.attend(queries, to: list, of: rows, workspace: workspace)
    return count
  }

  private func estimate(
    _ clusters: ListView<UInt32>, scores: ListView<Float>, states: StatePointers, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    guard !clusters.isEmpty else { return }
    let scores = unsafe scores.base
    let masses = unsafe scratch.floats(states.count * clusters.count)
    for h in 0..<states.count {
      for (i, cluster) in clusters.enumerated() {
        unsafe masses[h * clusters.count + i] =
          unsafe scores[h * clusterCount + Int(cluster)] + logCounts.base[Int(cluster)]
      }
    }
    unsafe workspace.kernels.unsafeSoftmaxAccumulate(
      scores: masses, values: PackedRows(meanValues.base, stride: rows.dimension),
      .listed(clusters), to: states)
  }
}

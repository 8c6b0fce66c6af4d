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
    let scores = scratch.floats(g * clusters)
    workspace.kernels.unsafeDot(
      FloatRows(queries, count: g, dimension: d), with: PackedRows(centroids.base, stride: d),
      .first(clusters), scores: scores)
    let retrieved = Int((settings.retrievalShare * Float(clusters)).rounded(.up))
    let estimated = Int((settings.estimationShare * Float(clusters)).rounded(.up))
    let zones = rank(
      scores, count: clusters, queryCount: g, first: retrieved, second: estimated, in: scratch)
    read.retrieved = readClusters(zones.first, queries: queries, states: states, workspace: workspace)
    estimate(zones.second, scores: scores, states: states, workspace: workspace)
    // All centroids; members of what is read; mean values and counts of what is estimated.
    read.indexBytes =
      centroids.byteCount + zones.first.count * 8 + read.retrieved * 4 + zones.second.count * (2 * d + 4)
    return read
  }

  /// The best clusters by the group's summed softmax, and the next best.
  private func rank(
    _ scores: UnsafePointer<Float>, count: Int, queryCount g: Int, first: Int, second: Int,
    in result: borrowing Scratch
  ) -> (first: UnsafeBufferPointer<UInt32>, second: UnsafeBufferPointer<UInt32>) {
    let total = min(count, first + second)
    let (chosen, best) = (result.indices(total), result.indices(total))
    let scratch = result.workspace.scope()
    let (shares, softmax, chosenShares) = (
      scratch.floats(count), scratch.floats(count), scratch.floats(total)
    )
    shares.update(repeating: 0, count: count)
    for h in 0..<g {
      softmax.update(from: scores + h * count, count: count)
      scratch.kernels.softmax(softmax, count: count)
      scratch.kernels.unsafeAddScaled(softmax, by: 1, to: shares, count: count)
    }
    _ = HighestScores.select(total, of: shares, count: count, into: chosen)
    var inOrder = UnsafeMutableBufferPointer(start: chosen, count: total)
    inOrder.sort()
    for i in 0..<total { chosenShares[i] = shares[Int(chosen[i])] }
    let bestCount = HighestScores.select(first, of: chosenShares, count: total, into: best)
    // The best to the front of one list, the others to the front of another, both in the order of memory.
    let marks = scratch.indices(total)
    marks.update(repeating: 0, count: total)
    for i in 0..<bestCount { marks[Int(best[i])] = 1 }
    var (bestEnd, restEnd) = (0, 0)
    for i in 0..<total {
      if marks[i] != 0 {
        best[bestEnd] = chosen[i]
        bestEnd += 1
      } else {
        chosen[restEnd] = chosen[i]
        restEnd += 1
      }
    }
    return (
      UnsafeBufferPointer(start: best, count: bestEnd), UnsafeBufferPointer(start: chosen, count: restEnd)
    )
  }

  private func readClusters(
    _ clusters: UnsafeBufferPointer<UInt32>, queries: UnsafePointer<Float>, states: StatePointers,
    workspace: Workspace
  ) -> Int {
    let scratch = workspace.scope()
    var count = 0
    for cluster in clusters { count += Int(starts.base[Int(cluster) + 1] - starts.base[Int(cluster)]) }
    let list = scratch.indices(count)
    var next = 0
    for cluster in clusters {
      let begin = Int(starts.base[Int(cluster)])
      let size = Int(starts.base[Int(cluster) + 1]) - begin
      (list + next).update(from: members.base + begin, count: size)
      next += size
    }
    states.attend(
      queries, to: UnsafeBufferPointer(start: list, count: count), of: rows, workspace: workspace)
    return count
  }

  private func estimate(
    _ clusters: UnsafeBufferPointer<UInt32>, scores: UnsafePointer<Float>, states: StatePointers,
    workspace: Workspace
  ) {
    let scratch = workspace.scope()
    guard let indices = clusters.baseAddress, !clusters.isEmpty else { return }
    let masses = scratch.floats(states.count * clusters.count)
    for h in 0..<states.count {
      for (i, cluster) in clusters.enumerated() {
        masses[h * clusters.count + i] =
          scores[h * clusterCount + Int(cluster)] + logCounts.base[Int(cluster)]
      }
    }
    workspace.kernels.unsafeSoftmaxAccumulate(
      scores: masses, values: PackedRows(meanValues.base, stride: rows.dimension),
      .listed(indices, count: clusters.count), to: states)
  }
}

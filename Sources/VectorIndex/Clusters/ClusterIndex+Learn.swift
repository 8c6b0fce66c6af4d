// What the centroids of clusters, and of groups of clusters, miss: learned from training queries.

import AttentionKernels
import Platform

extension ClusterIndex {
  /// Centroids, mean values, learned masses and gains of the new clusters and their groups, whose starts are known.
  /// `points` are the new keys in f32, in cluster order.
  func learn(
    points: UnsafePointer<Float>, values: PackedRows, firstGroup: Int, training: TrainingQueries,
    workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let d = dimension
    let kernels = workspace.kernels
    let means = scratch.floats(4 * d)
    let (mean, meanValue) = (means, means + d)
    let (groupMean, groupMeanValue) = (means + 2 * d, means + 3 * d)
    let row = scratch.floats(d)
    let states = TrainingStates(training, dimension: d, in: scratch)
    let groupStates = TrainingStates(sumOf: states, in: scratch)
    let outputNorm = rootMeanSquare(training.outputs, rows: training.count, dimension: d)

    for number in firstGroup..<groups.starts.count - 1 {
      groupStates.removeAll()
      means.update(repeating: 0, count: 4 * d)
      var groupSize = 0
      for c in Int(groups.starts[number])..<Int(groups.starts[number + 1]) {
        let begin = Int(starts[c]) - rowCount
        let n = Int(starts[c + 1]) - rowCount - begin
        groupSize += n
        mean.update(repeating: 0, count: 2 * d)
        for i in begin..<begin + n {
          kernels.unsafeAddScaled(points + i * d, by: 1 / Float(n), to: mean, count: d)
          kernels.unsafeUnpack(values.from(i), rowCount: 1, dimension: d, target: row, targetStride: d)
          kernels.unsafeAddScaled(row, by: 1 / Float(n), to: meanValue, count: d)
        }
        kernels.unsafeAddScaled(mean, by: Float(n), to: groupMean, count: d)
        kernels.unsafeAddScaled(meanValue, by: Float(n), to: groupMeanValue, count: d)
        // Learn with the rounded centroid, since that is what decoding uses.
        round(mean, into: centroids.grow(by: d), kernels)
        var learned = LearnedStatistics(bias: 0, spread: 0, cost: 1)
        if training.count > 0 {
          states.attend(
            training.queries, points + begin * d, values.from(begin), count: n, centroid: mean, kernels)
          groupStates.add(states, count: n)
          learned = states.fit(count: n, training: training, meanValue: meanValue)
        } else {
          learned.spread = spreadOfKeys(points + begin * d, count: n, mean: mean, row: row, kernels: kernels)
        }
        kernels.unsafeConvertToFloat16(meanValue, meanValues.grow(by: d), count: d)
        logMass.append(log(Float(n)) + learned.bias)
        spread.append(learned.spread)
        valueSpread.append(
          spreadOfValues(values.from(begin), count: n, mean: meanValue, row: row, kernels: kernels)
            / outputNorm)
        gain.append(learned.gain(count: n, outputNorm: outputNorm))
      }
      kernels.unsafeScale(groupMean, by: 1 / Float(groupSize), count: 2 * d)
      round(groupMean, into: groups.centroids.grow(by: d), kernels)
      var learned = LearnedStatistics(bias: 0, spread: 0, cost: 1)
      if training.count > 0 {
        groupStates.score(training.queries, centroid: groupMean, count: groupSize, kernels)
        learned = groupStates.fit(count: groupSize, training: training, meanValue: groupMeanValue)
      } else {
        let begin = Int(starts[Int(groups.starts[number])]) - rowCount
        learned.spread = spreadOfKeys(
          points + begin * d, count: groupSize, mean: groupMean, row: row, kernels: kernels)
      }
      kernels.unsafeConvertToFloat16(groupMeanValue, groups.meanValues.grow(by: d), count: d)
      groups.logMass.append(log(Float(groupSize)) + learned.bias)
      groups.spread.append(learned.spread)
      groups.gain.append(learned.gain(count: groupSize, outputNorm: outputNorm))
    }
  }

  private func round(
    _ row: UnsafeMutablePointer<Float>, into rounded: UnsafeMutablePointer<UInt16>, _ kernels: Kernels
  ) {
    kernels.unsafeConvertToFloat16(row, rounded, count: dimension)
    kernels.unsafeConvertFromFloat16(rounded, row, count: dimension)
  }

  /// The spread of scores for each unit of length of queries that look in all directions alike: what is known without
  /// any to learn from. Root of the mean squared distance of keys from their mean, in each dimension.
  private func spreadOfKeys(
    _ keys: UnsafePointer<Float>, count n: Int, mean: UnsafePointer<Float>, row: UnsafeMutablePointer<Float>,
    kernels: Kernels
  ) -> Float {
    let d = dimension
    var squares: Float = 0
    for i in 0..<n {
      row.update(from: keys + i * d, count: d)
      kernels.unsafeAddScaled(mean, by: -1, to: row, count: d)
      let distance = vectorNorm(row, dimension: d)
      squares += distance * distance / Float(d)
    }
    return (squares / Float(n)).squareRoot()
  }

  /// Root of the mean squared distance of values from what stands for them.
  private func spreadOfValues(
    _ values: PackedRows, count n: Int, mean: UnsafePointer<Float>,
    row: UnsafeMutablePointer<Float>,
    kernels: Kernels
  ) -> Float {
    let d = dimension
    var squares: Float = 0
    for i in 0..<n {
      kernels.unsafeUnpack(values.from(i), rowCount: 1, dimension: d, target: row, targetStride: d)
      kernels.unsafeAddScaled(mean, by: -1, to: row, count: d)
      let distance = vectorNorm(row, dimension: d)
      squares += distance * distance
    }
    return (squares / Float(n)).squareRoot()
  }

  private func rootMeanSquare(_ rows: UnsafePointer<Float>, rows count: Int, dimension d: Int) -> Float {
    guard count > 0 else { return 1 }
    let norm = vectorNorm(rows, dimension: count * d) / Float(count).squareRoot()
    return norm > 0 ? norm : 1
  }
}

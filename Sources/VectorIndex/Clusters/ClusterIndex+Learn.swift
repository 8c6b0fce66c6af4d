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
    let means = unsafe scratch.floats(4 * d)
    let (mean, meanValue) = unsafe (means, means + d)
    let (groupMean, groupMeanValue) = unsafe (means + 2 * d, means + 3 * d)
    let row = unsafe scratch.floats(d)
    let states = TrainingStates(training, dimension: d, in: scratch)
    let groupStates = TrainingStates(sumOf: states, in: scratch)
    let outputNorm = unsafe rootMeanSquare(training.outputs, rows: training.count, dimension: d)

    for number in firstGroup..<groups.starts.count - 1 {
      groupStates.removeAll()
      unsafe means.update(repeating: 0, count: 4 * d)
      var groupSize = 0
      for c in Int(groups.starts[number])..<Int(groups.starts[number + 1]) {
        let begin = Int(starts[c]) - rowCount
        let n = Int(starts[c + 1]) - rowCount - begin
        groupSize += n
        unsafe mean.update(repeating: 0, count: 2 * d)
        let own = workspace.scope()
        let unpacked = unsafe own.floats(n * d)
        unsafe kernels.unsafeUnpack(
          values.from(begin), rowCount: n, dimension: d, target: unpacked, targetStride: d)
        for i in 0..<n {
          unsafe kernels.unsafeAddScaled(points + (begin + i) * d, by: 1 / Float(n), to: mean, count: d)
          unsafe kernels.unsafeAddScaled(unpacked + i * d, by: 1 / Float(n), to: meanValue, count: d)
        }
        unsafe kernels.unsafeAddScaled(mean, by: Float(n), to: groupMean, count: d)
        unsafe kernels.unsafeAddScaled(meanValue, by: Float(n), to: groupMeanValue, count: d)
        // Learn with the rounded centroid, since that is what decoding uses.
        unsafe round(mean, into: centroids.grow(by: d), kernels)
        var learned = LearnedStatistics(bias: 0, spread: 0, cost: 1)
        if training.count > 0 {
          unsafe states.attend(
            training.queries, points + begin * d, values.from(begin), count: n, centroid: mean, kernels)
          groupStates.add(states, count: n)
          learned = unsafe states.fit(count: n, training: training, meanValue: meanValue)
        } else {
          learned.spread = unsafe spreadOfKeys(
            points + begin * d, count: n, mean: mean, row: row, kernels: kernels)
        }
        unsafe kernels.unsafeConvertToFloat16(meanValue, meanValues.grow(by: d), count: d)
        logMass.append(log(Float(n)) + learned.bias)
        spread.append(learned.spread)
        unsafe valueSpread.append(
          distance(of: unpacked, count: n, from: meanValue, row: row, kernels: kernels) / outputNorm)
        gain.append(learned.gain(count: n, outputNorm: outputNorm))
      }
      unsafe kernels.unsafeScale(groupMean, by: 1 / Float(groupSize), count: 2 * d)
      unsafe round(groupMean, into: groups.centroids.grow(by: d), kernels)
      var learned = LearnedStatistics(bias: 0, spread: 0, cost: 1)
      if training.count > 0 {
        unsafe groupStates.score(training.queries, centroid: groupMean, count: groupSize, kernels)
        learned = unsafe groupStates.fit(count: groupSize, training: training, meanValue: groupMeanValue)
      } else {
        let begin = Int(starts[Int(groups.starts[number])]) - rowCount
        learned.spread = unsafe spreadOfKeys(
          points + begin * d, count: groupSize, mean: groupMean, row: row, kernels: kernels)
      }
      unsafe kernels.unsafeConvertToFloat16(groupMeanValue, groups.meanValues.grow(by: d), count: d)
      groups.logMass.append(log(Float(groupSize)) + learned.bias)
      groups.spread.append(learned.spread)
      groups.gain.append(learned.gain(count: groupSize, outputNorm: outputNorm))
    }
  }

  private func round(
    _ row: UnsafeMutablePointer<Float>, into rounded: UnsafeMutablePointer<UInt16>, _ kernels: Kernels
  ) {
    unsafe kernels.unsafeConvertToFloat16(row, rounded, count: dimension)
    unsafe kernels.unsafeConvertFromFloat16(rounded, row, count: dimension)
  }

  /// The spread of scores for each unit of length of queries that look in all directions alike: what is known without
  /// any to learn from. Root of the mean squared distance of keys from their mean, in each dimension.
  private func spreadOfKeys(
    _ keys: UnsafePointer<Float>, count n: Int, mean: UnsafePointer<Float>, row: UnsafeMutablePointer<Float>,
    kernels: Kernels
  ) -> Float {
    unsafe distance(of: keys, count: n, from: mean, row: row, kernels: kernels)
      / Float(dimension).squareRoot()
  }

  /// Root of the mean squared distance of rows from what stands for them.
  private func distance(
    of rows: UnsafePointer<Float>, count n: Int, from mean: UnsafePointer<Float>,
    row: UnsafeMutablePointer<Float>, kernels: Kernels
  ) -> Float {
    let d = dimension
    var squares: Float = 0
    for i in 0..<n {
      unsafe row.update(from: rows + i * d, count: d)
      unsafe kernels.unsafeAddScaled(mean, by: -1, to: row, count: d)
      let norm = unsafe vectorNorm(row, dimension: d)
      squares += norm * norm
    }
    return (squares / Float(n)).squareRoot()
  }

  private func rootMeanSquare(_ rows: UnsafePointer<Float>, rows count: Int, dimension d: Int) -> Float {
    guard count > 0 else { return 1 }
    let norm = unsafe vectorNorm(rows, dimension: count * d) / Float(count).squareRoot()
    return norm > 0 ? norm : 1
  }
}

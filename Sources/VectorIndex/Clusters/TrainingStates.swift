// What training queries teach about a cluster: how wrong its estimate is, and what it may hide.

import AttentionKernels
import Platform

/// What training queries tell of one cluster.
struct LearnedStatistics {
  /// Mean shortfall of the estimated log mass.
  var bias: Float
  /// Standard deviation of scores for each unit of query length.
  var spread: Float
  /// Error of the estimated contribution for each unit of selection weight.
  var cost: Float

  /// What reading the keys is worth, for each of `count`. The square root hedges: with few training queries a cost is
  /// often taken too low or too high.
  func gain(count: Int, outputNorm: Float) -> Float {
    (cost / outputNorm).squareRoot() / Float(count)
  }
}

/// The attention of all training queries to one cluster, or to a group of them, and what can be learned from it.
@safe struct TrainingStates {
  let states: StatePointers
  let estimates: UnsafeMutablePointer<Float>  // [queries]: q.mu
  let squares: UnsafeMutablePointer<Float>  // [queries]: sum of (q.k - q.mu)^2
  let norms: UnsafeMutablePointer<Float>  // [queries]
  let queryCount: Int
  let dimension: Int
  let workspace: Workspace

  init(_ training: TrainingQueries, dimension: Int, in scratch: borrowing Scratch) {
    let queryCount = training.count
    unsafe states = StatePointers(count: queryCount, dimension: dimension, in: scratch)
    unsafe estimates = scratch.floats(queryCount)
    unsafe squares = scratch.floats(queryCount)
    unsafe norms = scratch.floats(queryCount)
    self.queryCount = queryCount
    self.dimension = dimension
    workspace = scratch.workspace
    for t in 0..<queryCount {
      unsafe norms[t] = vectorNorm(training.queries + t * dimension, dimension: dimension)
    }
  }

  /// States of the same queries that others are added to, empty at first.
  init(sumOf other: TrainingStates, in scratch: borrowing Scratch) {
    queryCount = other.queryCount
    dimension = other.dimension
    workspace = other.workspace
    unsafe norms = other.norms
    unsafe states = StatePointers(count: queryCount, dimension: dimension, in: scratch)
    unsafe estimates = scratch.floats(queryCount)
    unsafe squares = scratch.floats(queryCount)
    removeAll()
  }

  func removeAll() {
    states.clear()
    unsafe estimates.update(repeating: 0, count: queryCount)
    unsafe squares.update(repeating: 0, count: queryCount)
  }

  /// Adds the attention to a cluster of n keys. Until ``score(_:centroid:count:_:)``, `squares` hold the sum of
  /// (q.k)^2.
  func add(_ cluster: TrainingStates, count n: Int) {
    for t in 0..<queryCount {
      states.merge(cluster.states, query: t, kernels: workspace.kernels)
      unsafe squares[t] += cluster.squares[t] + Float(n) * cluster.estimates[t] * cluster.estimates[t]
    }
  }

  /// Completes a sum of clusters of `count` keys together, with the centroid of all.
  func score(_ queries: UnsafePointer<Float>, centroid: UnsafePointer<Float>, count: Int, _ kernels: Kernels)
  {
    unsafe kernels.unsafeDot(
      FloatRows(centroid, count: 1, dimension: dimension),
      with: FloatRows(queries, count: queryCount, dimension: dimension), scores: estimates)
    for t in 0..<queryCount {
      unsafe squares[t] = max(0, squares[t] - Float(count) * estimates[t] * estimates[t])
    }
  }

  /// The attention to one cluster, in place of what was there.
  func attend(
    _ queries: UnsafePointer<Float>, _ keys: UnsafePointer<Float>, _ values: PackedRows,
    count n: Int,
    centroid: UnsafePointer<Float>, _ kernels: Kernels
  ) {
    let scratch = workspace.scope()
    let d = dimension
    let scores = unsafe scratch.floats(queryCount * n)
    unsafe kernels.unsafeGEMM(
      FloatMatrix(queries, rows: queryCount, columns: d), FloatMatrix(keys, rows: n, columns: d).transposed,
      into: scores, scratch: scratch.floats(Kernels.gemmScratchCount))
    unsafe kernels.unsafeDot(
      FloatRows(centroid, count: 1, dimension: d), with: FloatRows(queries, count: queryCount, dimension: d),
      scores: estimates)
    unsafe sumSquares(scores, count: n)
    states.clear()
    unsafe kernels.unsafeSoftmaxAccumulate(
      scores: scores, values: values, .first(n), to: states)
  }

  private func sumSquares(_ scores: UnsafePointer<Float>, count n: Int) {
    for t in 0..<queryCount {
      unsafe squares[t] = sumOfSquares(scores + t * n, count: n, from: estimates[t])
    }
  }

  /// Mean standard deviation of the scores of `count` keys, for each unit of query length.
  private func scoreSpread(count: Int) -> Float {
    var deviations: Float = 0
    var lengths: Float = 0
    for t in 0..<queryCount {
      unsafe deviations += (squares[t] / Float(count)).squareRoot()
      unsafe lengths += norms[t]
    }
    return lengths > 0 ? deviations / lengths : 0
  }

  /// Learns from the states, of n keys, and replaces `meanValue` by the mean value that training queries see.
  func fit(
    count n: Int, training: TrainingQueries, meanValue: UnsafeMutablePointer<Float>
  ) -> LearnedStatistics {
    let scratch = workspace.scope()
    let d = dimension
    let spread = scoreSpread(count: n)
    let logCount = log(Float(n))
    var weightedShortfall: Float = 0
    var weights: Float = 0
    var mass: Float = 0
    let weighted = unsafe scratch.floats(d)
    unsafe weighted.update(repeating: 0, count: d)
    for t in 0..<queryCount {
      let logSumExp = unsafe states.maxima[t] + log(states.sums[t])
      // A query that was moved to another position may see more here than it saw in all; a share stays a share.
      let share = unsafe exp(min(0, logSumExp - training.logSumExps[t]))
      let weight = share.squareRoot()
      unsafe weightedShortfall += weight * (logSumExp - estimates[t] - logCount)
      weights += weight
      mass += share
      unsafe workspace.kernels.unsafeAddScaled(
        states.accumulators + t * d, by: share / states.sums[t], to: weighted, count: d)
    }
    let bias = weights > 1e-20 ? weightedShortfall / weights : 0
    if mass > 1e-20 {
      for i in 0..<d { unsafe meanValue[i] = weighted[i] / mass }
    }
    var error: Float = 0
    var weight: Float = 0
    let kernels = workspace.kernels
    let difference = unsafe scratch.floats(d)
    let spreadFactor = ClusterIndex.SearchParameters().spreadFactor
    for t in 0..<queryCount {
      let normalizer = unsafe training.logSumExps[t]
      let share = unsafe exp(min(0, states.maxima[t] + log(states.sums[t]) - normalizer))
      // By the least mass that the cluster can have. What estimates take of the learned one lowers their error on
      // training queries, more than on others.
      let estimate = unsafe exp(min(0, estimates[t] + logCount - normalizer))
      let promise = unsafe exp(min(0, estimates[t] + logCount + bias - normalizer))
      let output = unsafe training.outputs + t * d
      let accumulator = unsafe states.accumulators + t * d
      // The true part of the output, less the estimated one, less what the other keys would get or lose.
      unsafe difference.update(from: accumulator, count: d)
      unsafe kernels.unsafeScale(difference, by: share / states.sums[t], count: d)
      unsafe kernels.unsafeAddScaled(meanValue, by: -estimate, to: difference, count: d)
      unsafe kernels.unsafeAddScaled(output, by: estimate - share, to: difference, count: d)
      unsafe error += vectorNorm(difference, dimension: d)
      unsafe weight +=
        promise * ClusterIndex.selectionFactor(spread: spread, queryNorm: norms[t], factor: spreadFactor)
    }
    return LearnedStatistics(bias: bias, spread: spread, cost: weight > 1e-30 ? error / weight : 1)
  }
}

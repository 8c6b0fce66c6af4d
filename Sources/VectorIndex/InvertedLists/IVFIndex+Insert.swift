// Building: assign a segment of rows to lists, put them in list order, learn what the lists' means miss.

import AttentionKernels
import Platform

extension IVFIndex {
  /// Distributes the new rows to lists of their own and reorders them in place, list by list. Outliers are a list of
  /// their own, the last one.
  ///
  /// Cost: `2 rows^2 / listSize * d * iterations` operations, and when balanced as many again and
  /// `2 rows * training.count * (d + rows / listSize)` more for each round.
  public func insert(_ new: NewRows, all: IndexRows, training: TrainingQueries, workspace: Workspace) {
    let n = new.count
    precondition(n >= 0, "cannot insert \(n) rows")
    guard n > 0 else { return }
    let apart = OutlierRows.find(
      keys: new.keys, values: new.values, count: n, dimension: dimension, workspace: workspace)
    let lists = insertLists(
      new.separating(apart, workspace: workspace), training: training, workspace: workspace)
    rowCount += n
    listCount += lists
    segmentCount += 1
    guard !apart.isEmpty else { return }
    // No query scores it, and all choose it.
    unsafe representatives.grow(by: dimension).update(repeating: 0, count: dimension)
    logMass.append(.infinity)
    starts.append(UInt32(rowCount))
    listCount += 1
    outlierListCount += 1
  }

  /// Appends the lists of new rows, at least one, and returns how many.
  private func insertLists(_ new: NewRows, training: TrainingQueries, workspace: Workspace) -> Int {
    let scratch = workspace.scope()
    let n = new.count
    let d = dimension
    let kernels = workspace.kernels
    let points = unsafe scratch.list(n * d)
    unsafe kernels.unsafeUnpack(new.keys, rowCount: n, dimension: d, target: points.base, targetStride: d)
    let whitened = unsafe scratch.list(n * d)
    whiten(points, training: training, workspace: workspace, result: whitened)
    let size = max(1, build.listSize)
    let wanted = n / size + (n % size == 0 ? 0 : 1)
    let clusters = unsafe KMeans.cluster(
      whitened.rows(dimension: d), clusterCount: wanted, iterations: build.iterations,
      seed: build.seed &+ UInt64(segmentCount), in: scratch)
    let assignments = unsafe clusters.assignments
    var lists = unsafe clusters.clusterCount
    if build.assignment == .balanced {
      lists = unsafe BalancedAssignment(
        points: points.base, whitened: whitened.base, count: n, dimension: d, listCount: wanted,
        choices: build.choices,
        training: training, workspace: workspace
      ).improve(assignments, rounds: max(1, build.iterations))
    }
    unsafe new.sort(by: assignments, groups: lists, workspace: workspace) {
      starts.append(UInt32(rowCount) + $0)
    }
    unsafe kernels.unsafeUnpack(new.keys, rowCount: n, dimension: d, target: points.base, targetStride: d)
    learn(points: points, lists: lists, training: training, workspace: workspace)
    return lists
  }

  /// Centers the keys (a constant shift of all keys changes no softmax) and maps them to the queries' geometry.
  private func whiten(
    _ points: ListView<Float>, training: TrainingQueries, workspace: Workspace, result: ListView<Float>
  ) {
    let scratch = workspace.scope()
    let d = dimension
    let n = points.count / d
    let kernels = workspace.kernels
    let map = unsafe scratch.floats(d * d)
    unsafe QueryGeometry.map(
      queries: training.queries, count: training.count, dimension: d, workspace: workspace, result: map)
    let mean = unsafe scratch.floats(2 * d)
    unsafe mean.update(repeating: 0, count: d)
    for i in 0..<n {
      unsafe kernels.unsafeAddScaled(points.base + i * d, by: 1 / Float(n), to: mean, count: d)
    }
    // (points - mean) L = points L - mean L, so no centered copy is made.
    let offset = unsafe mean + d
    let kernelScratch = unsafe scratch.floats(Kernels.gemmScratchCount)
    unsafe kernels.unsafeGEMM(
      FloatMatrix(mean, rows: 1, columns: d), FloatMatrix(map, rows: d, columns: d), into: offset,
      scratch: kernelScratch)
    result.fill(0)
    for i in 0..<n { unsafe kernels.unsafeAddScaled(offset, by: -1, to: result.base + i * d, count: d) }
    unsafe kernels.unsafeGEMM(
      points.matrix(rows: n, columns: d), FloatMatrix(map, rows: d, columns: d), into: result.base,
      accumulate: true, scratch: kernelScratch)
  }

  /// Representatives and log masses of the new lists. `points` are the sorted keys in f32.
  private func learn(
    points: ListView<Float>, lists: Int, training: TrainingQueries, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let d = dimension
    let kernels = workspace.kernels
    let mean = unsafe scratch.floats(d)
    let output = unsafe representatives.grow(by: lists * d)
    for list in 0..<lists {
      let begin = Int(starts[listCount + list]) - rowCount
      let n = Int(starts[listCount + list + 1]) - rowCount - begin
      unsafe mean.update(repeating: 0, count: d)
      for i in begin..<begin + n {
        unsafe kernels.unsafeAddScaled(points.base + i * d, by: 1 / Float(n), to: mean, count: d)
      }
      // Learn with the rounded mean, since that is what decoding uses.
      unsafe kernels.unsafeConvertToFloat16(mean, output + list * d, count: d)
      unsafe kernels.unsafeConvertFromFloat16(output + list * d, mean, count: d)
      let shortfall = unsafe shortfall(
        of: FloatRows(mean, count: 1, dimension: d),
        points: FloatRows(points.base + begin * d, count: n, dimension: d),
        training: training, workspace: workspace)
      logMass.append(log(Float(n)) + shortfall)
    }
  }

  /// By how much the mean key underestimates a list's log mass (Jensen's inequality): the mean over training
  /// queries, weighted by the square root of the list's share of their attention; 0 without queries.
  private func shortfall(
    of mean: FloatRows, points: FloatRows, training: TrainingQueries, workspace: Workspace
  ) -> Float {
    let scratch = workspace.scope()
    guard training.count > 0 else { return 0 }
    let (n, d) = (points.count, dimension)
    let kernels = workspace.kernels
    let estimates = unsafe scratch.floats(training.count)
    unsafe kernels.unsafeDot(
      mean,
      with: FloatRows(training.queries, count: training.count, dimension: d), scores: estimates)
    let scores = unsafe scratch.floats(training.count * n)
    unsafe kernels.unsafeGEMM(
      FloatMatrix(training.queries, rows: training.count, columns: d),
      FloatMatrix(points.base, rows: n, columns: d).transposed, into: scores,
      scratch: scratch.floats(Kernels.gemmScratchCount))
    var sum: Float = 0
    var weights: Float = 0
    for t in 0..<training.count {
      let row = unsafe scores + t * n
      var highest = unsafe row[0]
      for i in 1..<n { highest = unsafe max(highest, row[i]) }
      var total: Float = 0
      for i in 0..<n { unsafe total += exp(row[i] - highest) }
      let logSumExp = highest + log(total)
      // A query that was moved to another position may see more here than it saw in all; a share stays a share.
      let weight = unsafe exp(0.5 * min(0, logSumExp - training.logSumExps[t]))
      unsafe sum += weight * (logSumExp - estimates[t] - log(Float(n)))
      weights += weight
    }
    return weights > 1e-20 && sum.isFinite ? sum / weights : 0
  }
}

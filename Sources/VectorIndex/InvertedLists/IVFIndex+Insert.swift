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
    representatives.grow(by: dimension).update(repeating: 0, count: dimension)
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
    let points = scratch.floats(n * d)
    kernels.unsafeUnpack(new.keys, rowCount: n, dimension: d, target: points, targetStride: d)
    let whitened = scratch.floats(n * d)
    whiten(points, count: n, training: training, workspace: workspace, result: whitened)
    let size = max(1, build.listSize)
    let wanted = n / size + (n % size == 0 ? 0 : 1)
    let clusters = KMeans.cluster(
      FloatRows(whitened, count: n, dimension: d), clusterCount: wanted, iterations: build.iterations,
      seed: build.seed &+ UInt64(segmentCount), in: scratch)
    let assignments = clusters.assignments
    var lists = clusters.clusterCount
    if build.assignment == .balanced {
      lists = BalancedAssignment(
        points: points, whitened: whitened, count: n, dimension: d, listCount: wanted, choices: build.choices,
        training: training, workspace: workspace
      ).improve(assignments, rounds: max(1, build.iterations))
    }
    new.sort(by: assignments, groups: lists, workspace: workspace) { starts.append(UInt32(rowCount) + $0) }
    kernels.unsafeUnpack(new.keys, rowCount: n, dimension: d, target: points, targetStride: d)
    learn(points: points, lists: lists, training: training, workspace: workspace)
    return lists
  }

  /// Centers the keys (a constant shift of all keys changes no softmax) and maps them to the queries' geometry.
  private func whiten(
    _ points: UnsafePointer<Float>, count n: Int, training: TrainingQueries, workspace: Workspace,
    result: UnsafeMutablePointer<Float>
  ) {
    let scratch = workspace.scope()
    let d = dimension
    let kernels = workspace.kernels
    let map = scratch.floats(d * d)
    QueryGeometry.map(
      queries: training.queries, count: training.count, dimension: d, workspace: workspace, result: map)
    let mean = scratch.floats(2 * d)
    mean.update(repeating: 0, count: d)
    for i in 0..<n { kernels.unsafeAddScaled(points + i * d, by: 1 / Float(n), to: mean, count: d) }
    // (points - mean) L = points L - mean L, so no centered copy is made.
    let offset = mean + d
    let kernelScratch = scratch.floats(Kernels.gemmScratchCount)
    kernels.unsafeGEMM(
      FloatMatrix(mean, rows: 1, columns: d), FloatMatrix(map, rows: d, columns: d), into: offset,
      scratch: kernelScratch)
    result.update(repeating: 0, count: n * d)
    for i in 0..<n { kernels.unsafeAddScaled(offset, by: -1, to: result + i * d, count: d) }
    kernels.unsafeGEMM(
      FloatMatrix(points, rows: n, columns: d), FloatMatrix(map, rows: d, columns: d), into: result,
      accumulate: true, scratch: kernelScratch)
  }

  /// Representatives and log masses of the new lists. `points` are the sorted keys in f32.
  private func learn(
    points: UnsafePointer<Float>, lists: Int, training: TrainingQueries, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let d = dimension
    let kernels = workspace.kernels
    let mean = scratch.floats(d)
    let output = representatives.grow(by: lists * d)
    for list in 0..<lists {
      let begin = Int(starts[listCount + list]) - rowCount
      let n = Int(starts[listCount + list + 1]) - rowCount - begin
      mean.update(repeating: 0, count: d)
      for i in begin..<begin + n {
        kernels.unsafeAddScaled(points + i * d, by: 1 / Float(n), to: mean, count: d)
      }
      // Learn with the rounded mean, since that is what decoding uses.
      kernels.unsafeConvertToFloat16(mean, output + list * d, count: d)
      kernels.unsafeConvertFromFloat16(output + list * d, mean, count: d)
      let shortfall = shortfall(
        of: mean, points: points + begin * d, count: n, training: training, workspace: workspace)
      logMass.append(log(Float(n)) + shortfall)
    }
  }

  /// By how much the mean key underestimates a list's log mass (Jensen's inequality): the mean over training
  /// queries, weighted by the square root of the list's share of their attention; 0 without queries.
  private func shortfall(
    of mean: UnsafePointer<Float>, points: UnsafePointer<Float>, count n: Int, training: TrainingQueries,
    workspace: Workspace
  ) -> Float {
    let scratch = workspace.scope()
    guard training.count > 0 else { return 0 }
    let d = dimension
    let kernels = workspace.kernels
    let estimates = scratch.floats(training.count)
    kernels.unsafeDot(
      FloatRows(mean, count: 1, dimension: d),
      with: FloatRows(training.queries, count: training.count, dimension: d), scores: estimates)
    let scores = scratch.floats(training.count * n)
    kernels.unsafeGEMM(
      FloatMatrix(training.queries, rows: training.count, columns: d),
      FloatMatrix(points, rows: n, columns: d).transposed, into: scores,
      scratch: scratch.floats(Kernels.gemmScratchCount))
    var sum: Float = 0
    var weights: Float = 0
    for t in 0..<training.count {
      let row = scores + t * n
      var highest = row[0]
      for i in 1..<n { highest = max(highest, row[i]) }
      var total: Float = 0
      for i in 0..<n { total += exp(row[i] - highest) }
      let logSumExp = highest + log(total)
      // A query that was moved to another position may see more here than it saw in all; a share stays a share.
      let weight = exp(0.5 * min(0, logSumExp - training.logSumExps[t]))
      sum += weight * (logSumExp - estimates[t] - log(Float(n)))
      weights += weight
    }
    return weights > 1e-20 && sum.isFinite ? sum / weights : 0
  }
}

// Building: cluster a segment of rows, put them in cluster order, learn what the centroids miss.

import AttentionKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

extension ClusterIndex {
  /// Clusters the new rows and reorders them in place, cluster by cluster.
  ///
  /// Keys, values and positions are reordered alike. Cost: `2 rows^2 / clusterSize * d * iterations + 4 rows * training.count * d` operations.
  /// A failed allocation traps, as everywhere in Swift; nothing else can fail.
  package func insert(_ new: NewRows, all: IndexRows, training: TrainingQueries, workspace: Workspace) {
    let n = new.count
    let (keys, values, positions) = (new.keys, new.values, new.positions)
    precondition(n >= 0, "cannot insert \(n) rows")
    guard n > 0 else { return }
    let d = dimension
    let kernels = workspace.kernels
    let points = workspace.floats(.points, n * d)
    kernels.unsafeConvertFromFloat16(keys, points, count: n * d)
    let whitened = workspace.floats(.whitened, n * d)
    prepareMap(training: training, workspace: workspace)
    center(points, count: n, workspace: workspace)
    map(points, count: n, workspace: workspace, result: whitened)

    let (assignments, clusters) = KMeans.cluster(
      points: whitened, count: n, dimension: d, clusterCount: max(1, n / max(1, build.clusterSize)),
      iterations: build.iterations, seed: build.seed &+ UInt64(segmentCount), workspace: workspace)
    sortRows(
      count: n, clusters: clusters, assignments: assignments, keys: keys, values: values,
      positions: positions,
      workspace: workspace)
    kernels.unsafeConvertFromFloat16(keys, points, count: n * d)
    learn(
      points: points, values: values, firstCluster: clusterCount, clusters: clusters, training: training,
      workspace: workspace)
    if build.usesCodes { encode(points, count: n, clusters: clusters, workspace: workspace) }
    commitSegment(rows: n, clusters: clusters)
  }

  /// Subtracts the mean key: a constant shift of all keys changes no distance, and smaller numbers lose less.
  private func center(_ points: UnsafeMutablePointer<Float>, count n: Int, workspace: Workspace) {
    let d = dimension
    let mean = workspace.floats(.best, d)
    mean.update(repeating: 0, count: d)
    for i in 0..<n { workspace.kernels.unsafeAddScaled(points + i * d, by: 1 / Float(n), to: mean, count: d) }
    for i in 0..<n { workspace.kernels.unsafeAddScaled(mean, by: -1, to: points + i * d, count: d) }
  }

  /// Maps rows `[count, d]` to the queries' geometry, which is in the workspace.
  private func map(
    _ points: UnsafePointer<Float>, count n: Int, workspace: Workspace, result: UnsafeMutablePointer<Float>
  ) {
    let d = dimension
    workspace.kernels.unsafeGEMM(
      a: points, aRowStride: d, aColumnStride: 1, b: workspace.floats(.keyMap, d * d), bRowStride: 1,
      bColumnStride: d, c: result, cRowStride: d, rows: n, columns: d, inner: d, accumulate: false,
      scratch: workspace.floats(.kernel, Kernels.gemmScratchCount))
  }

  /// Puts the map of keys into the workspace: the one that codes were learned with, or a new one.
  private func prepareMap(training: TrainingQueries, workspace: Workspace) {
    let size = dimension * dimension
    let keyMap = workspace.floats(.keyMap, size)
    if codes.isTrained {
      workspace.kernels.unsafeConvertFromFloat16(codes.keyMap.base, keyMap, count: size)
    } else {
      QueryGeometry.maps(
        queries: training.queries, count: training.count, dimension: dimension, workspace: workspace,
        keyMap: keyMap, queryMap: workspace.floats(.queryMap, size))
    }
  }

  /// Codes of the new rows: `points` are their keys in f32, in cluster order, and are replaced.
  private func encode(
    _ points: UnsafeMutablePointer<Float>, count n: Int, clusters: Int, workspace: Workspace
  ) {
    let d = dimension
    let centroid = workspace.floats(.best, d)
    for c in clusterCount..<clusterCount + clusters {
      workspace.kernels.unsafeConvertFromFloat16(centroids.base + c * d, centroid, count: d)
      for i in Int(starts[c]) - rowCount..<Int(starts[c + 1]) - rowCount {
        workspace.kernels.unsafeAddScaled(centroid, by: -1, to: points + i * d, count: d)
      }
    }
    let residuals = workspace.floats(.whitened, n * d)
    if !codes.isTrained {
      map(points, count: n, workspace: workspace, result: residuals)
      codes.train(
        residuals: residuals, count: n, keyMap: workspace.floats(.keyMap, d * d),
        queryMap: workspace.floats(.queryMap, d * d), kernels: workspace.kernels)
      workspace.kernels.unsafeConvertFromFloat16(
        codes.keyMap.base, workspace.floats(.keyMap, d * d), count: d * d)
    }
    map(points, count: n, workspace: workspace, result: residuals)
    codes.append(residuals: residuals, count: n)
  }

  /// Puts rows in cluster order (a stable counting sort: within a cluster, text order remains) and appends the
  /// clusters' offsets.
  private func sortRows(
    count n: Int, clusters: Int, assignments: UnsafePointer<UInt32>, keys: UnsafeMutablePointer<UInt16>,
    values: UnsafeMutablePointer<UInt16>, positions: UnsafeMutablePointer<UInt32>, workspace: Workspace
  ) {
    let d = dimension
    let counts = workspace.indices(.counts, clusters + 1)
    counts.update(repeating: 0, count: clusters + 1)
    for i in 0..<n { counts[Int(assignments[i]) + 1] += 1 }
    for c in 0..<clusters { counts[c + 1] += counts[c] }
    let first = UInt32(rowCount)
    for c in 1...clusters { starts.append(first + counts[c]) }
    let order = workspace.indices(.order, n)
    for i in 0..<n {
      let c = Int(assignments[i])
      order[Int(counts[c])] = UInt32(i)
      counts[c] += 1
    }
    let copy = workspace.halves(.values, n * d)
    for rows in [keys, values] {
      copy.update(from: rows, count: n * d)
      for i in 0..<n { (rows + i * d).update(from: copy + Int(order[i]) * d, count: d) }
    }
    let oldPositions = workspace.indices(.selected, n)
    oldPositions.update(from: positions, count: n)
    for i in 0..<n { positions[i] = oldPositions[Int(order[i])] }
  }

  /// Centroids, mean values, learned masses and gains of the new clusters. `points` are the sorted keys in f32.
  private func learn(
    points: UnsafePointer<Float>, values: UnsafePointer<UInt16>, firstCluster: Int, clusters: Int,
    training: TrainingQueries, workspace: Workspace
  ) {
    let d = dimension
    let kernels = workspace.kernels
    let queryCount = training.count
    let mean = workspace.floats(.best, 2 * d)
    let meanValue = mean + d
    let row = workspace.floats(.weights, d)
    let rowsBefore = rowCount
    let states = TrainingStates(training, workspace: workspace, dimension: d)
    let outputNorm = rootMeanSquare(training.outputs, rows: queryCount, dimension: d)
    let outputCentroids = centroids.grow(by: clusters * d)
    let outputValues = meanValues.grow(by: clusters * d)

    for c in 0..<clusters {
      let begin = Int(starts[firstCluster + c]) - rowsBefore
      let n = Int(starts[firstCluster + c + 1]) - rowsBefore - begin
      mean.update(repeating: 0, count: 2 * d)
      for i in begin..<begin + n {
        kernels.unsafeAddScaled(points + i * d, by: 1 / Float(n), to: mean, count: d)
        kernels.unsafeConvertFromFloat16(values + i * d, row, count: d)
        kernels.unsafeAddScaled(row, by: 1 / Float(n), to: meanValue, count: d)
      }
      // Learn with the rounded centroid, since that is what decoding uses.
      kernels.unsafeConvertToFloat16(mean, outputCentroids + c * d, count: d)
      kernels.unsafeConvertFromFloat16(outputCentroids + c * d, mean, count: d)
      var learned = LearnedStatistics(bias: 0, spread: 0, cost: 1)
      if queryCount > 0 {
        let spread = states.attend(
          training.queries, points + begin * d, values + begin * d, count: n, centroid: mean, kernels)
        learned = states.fit(count: n, spread: spread, training: training, meanValue: meanValue)
      }
      kernels.unsafeConvertToFloat16(meanValue, outputValues + c * d, count: d)
      logMass.append(log(Float(n)) + learned.bias)
      spread.append(learned.spread)
      valueSpread.append(
        spreadOfValues(values + begin * d, count: n, mean: meanValue, row: row, kernels: kernels) / outputNorm
      )
      // The square root hedges: with few training queries a cost is often taken too low or too high.
      gain.append((learned.cost / outputNorm).squareRoot() / Float(n))
    }
  }

  /// Root of the mean squared distance of values from what stands for them.
  private func spreadOfValues(
    _ values: UnsafePointer<UInt16>, count n: Int, mean: UnsafePointer<Float>,
    row: UnsafeMutablePointer<Float>,
    kernels: Kernels
  ) -> Float {
    let d = dimension
    var squares: Float = 0
    for i in 0..<n {
      kernels.unsafeConvertFromFloat16(values + i * d, row, count: d)
      kernels.unsafeAddScaled(mean, by: -1, to: row, count: d)
      let distance = Self.norm(row, dimension: d)
      squares += distance * distance
    }
    return (squares / Float(n)).squareRoot()
  }

  private func rootMeanSquare(_ rows: UnsafePointer<Float>, rows count: Int, dimension d: Int) -> Float {
    guard count > 0 else { return 1 }
    let norm = Self.norm(rows, dimension: count * d) / Float(count).squareRoot()
    return norm > 0 ? norm : 1
  }
}

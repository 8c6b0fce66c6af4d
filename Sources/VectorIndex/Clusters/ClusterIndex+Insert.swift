// Building: cluster a segment of rows, put them in cluster order, code what the centroids leave over.

import AttentionKernels

extension ClusterIndex {
  /// Clusters the new rows and reorders them in place, cluster by cluster.
  ///
  /// Keys, values and positions are reordered alike; outliers come last. Cost: `2 rows^2 / clusterSize * d * iterations
  /// + 4 rows * training.count * d` operations. A failed allocation traps, as everywhere in Swift; nothing else can
  /// fail.
  public func insert(_ new: NewRows, all: IndexRows, training: TrainingQueries, workspace: Workspace) {
    let n = new.count
    let scratch = workspace.scope()
    let training = training.thinned(to: Self.maximumTrainingTokens, dimension: dimension, in: scratch)
    precondition(n >= 0, "cannot insert \(n) rows")
    guard n > 0 else { return }
    let apart = OutlierRows.find(
      keys: new.keys, values: new.values, count: n, dimension: dimension, workspace: workspace)
    let clusters = insertClusters(
      new.separating(apart, workspace: workspace), training: training, workspace: workspace)
    appendOutliers(apart.count, clusters: clusters)
    commitSegment(rows: n, clusters: clusters)
    if draft == nil { updateExactTolerance(all: all, training: training, workspace: workspace) }
  }

  /// Appends the clusters of new rows, at least one, and returns how many.
  private func insertClusters(_ new: NewRows, training: TrainingQueries, workspace: Workspace) -> Int {
    let scratch = workspace.scope()
    let n = new.count
    let d = dimension
    let kernels = workspace.kernels
    let points = unsafe scratch.list(n * d)
    unsafe kernels.unsafeUnpack(new.keys, rowCount: n, dimension: d, target: points.base, targetStride: d)
    let whitened = unsafe scratch.list(n * d)
    let maps = maps(training: training, in: scratch)
    center(points, workspace: workspace)
    map(points, by: maps.keys, workspace: workspace, result: whitened)

    let seed = build.seed &+ UInt64(segmentCount)
    let (assignments, clusters) = unsafe KMeans.cluster(
      whitened.rows(dimension: d), clusterCount: max(1, n / max(1, build.clusterSize)),
      iterations: build.iterations, seed: seed, in: scratch)
    let firstGroup = groups.count
    unsafe groupClusters(
      whitened.rows(dimension: d), assignments: ListView(assignments, count: n), clusters: clusters,
      seed: seed, workspace: workspace)
    unsafe new.sort(by: assignments, groups: clusters, workspace: workspace) {
      starts.append(UInt32(rowCount) + $0)
    }
    unsafe kernels.unsafeUnpack(new.keys, rowCount: n, dimension: d, target: points.base, targetStride: d)
    unsafe learn(
      points: points.base, values: new.values, firstGroup: firstGroup, training: training,
      workspace: workspace)
    if build.usesCodes { encode(points, clusters: clusters, maps: maps, workspace: workspace) }
    return clusters
  }

  /// Tokens whose queries are learned from. More cost time, in proportion, and do not lower the error of real heads.
  static let maximumTrainingTokens = 128

  /// Subtracts the mean key: a constant shift of all keys changes no distance, and smaller numbers lose less.
  private func center(_ points: ListView<Float>, workspace: Workspace) {
    let scratch = workspace.scope()
    let d = dimension
    let n = points.count / d
    let mean = unsafe scratch.floats(d)
    unsafe mean.update(repeating: 0, count: d)
    for i in 0..<n {
      unsafe workspace.kernels.unsafeAddScaled(points.base + i * d, by: 1 / Float(n), to: mean, count: d)
    }
    for i in 0..<n {
      unsafe workspace.kernels.unsafeAddScaled(mean, by: -1, to: points.base + i * d, count: d)
    }
  }

  /// Maps rows `[count, d]` to the queries' geometry.
  private func map(
    _ points: ListView<Float>, by keyMap: ListView<Float>, workspace: Workspace, result: ListView<Float>
  ) {
    let scratch = workspace.scope()
    let d = dimension
    unsafe workspace.kernels.unsafeGEMM(
      points.matrix(rows: points.count / d, columns: d), keyMap.matrix(rows: d, columns: d).transposed,
      into: result.base, scratch: scratch.floats(Kernels.gemmScratchCount))
  }

  /// `[d, d]` each.
  private typealias Maps = (keys: ListView<Float>, queries: ListView<Float>)

  /// The map of keys that codes were learned with, or new maps of keys and queries.
  private func maps(training: TrainingQueries, in scratch: borrowing Scratch) -> Maps {
    let size = dimension * dimension
    let maps = unsafe (keys: scratch.list(size), queries: scratch.list(size))
    if codes.isTrained {
      unsafe scratch.kernels.unsafeConvertFromFloat16(codes.keyMap.base, maps.keys.base, count: size)
    } else if let draft, draft.takeMap(into: maps.keys) {
      return maps
    } else {
      unsafe QueryGeometry.maps(
        queries: training.queries, count: training.count, dimension: dimension, workspace: scratch.workspace,
        keyMap: maps.keys.base, queryMap: maps.queries.base)
      draft?.setMap(maps.keys)
    }
    return maps
  }

  /// Codes of the new rows: `points` are their keys in f32, in cluster order, and are replaced.
  private func encode(
    _ points: ListView<Float>, clusters: Int, maps: Maps, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let d = dimension
    let centroid = unsafe scratch.floats(d)
    for c in clusterCount..<clusterCount + clusters {
      unsafe workspace.kernels.unsafeConvertFromFloat16(centroids.base + c * d, centroid, count: d)
      for i in Int(starts[c]) - rowCount..<Int(starts[c + 1]) - rowCount {
        unsafe workspace.kernels.unsafeAddScaled(centroid, by: -1, to: points.base + i * d, count: d)
      }
    }
    let n = points.count / d
    let residuals = unsafe scratch.list(n * d)
    if !codes.isTrained {
      map(points, by: maps.keys, workspace: workspace, result: residuals)
      unsafe codes.train(
        residuals: residuals.base, count: n, keyMap: maps.keys.base, queryMap: maps.queries.base,
        kernels: workspace.kernels)
      unsafe workspace.kernels.unsafeConvertFromFloat16(codes.keyMap.base, maps.keys.base, count: d * d)
    }
    map(points, by: maps.keys, workspace: workspace, result: residuals)
    unsafe codes.append(residuals: residuals.base, count: n, kernels: workspace.kernels)
  }
}

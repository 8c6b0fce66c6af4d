// Which list a key joins: learned from the queries that reach it, and balanced.

import AttentionKernels

/// Rounds of re-assignment after IRLI (arXiv 2103.09944) over the rows of one segment.
///
/// A key's relevance vector is the attention that each training query pays it. Its choices are the nearest lists in
/// the geometry of the queries, and the best of them is where most of that attention would be found: the sum over
/// queries of the key's attention times the query's estimated share for the list. IRLI sends a key to the least
/// loaded of its choices, every time, and lets a network learn the new lists. A mean cannot follow that, and finds less
/// than nearest centroids do, the less the more choices there are. So here load decides only when it must: a full list
/// is no choice, and keys choose in the order of the attention they get. The keys that matter then share lists, and
/// those that nobody asks for fill what is left.
@safe struct BalancedAssignment {
  /// Keys `[count, d]`.
  let points: UnsafePointer<Float>
  /// The same in the geometry of the queries `[count, d]`.
  let whitened: UnsafePointer<Float>
  let count: Int
  let dimension: Int
  let listCount: Int
  let choices: Int
  let training: TrainingQueries
  let workspace: Workspace

  /// Keys whose scores for all lists are computed together.
  private static let blockSize = 256

  /// Most keys of a list. All lists together have room for every key.
  private var capacity: Int {
    Int((IVFIndex.balanceLimit * Double(count) / Double(listCount)).rounded(.up))
  }

  /// Improves assignments `[count]` to lists below `listCount` and returns the number of lists that are then not
  /// empty, numbered without gaps.
  func improve(_ assignments: UnsafeMutablePointer<UInt32>, rounds: Int) -> Int {
    let scratch = workspace.scope()
    let order = unsafe orderByRelevance(in: scratch)
    let lists = Lists(count: listCount, dimension: dimension, queryCount: training.count, in: scratch)
    for _ in 0..<rounds {
      unsafe updateCentroids(of: lists, assignments)
      measureReach(of: lists)
      unsafe assign(order, assignments, to: lists)
    }
    return unsafe KMeans.renumber(assignments, count: count, clusterCount: listCount, workspace: workspace)
  }

  /// What a round knows of lists.
  @safe private struct Lists {
    /// `[lists, d]`: means of the whitened keys.
    let centroids: UnsafeMutablePointer<Float>
    /// `[lists]`: half their squared lengths.
    let halfNorms: UnsafeMutablePointer<Float>
    /// `[lists, d]`: means of the keys.
    let means: UnsafeMutablePointer<Float>
    /// `[queries, lists]`: estimated shares of attention.
    let reach: UnsafeMutablePointer<Float>

    init(count: Int, dimension: Int, queryCount: Int, in scratch: borrowing Scratch) {
      unsafe centroids = scratch.floats(count * dimension)
      unsafe halfNorms = scratch.floats(count)
      unsafe means = scratch.floats(count * dimension)
      unsafe reach = scratch.floats(queryCount * count)
    }
  }

  /// Rows in the order in which they choose: those of most attention first.
  private func orderByRelevance(in result: borrowing Scratch) -> UnsafeMutablePointer<UInt32> {
    let order = unsafe result.indices(count)
    for i in 0..<count { unsafe order[i] = UInt32(i) }
    guard training.count > 0 else { return unsafe order }
    let scratch = workspace.scope()
    let totals = unsafe scratch.floats(count)
    for first in stride(from: 0, to: count, by: Self.blockSize) {
      let rows = min(Self.blockSize, count - first)
      let scratch = workspace.scope()
      let relevance = unsafe relevance(of: points + first * dimension, rows: rows, in: scratch)
      for i in 0..<rows {
        var total: Float = 0
        for t in 0..<training.count { unsafe total += relevance[i * training.count + t] }
        unsafe totals[first + i] = total
      }
    }
    var rows = unsafe UnsafeMutableBufferPointer(start: order, count: count)
    unsafe rows.sort {
      let (a, b) = unsafe (totals[Int($0)], totals[Int($1)])
      return a > b || (a == b && $0 < $1)
    }
    return unsafe order
  }

  /// Attention weights of up to ``blockSize`` keys `[rows, d]` for the training queries, `[rows, queries]`.
  private func relevance(of keys: UnsafePointer<Float>, rows: Int, in result: borrowing Scratch)
    -> UnsafeMutablePointer<Float>
  {
    let d = dimension
    let queries = training.count
    let weights = unsafe result.floats(rows * queries)
    let scratch = workspace.scope()
    unsafe workspace.kernels.unsafeGEMM(
      FloatMatrix(keys, rows: rows, columns: d),
      FloatMatrix(training.queries, rows: queries, columns: d).transposed, into: weights,
      scratch: scratch.floats(Kernels.gemmScratchCount))
    for i in 0..<rows {
      let row = unsafe weights + i * queries
      // A query that was moved to another position may see more here than it saw in all; a share stays a share.
      for t in 0..<queries { unsafe row[t] = min(0, row[t] - training.logSumExps[t]) }
    }
    unsafe workspace.kernels.unsafeExp(weights, weights, count: rows * queries)
    return unsafe weights
  }

  /// Means of each list's keys, in both geometries, and half the squared lengths of the whitened ones.
  private func updateCentroids(of lists: Lists, _ assignments: UnsafePointer<UInt32>) {
    let scratch = workspace.scope()
    let d = dimension
    let kernels = workspace.kernels
    let (centroids, means) = unsafe (lists.centroids, lists.means)
    let counts = unsafe scratch.indices(listCount)
    unsafe centroids.update(repeating: 0, count: listCount * d)
    unsafe means.update(repeating: 0, count: listCount * d)
    unsafe counts.update(repeating: 0, count: listCount)
    for i in 0..<count {
      let list = unsafe Int(assignments[i])
      unsafe counts[list] += 1
      unsafe kernels.unsafeAddScaled(whitened + i * d, by: 1, to: centroids + list * d, count: d)
      unsafe kernels.unsafeAddScaled(points + i * d, by: 1, to: means + list * d, count: d)
    }
    for list in 0..<listCount {
      if unsafe counts[list] == 0 {
        // An empty list begins anew at some key.
        let row = list * count / listCount
        unsafe (centroids + list * d).update(from: whitened + row * d, count: d)
        unsafe (means + list * d).update(from: points + row * d, count: d)
        unsafe counts[list] = 1
      }
      unsafe kernels.unsafeScale(centroids + list * d, by: 1 / Float(counts[list]), count: d)
      unsafe kernels.unsafeScale(means + list * d, by: 1 / Float(counts[list]), count: d)
    }
    unsafe KMeans.halfNorms(of: centroids, count: listCount, dimension: d, into: lists.halfNorms)
  }

  /// The training queries' estimated shares of attention for the lists, `[queries, lists]`: the softmax of their
  /// scores with the mean keys. Lists are of about one size, which therefore drops out.
  private func measureReach(of lists: Lists) {
    let scratch = workspace.scope()
    guard training.count > 0 else { return }
    let d = dimension
    let kernels = workspace.kernels
    let reach = unsafe lists.reach
    unsafe kernels.unsafeGEMM(
      FloatMatrix(training.queries, rows: training.count, columns: d),
      FloatMatrix(lists.means, rows: listCount, columns: d).transposed, into: reach,
      scratch: scratch.floats(Kernels.gemmScratchCount))
    for t in 0..<training.count {
      let row = unsafe reach + t * listCount
      var highest = unsafe row[0]
      for list in 0..<listCount { highest = unsafe max(highest, row[list]) }
      for list in 0..<listCount { unsafe row[list] -= highest }
      unsafe kernels.unsafeExp(row, row, count: listCount)
      var total: Float = 0
      for list in 0..<listCount { unsafe total += row[list] }
      unsafe kernels.unsafeScale(row, by: 1 / total, count: listCount)
    }
  }

  /// Lets every row choose a list, in `order`.
  private func assign(
    _ order: UnsafePointer<UInt32>, _ assignments: UnsafeMutablePointer<UInt32>, to lists: Lists
  ) {
    let scratch = workspace.scope()
    let d = dimension
    let kernels = workspace.kernels
    let gathered = unsafe scratch.floats(Self.blockSize * d)
    let gatheredKeys = unsafe scratch.floats(Self.blockSize * d)
    let scores = unsafe scratch.floats(Self.blockSize * listCount)
    let captured = unsafe scratch.floats(Self.blockSize * listCount)
    let kernelScratch = unsafe scratch.floats(Kernels.gemmScratchCount)
    let loads = unsafe scratch.indices(listCount)
    unsafe loads.update(repeating: 0, count: listCount)
    for first in stride(from: 0, to: count, by: Self.blockSize) {
      let rows = min(Self.blockSize, count - first)
      for i in 0..<rows {
        let row = unsafe Int(order[first + i])
        unsafe (gathered + i * d).update(from: whitened + row * d, count: d)
        unsafe (gatheredKeys + i * d).update(from: points + row * d, count: d)
      }
      unsafe kernels.unsafeGEMM(
        FloatMatrix(gathered, rows: rows, columns: d),
        FloatMatrix(lists.centroids, rows: listCount, columns: d).transposed, into: scores,
        scratch: kernelScratch)
      if training.count > 0 {
        let scratch = workspace.scope()
        let relevance = unsafe relevance(of: gatheredKeys, rows: rows, in: scratch)
        unsafe kernels.unsafeGEMM(
          FloatMatrix(relevance, rows: rows, columns: training.count),
          FloatMatrix(lists.reach, rows: training.count, columns: listCount), into: captured,
          scratch: kernelScratch)
      } else {
        unsafe captured.update(repeating: 0, count: rows * listCount)
      }
      for i in 0..<rows {
        let proximity = unsafe scores + i * listCount
        unsafe kernels.unsafeAddScaled(lists.halfNorms, by: -1, to: proximity, count: listCount)
        let list = unsafe choose(proximity: proximity, captured: captured + i * listCount, loads: loads)
        unsafe loads[list] += 1
        unsafe assignments[Int(order[first + i])] = UInt32(list)
      }
    }
  }

  /// The list with room that captures most attention, among the nearest ones; if they are full, the nearest that
  /// has room.
  private func choose(
    proximity: UnsafePointer<Float>, captured: UnsafePointer<Float>, loads: UnsafePointer<UInt32>
  ) -> Int {
    let scratch = workspace.scope()
    let limit = max(1, min(choices, listCount))
    let candidates = unsafe scratch.indices(limit)
    let capacity = capacity
    let found = unsafe HighestScores.select(limit, of: proximity, count: listCount, into: candidates)
    var best: Int?
    for i in 0..<found {
      let list = unsafe Int(candidates[i])
      guard unsafe loads[list] < capacity else { continue }
      guard let other = best else {
        best = list
        continue
      }
      let (gain, otherGain) = unsafe (captured[list], captured[other])
      if unsafe gain > otherGain || (gain == otherGain && proximity[list] > proximity[other]) { best = list }
    }
    if let best { return best }
    for list in 0..<listCount where unsafe loads[list] < capacity {
      if best.map({ unsafe proximity[list] > proximity[$0] }) ?? true { best = list }
    }
    guard let best else {
      preconditionFailure("\(listCount) lists of \(capacity) hold no \(count) keys")
    }
    return best
  }
}

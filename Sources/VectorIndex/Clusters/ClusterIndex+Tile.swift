// Reading a prompt: clusters are chosen once for the queries of many tokens, and read whole.

package import AttentionKernels
import Platform

/// The queries of a tile of a prompt, and what is known of the keys that they see.
///
/// A view of memory that is valid while a tile is worked on.
@safe package struct TileQueries {
  /// `[count, d]`, scaled as for attention.
  let queries: FloatRows
  /// `[count]`: maxima and sums of softmax over keys that are attended to in any case, and over the clusters that were
  /// scored so far.
  let maxima: UnsafeMutablePointer<Float>
  let sums: UnsafeMutablePointer<Float>

  package init(queries: FloatRows, maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>) {
    self.queries = queries
    unsafe self.maxima = maxima
    unsafe self.sums = sums
  }

  var count: Int { queries.count }
}

/// What a tile reads of an index: rows, and estimates of everything else.
///
/// It lies in the scope that it was made in, and is good for as long.
package struct TileChoice {
  /// Rows to attend to, rising.
  let rows: ListView<UInt32>
  /// Clusters that their centroids and mean values stand for.
  let clusters: ListView<UInt32>
  /// Logarithms of how many keys they have.
  let logCounts: ListView<Float>

  /// Keys that are read, and estimates, which cost as much as a key each.
  package var readCount: Int { rows.count + clusters.count }
}

extension ClusterIndex {
  /// Scores all clusters for a tile's queries and adds their masses to what is known of other keys.
  ///
  /// Added are the masses `n exp(q.mu)` of n keys at the centroid mu. By Jensen's inequality a cluster has no less, so
  /// that what is read keeps its share. Learned masses can be far too high where scores within a cluster lie far apart.
  ///
  /// - Returns: learned log masses `[tile.count, clusterCount]`, in `scratch`.
  package func score(_ tile: TileQueries, in scratch: borrowing Scratch) -> ListView<Float> {
    let (d, kernels) = (dimension, scratch.kernels)
    let scores = unsafe scratch.list(tile.count * clusterCount)
    let biases = unsafe scratch.list(clusterCount)
    for cluster in 0..<clusterCount { biases[cluster] = logMass[cluster] - logCounts[cluster] }
    unsafe kernels.unsafeDot(
      tile.queries, with: PackedRows(centroids.base, stride: d), .first(clusterCount), scores: scores.base)
    for query in 0..<tile.count {
      let row = unsafe scores.base + query * clusterCount
      unsafe kernels.unsafeAddScaled(logCounts.base, by: 1, to: row, count: clusterCount)
      unsafe kernels.unsafeAddMass(
        row, count: clusterCount, maximum: tile.maxima + query, sum: tile.sums + query)
      unsafe kernels.unsafeAddScaled(biases.base, by: 1, to: row, count: clusterCount)
    }
    return scores
  }

  /// Chooses the clusters that are worth reading for a tile.
  ///
  /// A cluster is worth the root mean square, over the tile's queries, of its share of their attention, raised by its
  /// spread, times what an estimate of it costs for each key. The square is that of the error: a cluster that one query
  /// of many needs must not be lost among those that do not.
  ///
  /// - Parameters:
  ///   - scores: from ``score(_:in:)``, with all indexes of the rows scored by now; they are overwritten.
  ///   - tolerance: what a cluster must be worth to be read.
  /// - Returns: lists in `scratch`.
  package func choose(
    _ scores: ListView<Float>, for tile: TileQueries, tolerance: Float, in scratch: borrowing Scratch
  ) -> TileChoice {
    let (rows, left) = unsafe (scratch.rows(rowCount), scratch.rows(clusterCount))
    let (worths, leftLogCounts) = unsafe (scratch.list(clusterCount), scratch.list(clusterCount))
    judge(scores, for: tile, into: worths, kernels: scratch.kernels)
    var (taken, leftCount, run) = (0, 0, 0)
    for cluster in 0..<clusterCount {
      let members = clusterRows(cluster, run: &run)
      var begin = members.lowerBound
      if worths[cluster] < tolerance {
        left[leftCount] = UInt32(cluster)
        leftLogCounts[leftCount] = logCounts[cluster]
        leftCount += 1
        begin = members.upperBound
      }
      // Outliers, behind the last cluster of a segment, are read in any case.
      for row in begin..<Int(starts[cluster + 1]) {
        rows[taken] = UInt32(row)
        taken += 1
      }
    }
    guard Float(taken) < Self.mostRead * Float(rowCount) else {
      for row in 0..<rowCount { rows[row] = UInt32(row) }
      return TileChoice(rows: rows, clusters: left.first(0), logCounts: leftLogCounts.first(0))
    }
    return TileChoice(
      rows: rows.first(taken), clusters: left.first(leftCount), logCounts: leftLogCounts.first(leftCount))
  }

  /// When more than this share of the rows would be read, all are, with no error.
  private static let mostRead: Float = 0.75

  /// What each cluster is worth, `[clusterCount]`.
  private func judge(
    _ scores: ListView<Float>, for tile: TileQueries, into worths: ListView<Float>, kernels: Kernels
  ) {
    worths.fill(0)
    unsafe kernels.unsafeScale(scores.base, by: 2, count: scores.count)
    for query in 0..<tile.count {
      let perSpread =
        unsafe search.spreadFactor * vectorNorm(tile.queries[query], dimension: dimension)
      // Squares of shares: all exponents are doubled.
      unsafe kernels.unsafeAddShares(
        scores.base + query * clusterCount, spreads: spread.base, count: clusterCount,
        logTotal: 2 * (tile.maxima[query] + log(tile.sums[query])),
        raise: SpreadRaise(perSpread: 2 * perSpread, most: 2 * Self.maximumLogFactor), to: worths.base)
      if perSpread * highestSpread > Self.blindLogFactor {
        for c in 0..<clusterCount where unsafe perSpread * spread.base[c] > Self.blindLogFactor {
          worths[c] = .infinity
        }
      }
    }
    for c in 0..<clusterCount { worths[c] = (worths[c] / Float(tile.count)).squareRoot() * gain[c] }
  }

  /// Adds the attention of a tile's queries `[states.count, dimension]`, each multiplied by `scale`, to the rows of a
  /// choice and to the estimates of all others.
  package func attend(
    _ queries: FloatRows, scale: Float, to choice: TileChoice, of rows: IndexRows, states: StatePointers,
    workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let count = queries.count
    let (begins, ends) = unsafe (scratch.indices(count), scratch.indices(count))
    unsafe begins.update(repeating: 0, count: count)
    unsafe ends.update(repeating: .max, count: count)
    let kernelScratch = unsafe scratch.floats(Kernels.prefillScratchCount(dimension: dimension))
    func read(_ selected: ListView<UInt32>, of rows: KeyValueRows, biases: UnsafePointer<Float>?) {
      guard !selected.isEmpty else { return }
      unsafe workspace.kernels.unsafePrefill(
        queries, scale: scale, to: rows,
        visible: VisibleKeys(begins: begins, ends: ends, of: .listed(selected), biases: biases),
        states: states, scratch: kernelScratch)
    }
    read(choice.rows, of: rows.keyValues, biases: nil)
    let estimates = unsafe KeyValueRows(
      keys: PackedRows(centroids.base, stride: dimension),
      values: PackedRows(meanValues.base, stride: dimension))
    unsafe read(choice.clusters, of: estimates, biases: choice.logCounts.base)
  }
}

// Reading a prompt: clusters are chosen once for the queries of many tokens, and read whole.

package import AttentionKernels
import Platform

/// A few queries that stand for those of a tile of a prompt, and what is known of the keys that they see.
///
/// A view of memory that is valid while a tile is worked on.
@safe package struct TileSample {
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

/// What a tile of a prompt reads of an index: rows, and estimates of everything else.
///
/// It lies in the scope that it was made in, and is good for as long.
package struct TileChoice {
  /// Rows to attend to, rising.
  let rows: ListView<UInt32>
  /// Clusters that an estimate stands for, and groups of which it stands for all clusters.
  let clusters: ListView<UInt32>
  let groups: ListView<UInt32>

  /// Keys that are read, and estimates, which cost as much as a key each.
  package var readCount: Int { rows.count + clusters.count + groups.count }
}

extension ClusterIndex {
  /// Scores all clusters for a sample of queries and adds their estimated masses to what is known of other keys.
  ///
  /// - Returns: estimated log masses `[sample.count, clusterCount]`, in `scratch`.
  package func score(_ sample: TileSample, in scratch: borrowing Scratch) -> ListView<Float> {
    let (d, kernels) = (dimension, scratch.kernels)
    let scores = unsafe scratch.list(sample.count * clusterCount)
    unsafe kernels.unsafeDot(
      sample.queries, with: PackedRows(centroids.base, stride: d), .first(clusterCount), scores: scores.base)
    for query in 0..<sample.count {
      let row = unsafe scores.base + query * clusterCount
      unsafe kernels.unsafeAddScaled(logMass.base, by: 1, to: row, count: clusterCount)
      unsafe kernels.unsafeAddMass(
        row, count: clusterCount, maximum: sample.maxima + query, sum: sample.sums + query)
    }
    return scores
  }

  /// Chooses the clusters that are worth reading for a tile.
  ///
  /// A cluster is worth the root mean square, over the sample's queries, of its share of their attention, raised by its
  /// spread, times what an estimate of it costs for each key. The square is that of the error: a cluster that one query
  /// of many needs must not be lost among those that do not.
  ///
  /// - Parameters:
  ///   - scores: from ``score(_:in:)``, with all indexes of the rows scored by now; they are overwritten.
  ///   - tolerance: what a cluster must be worth to be read.
  package func choose(
    _ scores: ListView<Float>, for sample: TileSample, tolerance: Float, in scratch: borrowing Scratch
  ) -> TileChoice {
    let (rows, room) = unsafe (scratch.rows(rowCount), scratch.rows(clusterCount + groups.count))
    let worths = unsafe scratch.list(clusterCount)
    judge(scores, for: sample, into: worths, kernels: scratch.kernels)
    var (rowsTaken, clustersLeft, groupsLeft) = (0, 0, 0)
    let (left, leftGroups) = (room.first(clusterCount), room.from(clusterCount))
    var run = 0
    for group in 0..<groups.count {
      let members = Int(groups.starts[group])..<Int(groups.starts[group + 1])
      // One estimate for all, where none of them is nearly worth reading.
      let isWhole = members.allSatisfy { worths[$0] < tolerance * search.expansion }
      if isWhole {
        leftGroups[groupsLeft] = UInt32(group)
        groupsLeft += 1
      }
      for cluster in members {
        let begin = Int(starts[cluster])
        var end = Int(starts[cluster + 1])
        // Outliers, behind the last cluster of a segment, are read in any case.
        var apart = end..<end
        if run < outliers.count, outliers.cluster(run) == cluster {
          apart = outliers.begin(run)..<end
          end = apart.lowerBound
          run += 1
        }
        if !(worths[cluster] < tolerance) {
          for row in begin..<end { unsafe rows.base[rowsTaken + row - begin] = UInt32(row) }
          rowsTaken += end - begin
        } else if !isWhole {
          left[clustersLeft] = UInt32(cluster)
          clustersLeft += 1
        }
        for row in apart {
          rows[rowsTaken] = UInt32(row)
          rowsTaken += 1
        }
      }
    }
    guard Float(rowsTaken) < Self.mostRead * Float(rowCount) else {
      for row in 0..<rowCount { unsafe rows.base[row] = UInt32(row) }
      return TileChoice(rows: rows, clusters: room.first(0), groups: room.first(0))
    }
    return TileChoice(
      rows: rows.first(rowsTaken), clusters: left.first(clustersLeft), groups: leftGroups.first(groupsLeft))
  }

  /// When more than this share of the rows would be read, all are, with no error.
  private static let mostRead: Float = 0.75

  /// What each cluster is worth, `[clusterCount]`.
  private func judge(
    _ scores: ListView<Float>, for sample: TileSample, into worths: ListView<Float>, kernels: Kernels
  ) {
    worths.fill(0)
    unsafe kernels.unsafeScale(scores.base, by: 2, count: scores.count)
    for query in 0..<sample.count {
      let perSpread =
        unsafe search.spreadFactor * vectorNorm(sample.queries[query], dimension: dimension)
      // Squares of shares: all exponents are doubled.
      unsafe kernels.unsafeAddShares(
        scores.base + query * clusterCount, spreads: spread.base, count: clusterCount,
        logTotal: 2 * (sample.maxima[query] + log(sample.sums[query])),
        raise: SpreadRaise(perSpread: 2 * perSpread, most: 2 * Self.maximumLogFactor), to: worths.base)
      if perSpread * highestSpread > Self.blindLogFactor {
        for c in 0..<clusterCount where unsafe perSpread * spread.base[c] > Self.blindLogFactor {
          worths[c] = .infinity
        }
      }
    }
    for c in 0..<clusterCount { worths[c] = (worths[c] / Float(sample.count)).squareRoot() * gain[c] }
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
    let biases = unsafe scratch.list(max(choice.clusters.count, choice.groups.count))
    let kernelScratch = unsafe scratch.floats(Kernels.prefillScratchCount(dimension: dimension))
    func read(_ selected: ListView<UInt32>, _ keyValues: KeyValueRows, masses: UnsafePointer<Float>? = nil) {
      guard !selected.isEmpty else { return }
      if let masses = unsafe masses {
        for (i, number) in selected.enumerated() { biases[i] = unsafe masses[Int(number)] }
      }
      unsafe workspace.kernels.unsafePrefill(
        queries, scale: scale, to: keyValues,
        visible: VisibleKeys(
          begins: begins, ends: ends, of: .listed(selected), biases: masses == nil ? nil : biases.base),
        states: states, scratch: kernelScratch)
    }
    read(choice.rows, rows.keyValues)
    unsafe read(
      choice.clusters, estimates(centroids.base, meanValues.base), masses: logMass.base)
    unsafe read(
      choice.groups, estimates(groups.centroids.base, groups.meanValues.base), masses: groups.logMass.base)
  }

  /// Centroids and mean values as if they were keys and values.
  private func estimates(
    _ centroids: UnsafePointer<UInt16>, _ meanValues: UnsafePointer<UInt16>
  ) -> KeyValueRows {
    unsafe KeyValueRows(
      keys: PackedRows(centroids, stride: dimension), values: PackedRows(meanValues, stride: dimension))
  }
}

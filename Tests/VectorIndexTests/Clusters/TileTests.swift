// Clusters chosen for a tile of a prompt: what is read, what stands for the rest, and how far the answers are off.

import AttentionKernels
import Foundation
import Testing

@testable import VectorIndex

@Suite struct TileTests {
  private func indexed(rows: Int, dimension: Int, seed: UInt64) -> (SyntheticHead, IndexedRows<ClusterIndex>)
  {
    let head = SyntheticHead(rows: rows, dimension: dimension, seed: seed)
    let store = IndexedRows(keys: head.keys, values: head.values, dimension: dimension)
    let training = store.train(head.queries(64, seed: seed))
    // In two parts, as a text grows.
    store.insert(rows * 2 / 3, training: training)
    store.insert(rows - rows * 2 / 3, training: training)
    return (head, store)
  }

  @Test func toleranceZeroReadsAll() {
    let (head, store) = indexed(rows: 1500, dimension: 64, seed: 61)
    let queries = head.queries(40, seed: 62)
    let (found, choice) = store.read(queries, tolerance: 0)
    let expected = store.reference(queries)
    #expect(choice == TileCounts(rows: 1500, clusters: 0))
    #expect(expected.largestDifference(from: found) < Tolerance.exact)
    #expect(expected.logSumExpErrors(of: found).allSatisfy { $0 < Tolerance.exactLogSumExp })
  }

  @Test(arguments: [UInt64(63), 64, 65])
  func lowerTolerancesReadMoreAndErrLess(seed: UInt64) {
    let (head, store) = indexed(rows: 3000, dimension: 64, seed: seed)
    let queries = head.queries(96, seed: seed + 100)
    let expected = store.reference(queries)
    var (lastError, lastRows) = (Double.infinity, -1)
    for (tolerance, bound) in [(Float(1e9), 0.85), (1e-2, 0.65), (1e-3, 0.06), (1e-4, 0.01)] {
      let (found, choice) = store.read(queries, tolerance: tolerance)
      let error = mean(expected.relativeErrors(of: found))
      #expect(error < bound, "\(error) at \(tolerance)")
      #expect(error <= lastError, "\(tolerance)")
      #expect(choice.rows >= lastRows)
      (lastError, lastRows) = (error, choice.rows)
    }
  }

  /// By Jensen's inequality: what stands for the rest never has more of the attention than the rest itself.
  @Test(arguments: [Float(1e9), 1e-2, 1e-3], [Float(0.1), 6])
  func estimatesTakeNothingFromWhatIsRead(tolerance: Float, sharpness: Float) {
    let (head, store) = indexed(rows: 2000, dimension: 64, seed: 66)
    // Unlike those that the index has learned from: to queries that see all keys alike, what it has learned of them
    // would give clusters too much.
    let queries = head.queries(64, seed: 67).map { $0 * sharpness }
    let (found, choice) = store.read(queries, tolerance: tolerance)
    let expected = store.reference(queries)
    #expect(tolerance < 1 || choice.rows == 0)
    for (estimate, exact) in zip(found.logSumExps, expected.logSumExps) {
      #expect(estimate <= exact + 0.01 + 1e-3 * abs(exact))
    }
  }

  /// Outliers are in no cluster: they are read whatever the tolerance is, and no estimate counts them.
  @Test func outliersAreReadAndNotEstimated() {
    let head = OutlierHead(rows: 1200, outliers: 6, magnitude: 30)
    let store = head.indexed(ClusterIndex(dimension: OutlierHead.dimension))
    #expect(store.index.outlierCount > 0)
    let (found, choice) = store.read(head.queries, tolerance: 1e9)
    #expect(choice == TileCounts(rows: store.index.outlierCount, clusters: store.index.clusterCount))
    let expected = store.reference(head.queries)
    #expect(mean(expected.relativeErrors(of: found)) < 0.5)
    for (estimate, exact) in zip(found.logSumExps, expected.logSumExps) {
      #expect(estimate <= exact + 0.01 * abs(exact))
    }
  }
}

/// How many rows and estimates a tile read.
private struct TileCounts: Equatable {
  var rows: Int
  var clusters: Int
}

extension IndexedRows where Index == ClusterIndex {
  /// What a tile that is these queries, scaled, reads of the index, and nothing else.
  fileprivate func read(_ queries: [Float], tolerance: Float) -> (attention: Attention, choice: TileCounts) {
    let (d, count) = (dimension, queries.count / dimension)
    let scratch = workspace.scope()
    let own = scratch.floats(queries.count)
    own.update(from: queries, count: queries.count)
    let (maxima, sums) = (scratch.floats(count), scratch.floats(count))
    maxima.update(repeating: -.infinity, count: count)
    sums.update(repeating: 0, count: count)
    let states = StatePointers(count: count, dimension: d, in: scratch)
    let tile = TileQueries(
      queries: FloatRows(own, count: count, dimension: d), maxima: maxima, sums: sums)
    let scores = index.score(tile, in: scratch)
    let choice = index.choose(scores, for: tile, tolerance: tolerance, in: scratch)
    withRows {
      index.attend(tile.queries, scale: 1, to: choice, of: $0, states: states, workspace: workspace)
    }
    var result = Attention()
    for query in 0..<count {
      let total = Double(states.sums[query])
      result.outputs.append((0..<d).map { Double(states.accumulators[query * states.stride + $0]) / total })
      result.logSumExps.append(Double(states.maxima[query]) + log(total))
    }
    return (result, TileCounts(rows: choice.rows.count, clusters: choice.clusters.count))
  }
}

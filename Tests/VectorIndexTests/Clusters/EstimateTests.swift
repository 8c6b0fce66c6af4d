// What decoding takes clusters for that it does not look into.

import AttentionKernels
import Foundation
import Testing

@testable import VectorIndex

@Suite struct EstimateTests {
  /// - Parameter sharpness: by how much longer than usual the queries are that the index learns from.
  private func indexed(rows: Int, sharpness: Float = 1, seed: UInt64) -> (
    SyntheticHead, IndexedRows<ClusterIndex>
  ) {
    let head = SyntheticHead(rows: rows, dimension: 64, seed: seed)
    let store = IndexedRows(keys: head.keys, values: head.values, dimension: 64)
    store.insert(rows, training: store.train(head.queries(64, seed: seed).map { $0 * sharpness }))
    return (head, store)
  }

  /// What was learned from sharp queries is far too much for those that see all keys alike: what they take all keys to
  /// weigh stays within a bound all the same.
  @Test(arguments: [Float(0.1), 1, 6], [0, 512])
  func sharesAreOfLittleMoreThanThereIs(sharpness: Float, minimumGroupedClusters: Int) {
    let (head, store) = indexed(rows: 4000, sharpness: 10, seed: 71)
    let index = store.index
    #expect(
      (0..<index.clusterCount).contains {
        index.logMass[$0] - index.logCounts[$0] > ClusterIndex.maximumBias + 1
      },
      "nothing to bound was learned")
    index.search.minimumGroupedClusters = minimumGroupedClusters
    // Never all rows, even where that is faster.
    index.exactTolerance = 0
    let queries = head.queries(32, seed: 72).map { $0 * sharpness }
    let expected = store.reference(queries).logSumExps
    let found = store.logTotals(queries)
    #expect(found.count == expected.count)
    for (estimate, exact) in zip(found, expected) {
      #expect(estimate <= exact + Double(ClusterIndex.maximumBias) + 0.01 + 1e-3 * abs(exact))
    }
  }

  @Test func whatIsLearnedIsBounded() {
    for sharpness: Float in [1, 10] {
      let index = indexed(rows: 3000, sharpness: sharpness, seed: 74).1.index
      for cluster in 0..<index.clusterCount {
        let bound = index.logCounts[cluster] + ClusterIndex.maximumBias
        #expect(index.logWeights[cluster] == min(index.logMass[cluster], bound))
      }
      for group in 0..<index.groups.count {
        #expect(index.groups.logWeights[group] <= index.groups.logMass[group])
      }
    }
  }

  /// A file has no counts of keys in logarithms: they follow from the rest.
  @Test func countsAreThoseOfTheClusters() throws {
    let (_, store) = indexed(rows: 1500, seed: 73)
    let index = store.index
    #expect(index.logCounts.count == index.clusterCount)
    var (run, sum) = (0, 0.0)
    for cluster in 0..<index.clusterCount {
      #expect(abs(exp(index.logCounts[cluster]) - Float(index.clusterRows(cluster, run: &run).count)) < 1e-2)
      sum += Double(exp(index.logCounts[cluster]))
    }
    #expect(abs(sum - Double(1500 - index.outlierCount)) < 0.5)
    index.removeAll()
    #expect(index.logCounts.count == 0 && index.logWeights.count == 0)
  }
}

extension IndexedRows where Index == ClusterIndex {
  /// What each of these queries, scaled, takes all keys to weigh together.
  fileprivate func logTotals(_ queries: [Float]) -> [Double] {
    (0..<queries.count / dimension).compactMap { number in
      let scratch = workspace.scope()
      let own = scratch.floats(dimension)
      for i in 0..<dimension { own[i] = queries[number * dimension + i] }
      let states = StatePointers(count: 1, dimension: dimension, in: scratch)
      return withRows { rows in
        let plan = index.plan(
          QueryGroup(queries: own, count: 1), rows: rows, states: states, in: scratch, recorder: nil)
        return plan.scan.map { Double($0.logTotals[0]) }
      }
    }
  }
}

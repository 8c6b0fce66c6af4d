// How far the answers are from exact attention, for queries unlike the keys, and how much is read for them.

import Foundation
import Testing

@testable import VectorIndex

@Suite struct ClusterIndexAttendTests {
  private func indexed(
    rows: Int, dimension: Int, seed: UInt64, build: ClusterIndex.BuildParameters = .init()
  ) -> (SyntheticHead, IndexedRows<ClusterIndex>) {
    let head = SyntheticHead(rows: rows, dimension: dimension, seed: seed)
    let store = IndexedRows(keys: head.keys, values: head.values, dimension: dimension, build: build)
    store.insert(rows, training: store.train(head.queries(128, seed: seed)))
    return (head, store)
  }

  /// Whether all rows are read from one end to the other, as they are at that tolerance, or key by key.
  @Test(arguments: [1, 3, 6], [false, true])
  func toleranceZeroIsExact(groupSize: Int, isChosen: Bool) {
    let (head, store) = indexed(rows: 1200, dimension: 64, seed: 21)
    if isChosen { store.index.exactTolerance = -1 }
    let queries = head.queries(groupSize, seed: 99)
    let expected = store.reference(queries)
    let (found, read) = store.attend(queries, search: .with(tolerance: 0))
    #expect(expected.largestDifference(from: found) < Tolerance.exact)
    let errors = expected.logSumExpErrors(of: found)
    #expect(errors.allSatisfy { $0 < Tolerance.exactLogSumExp }, "\(errors)")
    #expect(read.retrieved <= 1200)
    #expect((read.centroids > 0) == isChosen)
  }

  @Test func addsToWhatTheStatesHold() {
    let (head, store) = indexed(rows: 900, dimension: 64, seed: 22)
    let d = 64
    let queries = head.queries(2, seed: 98)
    let rest = store.reference(queries)
    // States that hold one more key, with the mass of all others together and a value of twos.
    var maxima = rest.logSumExps.map { Float($0) }
    var sums: [Float] = [1, 1]
    var accumulators = [Float](repeating: 2, count: 2 * d)
    store.index.search = .with(tolerance: 0)
    _ = store.add(queries, &maxima, &sums, &accumulators)
    for query in 0..<2 {
      let output = accumulators[query * d..<(query + 1) * d].map { Double($0 / sums[query]) }
      let expected = rest.outputs[query].map { ($0 + 2) / 2 }
      let differences = zip(output, expected).map { abs($0 - $1) }
      #expect(differences.allSatisfy { $0 < Tolerance.exact })
    }
  }

  /// Nothing is read: every cluster is estimated, at the cost of its centroid.
  @Test(arguments: [UInt64(31), 32, 33])
  func estimatesAloneStayInBounds(seed: UInt64) {
    var build = ClusterIndex.BuildParameters()
    build.clusterSize = 32
    let (head, store) = indexed(rows: 2048, dimension: 64, seed: seed, build: build)
    let queries = head.queries(32, seed: seed + 500)
    let expected = store.reference(queries)
    var search = ClusterIndex.SearchParameters.with(tolerance: 1e9)
    search.expansion = 0
    let (found, read) = store.attend(queries, search: search)
    #expect(read.retrieved == 0)
    #expect(read.centroids == store.index.clusterCount + store.index.groupCount)
    let error = mean(expected.relativeErrors(of: found))
    let worst = expected.logSumExpErrors(of: found).max() ?? .infinity
    #expect(error < Tolerance.tailMean)
    #expect(worst < Tolerance.unreadLogSumExp)
  }

  /// Queries that ask for one topic leave most groups alone, and the answer stays what it is with all centroids.
  @Test(arguments: [UInt64(34), 35])
  func groupsSaveCentroids(seed: UInt64) {
    let (head, store) = indexed(rows: 12_000, dimension: 64, seed: seed)
    let queries = head.queries(24, seed: seed + 500)
    var centroids = [0, 0]
    var errors = [0.0, 0.0]
    for first in stride(from: 0, to: 24, by: 3) {
      let group = Array(queries[first * 64..<(first + 3) * 64])
      let expected = store.reference(group)
      for (i, expansion) in [0, ClusterIndex.SearchParameters().expansion].enumerated() {
        var search = ClusterIndex.SearchParameters()
        search.expansion = expansion
        search.minimumGroupedClusters = 0
        let (found, read) = store.attend(group, search: search)
        centroids[i] += read.centroids
        errors[i] += expected.relativeErrors(of: found).reduce(0, +) / 24
      }
    }
    #expect(centroids[1] < centroids[0], "\(centroids)")
    #expect(errors[1] < 1.1 * errors[0], "\(errors)")
  }

  /// Each cluster is in one group, and a group's keys are those of its clusters.
  @Test func groupsCoverAllClusters() {
    let (_, store) = indexed(rows: 5000, dimension: 32, seed: 36)
    #expect(store.index.clusterCount > 2 * store.index.groupCount)
    // Estimates of groups alone stand for all rows: with nothing to tell keys apart their mass is the count.
    let zeros = IndexedRows(
      keys: [Float](repeating: 0, count: 5000 * 32), values: [Float](repeating: 1, count: 5000 * 32),
      dimension: 32)
    zeros.insert(3000, training: zeros.train([Float](repeating: 1, count: 32)))
    zeros.insert(2000, training: zeros.train([Float](repeating: 1, count: 32)))
    let query = [Float](repeating: 1, count: 32)
    var search = ClusterIndex.SearchParameters.with(tolerance: 1e9)
    let all = zeros.attend(query, search: search).read
    #expect(
      all.centroids == zeros.index.groupCount + zeros.index.clusterCount, "few clusters are scored one by one"
    )
    search.minimumGroupedClusters = 0
    let (found, read) = zeros.attend(query, search: search)
    #expect(read.centroids == zeros.index.groupCount)
    #expect(zeros.reference(query).logSumExpErrors(of: found)[0] < 1e-3)
  }

  /// Choosing keys by their codes needs less than half of the keys that whole clusters need, for a smaller error.
  @Test func codesSaveReads() {
    let rows = 4096
    var reads: [Int] = []
    var errors: [Double] = []
    for usesCodes in [false, true] {
      var build = ClusterIndex.BuildParameters()
      build.clusterSize = 32
      build.usesCodes = usesCodes
      let (head, store) = indexed(rows: rows, dimension: 64, seed: 43, build: build)
      var (count, sum) = (0, 0.0)
      let queries = head.queries(24, seed: 543)
      for first in stride(from: 0, to: 24, by: 3) {
        let group = Array(queries[first * 64..<(first + 3) * 64])
        let (found, read) = store.attend(group, search: .with(tolerance: usesCodes ? 4e-3 : 7e-4))
        count += read.retrieved
        sum += store.reference(group).relativeErrors(of: found).reduce(0, +)
      }
      reads.append(count)
      errors.append(sum / 24)
    }
    #expect(errors[1] < errors[0])
    #expect(reads[1] < reads[0] / 2, "\(reads) \(errors)")
  }

  /// A stated error for a stated share of the keys. The synthetic heads are few keys and diffuse, so a tolerance
  /// above the default, which suits long contexts, reads what is needed.
  @Test(arguments: [64, 128], [UInt64(41), 42])
  func keepsErrorAndReadsInBounds(dimension: Int, seed: UInt64) {
    let rows = 4096
    let (head, store) = indexed(rows: rows, dimension: dimension, seed: seed)
    let queries = head.queries(24, seed: seed + 500)
    var errors: [Double] = []
    var read = 0
    // Groups of three query heads, as a model would ask.
    for first in stride(from: 0, to: 24, by: 3) {
      let group = Array(queries[first * dimension..<(first + 3) * dimension])
      let (found, count) = store.attend(group, search: .with(tolerance: 2e-3))
      errors += store.reference(group).relativeErrors(of: found)
      read += count.retrieved + count.centroids
    }
    let share = Double(read) / Double(8 * rows)
    let (error, worst) = (mean(errors), errors.max() ?? .infinity)
    #expect(error < Tolerance.boundedMean)
    #expect(worst < Tolerance.boundedWorst)
    #expect(share < Tolerance.boundedShare)
  }

  @Test func lowerToleranceReadsMoreAndErrsLess() {
    let (head, store) = indexed(rows: 3000, dimension: 64, seed: 51)
    let queries = head.queries(3, seed: 551)
    let expected = store.reference(queries)
    var reads: [Int] = []
    var errors: [Double] = []
    for tolerance: Float in [1e9, 1e-2, 1e-3, 1e-4, 1e-5, 0] {
      let (found, read) = store.attend(queries, search: .with(tolerance: tolerance))
      reads.append(read.retrieved)
      errors.append(mean(expected.relativeErrors(of: found)))
    }
    #expect(reads == reads.sorted())
    // Not from step to step, where errors of both signs can cancel, but from one end to the other.
    #expect(errors[5] < 1e-4, "\(errors)")
    #expect(errors[3] < errors[0], "\(errors)")
  }

  @Test(arguments: [1, 31, 100, 500, 3000])
  func maximumRetrievedIsABound(limit: Int) {
    let (head, store) = indexed(rows: 3000, dimension: 64, seed: 61)
    let queries = head.queries(3, seed: 561)
    let (found, read) = store.attend(queries, search: .with(tolerance: 0, maximumRetrieved: limit))
    #expect(read.retrieved <= limit)
    // What is left out is still estimated.
    let errors = store.reference(queries).logSumExpErrors(of: found)
    #expect(errors.allSatisfy { $0 < Tolerance.tailLogSumExp }, "\(errors)")
  }

  /// One key that a query matches far above all others, hidden among diffuse ones, and no training query like it.
  ///
  /// The needle has over 0.9 of the weight, so an estimate by its cluster's mean is plainly wrong: it counts as
  /// found when the output is within 0.1 of exact. An index that learned nothing of such queries may miss it;
  /// the bound says how often.
  @Test func findsMostNeedles() {
    let d = 64
    let n = 2048
    let seeds = 50
    var found = 0
    var leastWeight = 1.0
    for seed in 0..<seeds {
      var generator = SeededGenerator(seed: UInt64(1000 + seed))
      var keys = generator.normals(n * d)
      let values = generator.normals(n * d)
      // Queries to learn from are weak and look in all directions.
      let trainingQueries = generator.normals(96 * d, scale: 0.15)
      let direction = generator.normals(d)
      let norm = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
      let needle = Int.random(in: 0..<n, using: &generator)
      // The needle is as long as other keys, and the query scores it 14; the others have 0 +- 1.75.
      for i in 0..<d { keys[needle * d + i] = direction[i] / norm * 8 }
      let query = direction.map { $0 / norm * 1.75 }
      let store = IndexedRows(keys: keys, values: values, dimension: d)
      store.insert(n, training: store.train(trainingQueries))
      let expected = store.reference(query)
      leastWeight = min(leastWeight, exp(14 - expected.logSumExps[0]))
      let answer = store.attend(query, search: .init()).attention
      if expected.relativeErrors(of: answer)[0] < 0.1 { found += 1 }
    }
    #expect(leastWeight > 0.9, "not a needle")
    #expect(Double(found) >= Tolerance.needleRecall * Double(seeds), "\(found) of \(seeds) needles")
  }
}

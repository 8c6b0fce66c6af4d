// What graphs find for queries unlike the keys, at what cost, and that attention to it is exact.

import Foundation
import Testing
import VectorIndex

@Suite struct GraphIndexAttendTests {
  private func indexed(
    _ head: SyntheticHead, _ build: GraphIndex.BuildParameters, trainingCount: Int = 384, groupSize: Int = 1
  ) throws -> IndexedRows<GraphIndex> {
    let store = try IndexedRows(
      keys: head.keys, values: head.values, dimension: head.dimension, build: build)
    // Links are learned from queries alone.
    let training = Training(queries: head.queries(trainingCount, seed: 1))
    store.insert(head.keys.count / head.dimension, training: training, groupSize: groupSize)
    return store
  }

  @Test func queriesUnlikeKeysNeedTraining() throws {
    let head = SyntheticHead(rows: 6000, dimension: 64, seed: 71)
    let queries = head.queries(48, seed: 72)
    let roar = try indexed(head, .with(.roarGraph)).quality(queries, beamWidth: 150)
    #expect(roar.recall >= GraphTolerance.roarRecall, "\(roar)")
    #expect(roar.scored <= GraphTolerance.roarScored, "\(roar)")
    let together = try indexed(head, .with(.coRetrieval)).quality(queries, beamWidth: 100)
    #expect(together.recall >= GraphTolerance.coRetrievalRecall, "\(together)")
    #expect(together.scored <= GraphTolerance.coRetrievalScored, "\(together)")
    // A graph of the keys alone finds clearly less, although it may score more.
    let keysOnly = try indexed(head, .with(.keysOnly)).quality(queries, beamWidth: 130)
    #expect(keysOnly.scored > together.scored, "\(keysOnly)")
    #expect(keysOnly.recall < together.recall - GraphTolerance.keysOnlyDeficit, "\(keysOnly)")
  }

  @Test func groupsScoreTogetherAndFindMore() throws {
    let head = SyntheticHead(rows: 3000, dimension: 64, seed: 73)
    let queries = head.queries(30, seed: 74)
    let store = try indexed(head, .with(.coRetrieval))
    let single = store.quality(queries, beamWidth: 60)
    let grouped = store.quality(queries, groupSize: 3, beamWidth: 60)
    #expect(grouped.scored < 3 * single.scored)
    #expect(grouped.recall > single.recall)
  }

  @Test(arguments: GraphIndex.Construction.allCases, GraphIndex.Sharing.allCases)
  func attendsExactlyToWhatItFinds(construction: GraphIndex.Construction, sharing: GraphIndex.Sharing) throws
  {
    let (d, groupSize) = (48, 3)
    let head = SyntheticHead(rows: 900, dimension: d, seed: 75)
    let store = try indexed(
      head, .with(construction, sharing: sharing), trainingCount: 96, groupSize: groupSize)
    store.index.search = .with(beamWidth: 40, k: 30)
    let queries = head.queries(groupSize, seed: 76)
    let recorder = ReadRecorder()
    let (found, read) = store.attend(queries, recorder: recorder)
    let rows = recorder.rows.map { Int($0) }
    #expect(Set(rows).count == rows.count, "a row was attended twice")
    #expect(Set(rows) == Set(store.search(queries, k: 30, beamWidth: 40).rows.joined().map { Int($0) }))
    #expect(read.retrieved == rows.count)
    #expect(read.retrieved >= 30 && read.retrieved <= 30 * groupSize)
    #expect(read.scored >= read.retrieved && read.scored < 900 * groupSize)
    #expect(read.hops >= 40 && read.centroids == 0)
    // Keys scored, values attended, and a link or more for each hop.
    #expect(read.bytes >= 2 * d * (read.scored + read.retrieved) + 4 * read.hops)

    let expected = referenceAttention(
      queries: queries, keys: rows.flatMap { floats(store.keys)[$0 * d..<($0 + 1) * d] },
      values: rows.flatMap { floats(store.values)[$0 * d..<($0 + 1) * d] }, dimension: d)
    #expect(expected.largestDifference(from: found) < Tolerance.exact)
    #expect(expected.logSumExpErrors(of: found).allSatisfy { $0 < Tolerance.exactLogSumExp })
  }

  @Test(arguments: GraphIndex.Construction.allCases, GraphIndex.Sharing.allCases)
  func beamOverAllRowsIsExact(construction: GraphIndex.Construction, sharing: GraphIndex.Sharing) throws {
    let head = SyntheticHead(rows: 700, dimension: 64, seed: 77)
    let store = try indexed(head, .with(construction, sharing: sharing), trainingCount: 60, groupSize: 2)
    store.index.search = .with(beamWidth: 700, k: 700)
    let queries = head.queries(2, seed: 78)
    let (found, read) = store.attend(queries)
    #expect(read.retrieved == 700)
    #expect(store.reference(queries).largestDifference(from: found) < Tolerance.exact)
  }

  @Test func addsToWhatTheStatesHold() throws {
    let d = 32
    let head = SyntheticHead(rows: 400, dimension: d, seed: 79)
    let store = try indexed(head, .with(.coRetrieval), trainingCount: 40)
    store.index.search = .with(beamWidth: 400, k: 400)
    let query = head.queries(1, seed: 80)
    let rest = store.reference(query)
    // A state of one more key, with the mass of all others together and a value of twos.
    var maxima = [Float(rest.logSumExps[0])]
    var sums: [Float] = [1]
    var accumulators = [Float](repeating: 2, count: d)
    _ = store.add(query, &maxima, &sums, &accumulators)
    for i in 0..<d {
      let expected = (rest.outputs[0][i] + 2) / 2
      #expect(abs(Double(accumulators[i] / sums[0]) - expected) < Tolerance.exact)
    }
  }

  @Test func separateGraphsLearnFromTheirOwnHeads() throws {
    let d = 32
    let head = SyntheticHead(rows: 1000, dimension: d, seed: 81)
    let training = head.queries(80, seed: 82)
    let separate = try IndexedRows(
      keys: head.keys, values: head.values, dimension: d, build: .with(.roarGraph, sharing: .perQueryHead))
    separate.insert(1000, training: Training(queries: training), groupSize: 2)
    // Tokens of two heads: the odd queries are those of the second.
    let ofSecond = stride(from: 1, to: 80, by: 2).flatMap { training[$0 * d..<($0 + 1) * d] }
    let second = try IndexedRows(
      keys: head.keys, values: head.values, dimension: d, build: .with(.roarGraph))
    second.insert(1000, training: Training(queries: ofSecond))
    let queries = head.queries(2, seed: 83)
    let found = separate.search(queries, k: 50, beamWidth: 60).rows[1]
    #expect(found == second.search(Array(queries[d...]), k: 50, beamWidth: 60).rows[0])
    #expect(separate.index.byteCount > second.index.byteCount)
  }

  @Test(arguments: [(-1, 0), (0, 0), (1, 1), (7, 7), (5000, 300), (.max, 300)])
  func retrievesAtMostK(k: Int, expected: Int) throws {
    let head = SyntheticHead(rows: 300, dimension: 16, seed: 84)
    let store = try indexed(head, .with(.coRetrieval), trainingCount: 20)
    store.index.search = .with(beamWidth: .max, k: k)
    #expect(store.attend(head.queries(1, seed: 85)).read.retrieved == expected)
  }

  /// A beam narrower than k follows fewer links, and k rows still come back.
  @Test func narrowBeamsScoreLess() throws {
    let head = SyntheticHead(rows: 2000, dimension: 32, seed: 86)
    let store = try indexed(head, .with(.coRetrieval), trainingCount: 100)
    let query = head.queries(1, seed: 87)
    var previous = ReadCount()
    for beamWidth in [-1, 20, 50, 100, 200] {
      let (rows, read) = store.search(query, k: 100, beamWidth: beamWidth)
      #expect(beamWidth < 20 || rows[0].count == 100)
      #expect(Set(rows[0]).count == rows[0].count)
      #expect(read.hops > previous.hops && read.scored > previous.scored)
      previous = read
    }
  }
}

/// Bounds on recall@100 and on the share of keys that one query scores, for 6000 synthetic keys of width 64.
enum GraphTolerance {
  /// Measured: 0.983, scoring 0.211. When queries share pivots it is 0.969.
  static let roarRecall = 0.975
  static let roarScored = 0.24
  /// Measured: 0.979, scoring 0.093.
  static let coRetrievalRecall = 0.965
  static let coRetrievalScored = 0.105
  /// By how much recall from keys alone is lower. Measured: 0.120.
  static let keysOnlyDeficit = 0.08
  /// Recall that a graph grown in steps may lose against one built at once. Measured: up to 0.004.
  static let growthLoss = 0.015
  /// Recall@20 where most keys equal others. Measured: from 0.980.
  static let equalKeysRecall = 0.96
}

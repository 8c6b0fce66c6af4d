// What insertion promises: every row can be found, in any number of steps and for any input.

import Testing
import VectorIndex

@Suite struct GraphIndexInsertTests {
  @Test(arguments: GraphIndex.Construction.allCases)
  func growsInSteps(construction: GraphIndex.Construction) throws {
    let (rows, d) = (3000, 64)
    let head = SyntheticHead(rows: rows, dimension: d, seed: 91)
    let queries = head.queries(40, seed: 92)
    let training = Training(queries: head.queries(256, seed: 93))
    let fresh = try IndexedRows(
      keys: head.keys, values: head.values, dimension: d, build: .with(construction))
    fresh.insert(rows, training: training)
    let expected = fresh.quality(queries, beamWidth: 150)

    let grown = try IndexedRows(
      keys: head.keys, values: head.values, dimension: d, build: .with(construction))
    // Blocks of generated keys; some come without queries to learn from.
    for (step, count) in [1500, 512, 1, 475, 512].enumerated() {
      grown.insert(count, training: step == 1 ? .none : training)
    }
    #expect(grown.index.rowCount == rows)
    #expect(grown.reachesAllRows())
    let found = grown.quality(queries, beamWidth: 150)
    #expect(found.recall > expected.recall - GraphTolerance.growthLoss, "\(found), at once \(expected)")
    #expect(found.scored < 1.1 * expected.scored, "\(found), at once \(expected)")
  }

  @Test func leavesRowsAsTheyAre() throws {
    let head = SyntheticHead(rows: 500, dimension: 24, seed: 94)
    let store = try IndexedRows(
      keys: head.keys, values: head.values, dimension: 24, build: .with(.coRetrieval))
    store.insert(300, training: Training(queries: head.queries(20, seed: 94)))
    store.insert(200)
    #expect(store.keys == halves(head.keys))
    #expect(store.values == halves(head.values))
    #expect(store.positions == (0..<500).map { UInt32($0) })
  }

  @Test(arguments: GraphIndex.Construction.allCases, GraphIndex.Sharing.allCases)
  func sameInputSameGraph(construction: GraphIndex.Construction, sharing: GraphIndex.Sharing) throws {
    let head = SyntheticHead(rows: 800, dimension: 32, seed: 95)
    let queries = head.queries(2, seed: 96)
    let stores = try (0..<2).map { _ in
      let store = try IndexedRows(
        keys: head.keys, values: head.values, dimension: 32, build: .with(construction, sharing: sharing))
      store.insert(600, training: Training(queries: head.queries(64, seed: 97)), groupSize: 2)
      store.insert(200)
      return store
    }
    // More searches than there are marks, whose reuse must not show.
    for _ in 0..<300 { _ = stores[0].search(queries, k: 5, beamWidth: 5) }
    let results = stores.map { $0.search(queries, k: 80, beamWidth: 90) }
    #expect(results[0].rows == results[1].rows)
    #expect(results[0].read == results[1].read)
    #expect(stores[0].index.byteCount == stores[1].index.byteCount)
  }

  /// Without queries, and with links so few that most rows must be attached one by one.
  @Test(arguments: GraphIndex.Construction.allCases, [0, 1, 40])
  func fewestLinksReachAllRows(construction: GraphIndex.Construction, trainingCount: Int) throws {
    let head = SyntheticHead(rows: 700, dimension: 16, seed: 98)
    let store = try IndexedRows(
      keys: head.keys, values: head.values, dimension: 16,
      build: .with(construction, maxDegree: 1, buildBeamWidth: 1, nearestCount: 3))
    let training = Training(queries: head.queries(trainingCount, seed: 99))
    for count in [500, 200] {
      store.insert(count, training: training)
      #expect(store.reachesAllRows())
    }
  }

  @Test(arguments: GraphIndex.Construction.allCases, [1, 2, 3, 33])
  func smallAndOddShapes(construction: GraphIndex.Construction, dimension d: Int) throws {
    var generator = SeededGenerator(seed: 100)
    let values = generator.normals(40 * d)
    let store = try IndexedRows(
      keys: generator.normals(40 * d), values: values, dimension: d, build: .with(construction))
    let training = Training(queries: generator.normals(5 * d))
    let query = generator.normals(d)
    store.insert(0, training: training)
    #expect(store.attend(query).read == ReadCount())
    #expect(store.search(query, k: 3, beamWidth: 3).rows == [[]])
    for count in [1, 1, 2, 36] {
      store.insert(count, training: training)
      #expect(store.reachesAllRows())
    }
    let found = store.attend(query).attention
    #expect(store.reference(query).largestDifference(from: found) < Tolerance.exact)
  }

  @Test(arguments: GraphIndex.Construction.allCases)
  func equalAndZeroKeys(construction: GraphIndex.Construction) throws {
    let d = 32
    let head = SyntheticHead(rows: 1200, dimension: d, seed: 101)
    var keys = head.keys
    // 400 rows equal another one, 300 are zero.
    for row in 200..<600 { keys.replaceSubrange(row * d..<(row + 1) * d, with: keys[..<d]) }
    for i in 700 * d..<1000 * d { keys[i] = 0 }
    let store = try IndexedRows(keys: keys, values: head.values, dimension: d, build: .with(construction))
    let training = Training(queries: head.queries(64, seed: 102))
    store.insert(800, training: training)
    store.insert(400, training: training)
    #expect(store.reachesAllRows())
    let quality = store.quality(head.queries(20, seed: 103), k: 20, beamWidth: 200)
    #expect(quality.recall > GraphTolerance.equalKeysRecall, "\(quality)")
  }

  @Test(arguments: GraphIndex.Construction.allCases)
  func onlyEqualKeys(construction: GraphIndex.Construction) throws {
    let (rows, d) = (300, 16)
    let store = try IndexedRows(
      keys: [Float](repeating: 0, count: rows * d), values: [Float](repeating: 1, count: rows * d),
      dimension: d, build: .with(construction))
    store.insert(rows, training: Training(queries: [Float](repeating: 0, count: 4 * d)))
    #expect(store.reachesAllRows())
    let (found, read) = store.attend([Float](repeating: 1, count: d))
    #expect(read.retrieved == 100)
    #expect(abs(found.logSumExps[0] - 4.605170) < Tolerance.exactLogSumExp)
  }

  @Test func countsItsBytes() throws {
    let (rows, d) = (1000, 16)
    let head = SyntheticHead(rows: rows, dimension: d, seed: 104)
    let store = try IndexedRows(
      keys: head.keys, values: head.values, dimension: d, build: .with(.coRetrieval, maxDegree: 10))
    #expect(store.index.byteCount == 0)
    store.insert(rows, training: Training(queries: head.queries(32, seed: 105)))
    // A count and 15 places a row, 8 entry points or a few more, a map of the geometry.
    let least = rows * 16 * 4 + 8 * 4 + d * d * 4
    #expect((least...least + 400).contains(store.index.byteCount), "\(store.index.byteCount)")
  }

  @Test func refusesParametersOutOfRange() {
    for (name, value, build) in [
      ("maxDegree", 0, GraphIndex.BuildParameters.with(.roarGraph, maxDegree: 0)),
      ("buildBeamWidth", -5, .with(.coRetrieval, buildBeamWidth: -5)),
      ("nearestCount", Int.max, .with(.coRetrieval, nearestCount: .max)),
    ] {
      #expect(throws: GraphIndexError.parameterOutOfRange(name: name, value: value, allowed: 1...4096)) {
        try GraphIndex(dimension: 16, build: build)
      }
    }
  }
}

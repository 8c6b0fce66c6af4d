// How well codes keep scores, for queries unlike the keys.

import AttentionKernels
import Testing
import VectorIndex

@Suite struct KeyScorerTests {
  @Test(arguments: KeyCodes.allCases, [64, 128])
  func keepsScoresAndRanks(_ codes: KeyCodes, dimension: Int) {
    let head = SyntheticHead(rows: 4096, dimension: dimension, seed: 5)
    let store = IndexedRows(head, codes)
    store.insert(4096, training: store.train(head.queries(128, seed: 6)))
    let scores = store.scores(head.queries(16, seed: 7))
    let (recall, twice) = (scores.recall(at: 100, of: 100), scores.recall(at: 100, of: 200))
    #expect(recall >= CodeTolerance.recall(codes))
    #expect(twice >= CodeTolerance.recallOfTwice(codes))
    #expect(scores.relativeError <= CodeTolerance.error(codes))
    #expect(store.index.scorer.bytesPerRow ?? 0 <= 2 * dimension)
  }

  /// What the queries teach: errors fall where queries look. Without them the keys' own geometry is used, as plain
  /// product quantization does after a rotation.
  @Test(arguments: [KeyCodes.lvq4, .pq2, .pq1], [UInt64(11), 12])
  func queriesTeachCodes(_ codes: KeyCodes, seed: UInt64) {
    let head = SyntheticHead(rows: 3000, dimension: 64, seed: seed)
    let aware = IndexedRows(head, codes)
    aware.insert(3000, training: aware.train(head.queries(128, seed: seed)))
    let plain = IndexedRows(head, codes)
    plain.insert(3000)
    let queries = head.queries(16, seed: seed + 100)
    let (learned, unlearned) = (aware.scores(queries), plain.scores(queries))
    #expect(learned.relativeError < 0.8 * unlearned.relativeError)
    #expect(learned.recall(at: 100, of: 100) > unlearned.recall(at: 100, of: 100))
  }

  /// Codebooks come from the first rows; the others must be as well encoded wherever an insertion begins in a block.
  @Test(arguments: KeyCodes.allCases)
  func laterRowsAreEncodedAlike(_ codes: KeyCodes) {
    let head = SyntheticHead(rows: 2500, dimension: 64, seed: 21)
    let store = IndexedRows(head, codes)
    let training = store.train(head.queries(96, seed: 22))
    for count in [2001, 1, 14, 33, 451] { store.insert(count, training: training) }
    #expect(store.index.rowCount == 2500)
    let scores = store.scores(head.queries(8, seed: 23))
    let later = CodeScores(
      approximate: scores.approximate.map { Array($0[2001...]) },
      exact: scores.exact.map { Array($0[2001...]) })
    // Their positions are new, and codebooks learned nothing of them. Measured: up to 0.26 for pq2.
    #expect(later.relativeError <= 2 * CodeTolerance.error(codes))
    let queries = head.queries(3, seed: 24)
    let all = store.codeScores(queries, 0..<2500)
    // How later rows were cut makes no difference, and the first are as if no others had come.
    let atOnce = IndexedRows(head, codes)
    atOnce.insert(2001, training: training)
    #expect(atOnce.codeScores(queries, 0..<2001) == all.map { Array($0[..<2001]) })
    atOnce.insert(499, training: training)
    #expect(atOnce.codeScores(queries, 0..<2500) == all)
  }

  @Test(arguments: KeyCodes.allCases, [1, 3, 6, 8])
  func aRangeGivesTheSameScores(_ codes: KeyCodes, groupSize: Int) {
    let head = SyntheticHead(rows: 700, dimension: 40, seed: 31)
    let store = IndexedRows(head, codes)
    store.insert(700, training: store.train(head.queries(64, seed: 32)))
    let queries = head.queries(groupSize, seed: 33)
    let all = store.codeScores(queries, 0..<700)
    for range in [0..<1, 13..<40, 31..<33, 64..<128, 690..<700, 350..<350] {
      let part = store.codeScores(queries, range)
      #expect(part == all.map { Array($0[range]) })
    }
  }

  @Test(arguments: KeyCodes.allCases, SIMDLevel.supported)
  func levelsAgree(_ codes: KeyCodes, _ level: SIMDLevel) throws {
    let head = SyntheticHead(rows: 600, dimension: 64, seed: 41)
    let queries = head.queries(3, seed: 42)
    let store = IndexedRows(head, codes, workspace: Workspace(kernels: try Kernels(level: level)))
    store.insert(600, training: store.train(head.queries(64, seed: 43)))
    #expect(store.scores(queries).relativeError <= 2 * CodeTolerance.error(codes))
  }

  @Test(arguments: KeyCodes.allCases, [1, 2, 5, 17, 33, 80])
  func oddDimensions(_ codes: KeyCodes, dimension: Int) {
    let head = SyntheticHead(rows: 300, dimension: dimension, seed: 51)
    let store = IndexedRows(head, codes)
    store.insert(300, training: store.train(head.queries(32, seed: 52)))
    let scores = store.scores(head.queries(4, seed: 53))
    // One codebook has too few entries for a single coordinate of 300 keys.
    #expect(scores.relativeError <= (dimension < 8 ? 0.2 : 2 * CodeTolerance.error(codes)))
  }

  /// Keys that say nothing leave nothing to quantize: scores are then right, not only close.
  @Test(arguments: KeyCodes.allCases, [1, 2, 40])
  func equalKeysGetTheirScore(_ codes: KeyCodes, rows: Int) {
    var generator = SeededGenerator(seed: 61)
    let d = 64
    let key = generator.normals(d)
    for keys in [Array(repeating: key, count: rows).flatMap { $0 }, [Float](repeating: 0, count: rows * d)] {
      let store = IndexedRows(
        keys: keys, values: generator.normals(rows * d),
        index: ScanIndex(dimension: d, build: .init(codes: codes)))
      store.insert(rows)
      let scores = store.scores(generator.normals(2 * d, scale: 0.3))
      for (exact, approximate) in zip(scores.exact.joined(), scores.approximate.joined()) {
        #expect(abs(exact - approximate) < 1e-4)
      }
    }
  }

  /// A model's NaN or infinity spoils scores, not the process.
  @Test(arguments: KeyCodes.allCases)
  func notANumberDoesNotTrap(_ codes: KeyCodes) {
    let head = SyntheticHead(rows: 200, dimension: 64, seed: 71)
    var keys = head.keys
    keys[5] = .nan
    keys[70] = .infinity
    let store = IndexedRows(
      keys: keys, values: head.values, index: ScanIndex(dimension: 64, build: .init(codes: codes)))
    store.insert(200, training: store.train(head.queries(16, seed: 72)))
    #expect(store.index.rowCount == 200)
    var queries = head.queries(2, seed: 73)
    queries[3] = .nan
    queries[64] = -.infinity
    #expect(store.codeScores(queries, 0..<200).count == 2)
  }
}

// What a scan attends to, and what it reads for it.

import AttentionKernels
import Testing
import VectorIndex

@Suite struct ScanIndexTests {
  private func indexed(_ codes: KeyCodes, rows: Int, seed: UInt64, k: Int) -> (
    SyntheticHead, IndexedRows<ScanIndex>
  ) {
    let head = SyntheticHead(rows: rows, dimension: 64, seed: seed)
    let store = IndexedRows(head, codes)
    store.insert(rows, training: store.train(head.queries(96, seed: seed)))
    store.index.search.k = k
    return (head, store)
  }

  @Test(arguments: KeyCodes.allCases, [1, 3, 6])
  func allRowsAreExactAttention(_ codes: KeyCodes, groupSize: Int) {
    let (head, store) = indexed(codes, rows: 500, seed: 1, k: 500)
    let queries = head.queries(groupSize, seed: 2)
    let expected = store.reference(queries)
    let (found, read) = store.attend(queries)
    #expect(expected.largestDifference(from: found) < Tolerance.exact)
    #expect(expected.logSumExpErrors(of: found).allSatisfy { $0 < Tolerance.exactLogSumExp })
    #expect(read.retrieved == 500)
    // All but one: the scan itself, with one row of the least weight missing.
    store.index.search.k = 499
    let errors = store.reference(queries).relativeErrors(of: store.attend(queries).attention)
    #expect(errors.allSatisfy { $0 < 0.02 }, "\(errors)")
  }

  /// The union of each query's best rows, no more and no less.
  @Test(arguments: [1, 3, 8], [1, 7, 100])
  func readsTheBestRowsOfEachQuery(groupSize: Int, k: Int) {
    let (head, store) = indexed(.float16, rows: 3000, seed: 3, k: k)
    let queries = head.queries(groupSize, seed: 4)
    let recorder = ReadRecorder()
    let (found, read) = store.attend(queries, recorder: recorder)
    // By the kernel's own scores: sums in another order may swap rows that are all but equal.
    let scores = store.codeScores(queries, 0..<3000)
    let wanted = Set(scores.flatMap { CodeScores.best($0, k) })
    #expect(recorder.rows.map { Int($0) } == wanted.sorted())
    #expect(read.retrieved == wanted.count)
    #expect(read.scored == 3000 + wanted.count)
    #expect(read.bytes == 3000 * 128 + wanted.count * 256)
    let rows = wanted.sorted()
    let (keys, values) = (floats(store.keys), floats(store.values))
    let expected = referenceAttention(
      queries: queries, keys: rows.flatMap { keys[$0 * 64..<($0 + 1) * 64] },
      values: rows.flatMap { values[$0 * 64..<($0 + 1) * 64] }, dimension: 64)
    #expect(expected.largestDifference(from: found) < Tolerance.exact)
  }

  /// Codes read fewer bytes for nearly the error of exact scores.
  @Test(arguments: [KeyCodes.lvq8, .lvq4, .pq2, .pq1])
  func codesReadLess(_ codes: KeyCodes) {
    let (head, exact) = indexed(.float16, rows: 4096, seed: 5, k: 150)
    let (_, store) = indexed(codes, rows: 4096, seed: 5, k: 150)
    var (errors, exactErrors): ([Double], [Double]) = ([], [])
    var (bytes, exactBytes) = (0, 0)
    for seed in 0..<6 {
      let queries = head.queries(3, seed: UInt64(900 + seed))
      let expected = exact.reference(queries)
      let (found, read) = store.attend(queries)
      let (best, bestRead) = exact.attend(queries)
      errors += expected.relativeErrors(of: found)
      exactErrors += expected.relativeErrors(of: best)
      bytes += read.bytes
      exactBytes += bestRead.bytes
    }
    #expect(mean(errors) < 1.25 * mean(exactErrors), "\(mean(errors)) \(mean(exactErrors))")
    #expect(bytes < exactBytes * 3 / 4)
  }

  @Test(arguments: KeyCodes.allCases)
  func addsToWhatTheStatesHold(_ codes: KeyCodes) {
    let (head, store) = indexed(codes, rows: 900, seed: 7, k: 100)
    let queries = head.queries(2, seed: 8)
    let alone = store.attend(queries).attention
    var maxima = alone.logSumExps.map { Float($0) }
    var sums: [Float] = [1, 1]
    var accumulators = [Float](repeating: 2, count: 128)
    _ = store.add(queries, &maxima, &sums, &accumulators)
    for query in 0..<2 {
      for i in 0..<64 {
        let found = Double(accumulators[query * 64 + i] / sums[query])
        #expect(abs(found - (alone.outputs[query][i] + 2) / 2) < Tolerance.exact)
      }
    }
  }

  @Test(arguments: KeyCodes.allCases)
  func theSameSeedGivesTheSameAnswer(_ codes: KeyCodes) {
    let (head, first) = indexed(codes, rows: 800, seed: 9, k: 50)
    let (_, second) = indexed(codes, rows: 800, seed: 9, k: 50)
    let queries = head.queries(3, seed: 10)
    #expect(first.attend(queries).attention.outputs == second.attend(queries).attention.outputs)
    #expect(first.index.byteCount == second.index.byteCount)
  }

  @Test(arguments: KeyCodes.allCases)
  func nothingToReadReadsNothing(_ codes: KeyCodes) {
    let head = SyntheticHead(rows: 40, dimension: 64, seed: 11)
    let store = IndexedRows(head, codes)
    let queries = head.queries(2, seed: 12)
    #expect(store.attend(queries).read == ReadCount())
    store.insert(0)
    #expect(store.attend(queries).read == ReadCount())
    #expect(store.index.rowCount == 0)
    store.insert(40)
    store.index.search.k = 0
    #expect(store.attend(queries).read == ReadCount())
    store.index.search.k = -3
    #expect(store.attend(queries).attention.logSumExps == [-.infinity, -.infinity])
  }

  @Test(arguments: KeyCodes.allCases)
  func oneRowThenMore(_ codes: KeyCodes) {
    let head = SyntheticHead(rows: 60, dimension: 64, seed: 13)
    let store = IndexedRows(head, codes)
    store.insert(1)
    store.index.search.k = 1
    let queries = head.queries(2, seed: 14)
    #expect(store.attend(queries).read.retrieved == 1)
    store.insert(59)
    store.index.search.k = 60
    #expect(
      store.reference(queries).largestDifference(from: store.attend(queries).attention) < Tolerance.exact)
    store.index.search.k = 5
    #expect((5...10).contains(store.attend(queries).read.retrieved))
  }

  /// Equal scores go to lower rows, so that the answer does not depend on how the scan is cut.
  @Test func equalScoresGoToLowerRows() {
    var generator = SeededGenerator(seed: 15)
    let keys = Array(repeating: generator.normals(64), count: 5000).flatMap { $0 }
    let store = IndexedRows(
      keys: keys, values: generator.normals(5000 * 64),
      index: ScanIndex(dimension: 64, build: .init(codes: .float16)))
    store.insert(5000)
    store.index.search.k = 33
    let recorder = ReadRecorder()
    _ = store.attend(generator.normals(64), recorder: recorder)
    #expect(recorder.rows == Array(0..<33))
  }
}

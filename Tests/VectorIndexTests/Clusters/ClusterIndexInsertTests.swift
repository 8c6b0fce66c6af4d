// What insertion promises: rows are reordered and nothing else, at any size and for any input.

import Testing
import VectorIndex

@Suite struct ClusterIndexInsertTests {
  /// A row of key, value and position, to compare as a whole.
  private struct Row: Hashable {
    var key: [UInt16]
    var value: [UInt16]
    var position: UInt32
  }

  private func rows(_ store: IndexedRows<ClusterIndex>, _ range: Range<Int>) -> [Row] {
    let d = store.dimension
    return range.map {
      Row(
        key: Array(store.keys[$0 * d..<($0 + 1) * d]), value: Array(store.values[$0 * d..<($0 + 1) * d]),
        position: store.positions[$0])
    }
  }

  @Test func rowsMoveTogether() {
    let head = SyntheticHead(rows: 1000, dimension: 32, seed: 1)
    let store = IndexedRows(keys: head.keys, values: head.values, dimension: 32)
    let before = rows(store, 0..<1000)
    store.insert(900, training: store.train(head.queries(32, seed: 1)))
    let after = rows(store, 0..<1000)
    #expect(store.index.rowCount == 900)
    #expect(store.index.segmentCount == 1)
    #expect(Set(after[..<900]) == Set(before[..<900]), "rows were lost or doubled")
    #expect(after[900...] == before[900...], "rows behind the segment were touched")
    #expect(after.allSatisfy { before[Int($0.position)] == $0 }, "a position lost its key or value")
  }

  @Test func laterSegmentsLeaveEarlierRowsInPlace() {
    let head = SyntheticHead(rows: 1500, dimension: 32, seed: 2)
    let store = IndexedRows(keys: head.keys, values: head.values, dimension: 32)
    let training = store.train(head.queries(16, seed: 2))
    var done = 0
    for (number, count) in [600, 1, 37, 862].enumerated() {
      let before = rows(store, 0..<done)
      store.insert(count, training: training)
      #expect(rows(store, 0..<done) == before)
      done += count
      #expect(store.index.rowCount == done)
      #expect(store.index.segmentCount == number + 1)
      #expect(Set(store.positions[..<done]) == Set((0..<done).map(UInt32.init)))
    }
    let queries = head.queries(6, seed: 3)
    let found = store.attend(queries, search: .with(tolerance: 0)).attention
    #expect(store.reference(queries).largestDifference(from: found) < Tolerance.exact)
  }

  @Test func insertingNothingChangesNothing() {
    let store = IndexedRows(keys: [Float](repeating: 1, count: 16), values: [], dimension: 16)
    store.insert(0)
    #expect(store.index.rowCount == 0)
    #expect(store.index.segmentCount == 0)
    let (found, read) = store.attend([Float](repeating: 1, count: 16), search: .init())
    #expect(found.logSumExps == [-.infinity])
    #expect(read == ReadCount())
  }

  @Test func equalInputGivesEqualIndexes() {
    func build(seed: UInt64, workspace: Workspace) -> (IndexedRows<ClusterIndex>, Attention) {
      let head = SyntheticHead(rows: 800, dimension: 48, seed: 4)
      var parameters = ClusterIndex.BuildParameters()
      parameters.seed = seed
      let store = IndexedRows(
        keys: head.keys, values: head.values, dimension: 48, build: parameters, workspace: workspace)
      store.insert(500, training: store.train(head.queries(32, seed: 4)))
      store.insert(300, training: store.train(head.queries(32, seed: 5)))
      return (store, store.attend(head.queries(4, seed: 6), search: .init()).attention)
    }
    // A workspace full of something else must not be told from a new one.
    let used = Workspace(poisons: true)
    fill(used)
    let (first, found) = build(seed: 1, workspace: Workspace())
    let (second, foundAgain) = build(seed: 1, workspace: used)
    #expect(first.keys == second.keys)
    #expect(first.values == second.values)
    #expect(first.positions == second.positions)
    #expect(found.outputs == foundAgain.outputs)
    #expect(found.logSumExps == foundAgain.logSumExps)
    // Another seed may give another index, but about the same answer.
    let (other, foundOther) = build(seed: 2, workspace: used)
    #expect(Set(other.positions) == Set(first.positions))
    let differences = found.relativeErrors(of: foundOther)
    #expect(differences.allSatisfy { $0 < Tolerance.boundedWorst }, "\(differences)")
  }

  /// Two maps of d x d are a fixed cost, so the rows are as many as a context that needs an index has.
  @Test(arguments: [64, 128])
  func indexIsSmallBesideTheRows(dimension: Int) {
    let rows = 6144
    let head = SyntheticHead(rows: rows, dimension: dimension, seed: 7)
    let store = IndexedRows(keys: head.keys, values: head.values, dimension: dimension)
    store.insert(rows, training: store.train(head.queries(8, seed: 7)))
    let rowBytes = rows * dimension * 4
    #expect(store.index.byteCount > 0)
    #expect(Double(store.index.byteCount) < 0.1 * Double(rowBytes) + Double(dimension * dimension * 4))
  }

  enum Odd: String, CaseIterable {
    case oneRow, fewRows, equalKeys, equalKeysAndQueries, noTraining, zeroKeys, zeroQueries, oneTrainingQuery
    case oddDimension, largeKeys, largeQueries, hugeQueries, tinyKeys
  }

  /// Inputs at the edge: the answer is finite at any tolerance and exact at 0.
  @Test(arguments: Odd.allCases)
  func takesOddInput(_ odd: Odd) {
    var generator = SeededGenerator(seed: 11)
    let d = odd == .oddDimension ? 13 : 32
    let n = odd == .oneRow ? 1 : odd == .fewRows ? 5 : 300
    var keys = generator.normals(n * d)
    let values = generator.normals(n * d)
    var queries = generator.normals(3 * d, scale: 0.3)
    var trainingQueries = generator.normals(20 * d, scale: 0.3)
    switch odd {
    case .equalKeys, .equalKeysAndQueries:
      for i in keys.indices { keys[i] = keys[i % d] }
      if odd == .equalKeysAndQueries {
        for i in trainingQueries.indices { trainingQueries[i] = trainingQueries[i % d] }
      }
    case .noTraining: trainingQueries = []
    case .zeroKeys: keys = keys.map { _ in 0 }
    case .zeroQueries:
      trainingQueries = trainingQueries.map { _ in 0 }
      queries = queries.map { _ in 0 }
    case .oneTrainingQuery: trainingQueries = Array(trainingQueries[..<d])
    // Near the largest f16; scores then reach 1e5 and softmax picks one key.
    case .largeKeys: keys = keys.map { max(-60_000, min(60_000, $0 * 20_000)) }
    case .largeQueries: trainingQueries = trainingQueries.map { $0 * 1e4 }
    case .hugeQueries: trainingQueries = trainingQueries.map { $0 * 1e9 }
    case .tinyKeys: keys = keys.map { $0 * 1e-6 }
    default: break
    }
    let store = IndexedRows(keys: keys, values: values, dimension: d)
    store.insert(n, training: trainingQueries.isEmpty ? .none : store.train(trainingQueries))
    #expect(Set(store.positions) == Set((0..<n).map(UInt32.init)))
    for tolerance: Float in [0, 1e-3, 1e6] {
      let (found, read) = store.attend(queries, search: .with(tolerance: tolerance))
      // Estimates are means of values, so the output stays in the range of the values, which is about 4.
      #expect(found.outputs.joined().allSatisfy { abs($0) < 6 }, "tolerance \(tolerance)")
      #expect(found.logSumExps.allSatisfy { $0.isFinite }, "tolerance \(tolerance)")
      #expect(read.retrieved <= n)
    }
    let expected = store.reference(queries)
    let found = store.attend(queries, search: .with(tolerance: 0)).attention
    // Scores of 1e5 are rounded to 1e-2, which softmax turns into an error of a per cent.
    #expect(expected.largestDifference(from: found) < (odd == .largeKeys ? 0.05 : Tolerance.exact))
  }

  /// Training queries beyond the limit change nothing when each stands several times, and some are always taken.
  @Test func learnsFromEvenlySpreadQueries() {
    let head = SyntheticHead(rows: 2000, dimension: 32, seed: 77)
    let few = head.queries(128, seed: 78)
    let many = (0..<128).flatMap { row in (0..<3).flatMap { _ in few[row * 32..<(row + 1) * 32] } }
    let queries = head.queries(3, seed: 79)
    let answers = [few, many].map { training in
      let store = IndexedRows(keys: head.keys, values: head.values, dimension: 32)
      store.insert(2000, training: store.train(training))
      return store.attend(queries).attention.outputs
    }
    #expect(answers[0] == answers[1])
  }
}

// Inverted lists: exact when all are read, balanced, and finding more than nearest centroids do.

import Testing
import VectorIndex

extension IVFIndex.BuildParameters {
  static func with(
    listSize: Int = 64, choices: Int = 2, assignment: IVFIndex.Assignment = .balanced
  ) -> Self {
    var build = Self()
    build.listSize = listSize
    build.choices = choices
    build.assignment = assignment
    return build
  }
}

@Suite struct IVFIndexTests {
  typealias Store = IndexedRows<IVFIndex>

  private func store(
    _ head: SyntheticHead, build: IVFIndex.BuildParameters = .init(), workspace: Workspace = Workspace()
  ) -> Store {
    Store(
      keys: head.keys, values: head.values, index: IVFIndex(dimension: head.dimension, build: build),
      workspace: workspace)
  }

  @Test(arguments: [1, 3, 6], [IVFIndex.Assignment.balanced, .nearest])
  func allProbesAreExact(groupSize: Int, assignment: IVFIndex.Assignment) {
    let head = SyntheticHead(rows: 1200, dimension: 64, seed: 21)
    let store = store(head, build: .with(assignment: assignment))
    store.insert(1200, training: store.train(head.queries(64, seed: 21)))
    store.index.search.probes = store.index.listCount
    let queries = head.queries(groupSize, seed: 99)
    let recorder = ReadRecorder()
    let (found, read) = store.attend(queries, recorder: recorder)
    let expected = store.reference(queries)
    #expect(expected.largestDifference(from: found) < Tolerance.exact)
    let errors = expected.logSumExpErrors(of: found)
    #expect(errors.allSatisfy { $0 < Tolerance.exactLogSumExp }, "\(errors)")
    #expect(read.retrieved == 1200)
    #expect(recorder.rows.sorted() == (0..<1200).map { UInt32($0) })
  }

  /// What is read is attended exactly and nothing else: the reference over the recorded rows alone.
  @Test func attendsToWhatItReads() {
    let (head, d) = (SyntheticHead(rows: 2000, dimension: 64, seed: 22), 64)
    let store = store(head)
    store.insert(2000, training: store.train(head.queries(64, seed: 22)))
    store.index.search.probes = 3
    let queries = head.queries(4, seed: 98)
    let recorder = ReadRecorder()
    let (found, read) = store.attend(queries, recorder: recorder)
    #expect(Set(recorder.rows).count == recorder.rows.count)
    #expect(read.retrieved == recorder.rows.count)
    let (keys, values) = (floats(store.keys), floats(store.values))
    let expected = referenceAttention(
      queries: queries, keys: recorder.rows.flatMap { keys[Int($0) * d..<Int($0 + 1) * d] },
      values: recorder.rows.flatMap { values[Int($0) * d..<Int($0 + 1) * d] }, dimension: d)
    #expect(expected.largestDifference(from: found) < Tolerance.exact)
    let lists = store.index.listCount
    #expect(read.scored == read.retrieved + lists)
    #expect(read.bytes == read.retrieved * 4 * d + lists * (2 * d + 8))
    #expect(read.centroids == 0)
  }

  @Test func aGroupReadsTheUnionOfItsHeads() {
    let (head, d) = (SyntheticHead(rows: 2000, dimension: 64, seed: 23), 64)
    let store = store(head)
    store.insert(2000, training: store.train(head.queries(64, seed: 23)))
    store.index.search.probes = 2
    let queries = head.queries(3, seed: 97)
    var union: Set<UInt32> = []
    for query in 0..<3 {
      let recorder = ReadRecorder()
      _ = store.attend(Array(queries[query * d..<(query + 1) * d]), recorder: recorder)
      union.formUnion(recorder.rows)
    }
    let recorder = ReadRecorder()
    _ = store.attend(queries, recorder: recorder)
    #expect(Set(recorder.rows) == union)
  }

  @Test func withoutProbesNothingIsRead() {
    let head = SyntheticHead(rows: 300, dimension: 32, seed: 24)
    let store = store(head)
    store.insert(300)
    for probes in [0, -1, Int.min] {
      store.index.search.probes = probes
      let (found, read) = store.attend(head.queries(2, seed: 1))
      #expect(read == ReadCount())
      #expect(found.logSumExps == [-.infinity, -.infinity])
    }
  }

  @Test(arguments: [16, 64], [1, 2, 5])
  func listsAreBalanced(listSize: Int, choices: Int) {
    let head = SyntheticHead(rows: 2500, dimension: 32, topics: 7, seed: 25)
    for training in [0, 48] {
      let store = store(head, build: .with(listSize: listSize, choices: choices))
      let queries = head.queries(training, seed: 25)
      // Segments of several sizes, the last of less than one list.
      var first = 0
      for count in [1500, 993, 7] {
        store.insert(count, training: training > 0 ? store.train(queries) : .none)
        let sizes = store.index.listSizes[first...]
        first = store.index.listCount
        #expect(sizes.reduce(0, +) == count)
        #expect(sizes.allSatisfy { $0 > 0 })
        let mean = Double(count) / Double((count + listSize - 1) / listSize)
        #expect(Double(sizes.max() ?? .max) <= (IVFIndex.balanceLimit * mean).rounded(.up), "\(sizes)")
      }
    }
  }

  /// Recall of each query's 100 best keys when a share of the keys is read, between two numbers of probes by a
  /// straight line.
  private func recalls(_ store: Store, _ queries: [Float], at shares: [Double]) -> [Double] {
    let d = store.dimension
    let keys = floats(store.keys)
    let rows = keys.count / d
    let groups = (0..<queries.count / d).map { Array(queries[$0 * d..<($0 + 1) * d]) }
    let best = groups.map { query in
      let scores = (0..<rows).map { row in
        (0..<d).reduce(Float(0)) { $0 + keys[row * d + $1] * query[$1] }
      }
      return Set((0..<rows).sorted { scores[$0] > scores[$1] }.prefix(100).map { UInt32($0) })
    }
    var curve = [(share: 0.0, recall: 0.0)]
    for probes in [1, 2, 3, 4, 6, 8, 12, 16] {
      store.index.search.probes = probes
      var (share, recall) = (0.0, 0.0)
      for (query, best) in zip(groups, best) {
        let recorder = ReadRecorder()
        _ = store.attend(query, recorder: recorder)
        share += Double(recorder.rows.count) / Double(rows * groups.count)
        recall += Double(best.intersection(recorder.rows).count) / Double(100 * groups.count)
      }
      curve.append((share, recall))
    }
    return shares.map { share in
      guard let above = curve.firstIndex(where: { $0.share >= share }), above > 0 else { return .nan }
      let (low, high) = (curve[above - 1], curve[above])
      return low.recall + (high.recall - low.recall) * (share - low.share) / (high.share - low.share)
    }
  }

  /// Measured: .52, .71, .86 against .45, .64, .82 on the first head, and on the second .48, .68, .84 against .40,
  /// .56, .75.
  @Test(arguments: [(UInt64(1), 40), (3, 400)])
  func balancedListsFindMoreThanNearestCentroids(seed: UInt64, topics: Int) {
    let head = SyntheticHead(rows: 6000, dimension: 64, topics: topics, seed: seed)
    let queries = head.queries(40, seed: 77)
    let found = [IVFIndex.Assignment.balanced, .nearest].map { assignment in
      let store = store(head, build: .with(assignment: assignment))
      store.insert(6000, training: store.train(head.queries(128, seed: 5)))
      return recalls(store, queries, at: [0.02, 0.04, 0.08])
    }
    for (balanced, nearest) in zip(found[0], found[1]) { #expect(balanced > nearest, "\(found)") }
    #expect(found[0][1] > 0.6 && found[0][2] > 0.8, "\(found)")
  }

  @Test func rowsMoveTogetherSegmentBySegment() {
    let head = SyntheticHead(rows: 1500, dimension: 32, seed: 2)
    let store = store(head)
    let training = store.train(head.queries(16, seed: 2))
    let (keys, values, d) = (store.keys, store.values, 32)
    var done = 0
    for (number, count) in [600, 1, 0, 37, 862].enumerated() {
      let before = store.positions[..<done]
      store.insert(count, training: training)
      done += count
      #expect(Array(store.positions[..<before.count]) == Array(before), "earlier rows moved")
      #expect(Set(store.positions[..<done]) == Set((0..<done).map { UInt32($0) }))
      #expect(store.index.rowCount == done)
      #expect(store.index.segmentCount == (number < 2 ? number + 1 : number))
    }
    for row in 0..<1500 {
      let old = Int(store.positions[row])
      #expect(store.keys[row * d..<(row + 1) * d].elementsEqual(keys[old * d..<(old + 1) * d]))
      #expect(store.values[row * d..<(row + 1) * d].elementsEqual(values[old * d..<(old + 1) * d]))
    }
    store.index.search.probes = .max
    let queries = head.queries(6, seed: 3)
    #expect(
      store.reference(queries).largestDifference(from: store.attend(queries).attention) < Tolerance.exact)
  }

  @Test(arguments: [IVFIndex.Assignment.balanced, .nearest])
  func equalInputGivesEqualIndexes(assignment: IVFIndex.Assignment) {
    let used = Workspace(poisons: true)
    fill(used)
    let head = SyntheticHead(rows: 800, dimension: 48, seed: 4)
    let queries = head.queries(4, seed: 6)
    let results = [Workspace(), used].map { workspace in
      let store = store(head, build: .with(assignment: assignment), workspace: workspace)
      store.insert(500, training: store.train(head.queries(32, seed: 4)))
      store.insert(300, training: store.train(head.queries(32, seed: 5)))
      store.index.search.probes = 3
      return (store.positions, store.attend(queries).attention)
    }
    #expect(results[0].0 == results[1].0)
    #expect(results[0].1.outputs == results[1].1.outputs)
    #expect(results[0].1.logSumExps == results[1].1.logSumExps)
  }

  enum Odd: String, CaseIterable {
    case oneRow, fewRows, equalKeys, noTraining, zeroKeys, zeroQueries, oddDimension, largeKeys, hugeQueries
    case emptyIndex, oddParameters, notNumbers
  }

  /// Inputs at the edge: balanced, and exact when all is read.
  @Test(arguments: Odd.allCases)
  func takesOddInput(_ odd: Odd) {
    var generator = SeededGenerator(seed: 11)
    let d = odd == .oddDimension ? 13 : 32
    let n = odd == .oneRow ? 1 : odd == .fewRows ? 5 : odd == .emptyIndex ? 0 : 300
    var keys = generator.normals(max(1, n) * d)
    let values = generator.normals(max(1, n) * d)
    var queries = generator.normals(3 * d, scale: 0.3)
    var trainingQueries = generator.normals(20 * d, scale: 0.3)
    var build = IVFIndex.BuildParameters.with(listSize: 20)
    switch odd {
    case .equalKeys: for i in keys.indices { keys[i] = keys[i % d] }
    case .noTraining: trainingQueries = []
    case .zeroKeys: keys = keys.map { _ in 0 }
    case .zeroQueries:
      trainingQueries = trainingQueries.map { _ in 0 }
      queries = queries.map { _ in 0 }
    case .largeKeys: keys = keys.map { max(-60_000, min(60_000, $0 * 20_000)) }
    case .hugeQueries: trainingQueries = trainingQueries.map { $0 * 1e9 }
    case .oddParameters:
      build = .with(listSize: -3, choices: .min)
      build.iterations = -1
    case .notNumbers: keys[5] = .nan
    default: break
    }
    let store = Store(keys: keys, values: values, index: IVFIndex(dimension: d, build: build))
    store.insert(n, training: trainingQueries.isEmpty ? .none : store.train(trainingQueries))
    #expect(Set(store.positions.prefix(n)) == Set((0..<n).map { UInt32($0) }))
    let sizes = store.index.listSizes
    #expect(sizes.reduce(0, +) == n)
    #expect(sizes.allSatisfy { (1...22).contains($0) }, "\(sizes)")
    for probes in [1, 3] {
      store.index.search.probes = probes
      let (found, read) = store.attend(queries)
      #expect(read.retrieved <= n)
      if odd != .notNumbers {
        #expect(found.outputs.joined().allSatisfy { abs($0) < 6 })
      }
    }
    store.index.search.probes = .max
    let found = store.attend(queries).attention
    if n == 0 {
      #expect(found.logSumExps == [-.infinity, -.infinity, -.infinity])
    } else if odd != .notNumbers {
      // Scores of 1e5 are rounded to 1e-2, which softmax turns into an error of a per cent.
      let bound = odd == .largeKeys ? 0.05 : Tolerance.exact
      #expect(store.reference(queries).largestDifference(from: found) < bound)
    }
  }
}

// Where choosing keys does not pay, all are read.

import AttentionKernels
import Testing
import VectorIndex

@Suite struct ExactToleranceTests {
  private let d = 64
  private let rows = 3000

  /// Random keys and values, which tell queries nothing.
  private func diffuse(
    training scale: Float? = nil, groupSize: Int = 3, index: ClusterIndex = ClusterIndex(dimension: 64)
  ) -> IndexedRows<ClusterIndex> {
    var generator = SeededGenerator(seed: 12)
    let store = IndexedRows(
      keys: generator.normals(rows * d), values: generator.normals(rows * d), index: index)
    let training = scale.map { store.train(generator.normals(48 * d, scale: $0)) } ?? .none
    store.insert(rows, training: training, groupSize: groupSize)
    return store
  }

  private func queries(scale: Float, count: Int = 3) -> [Float] {
    var generator = SeededGenerator(seed: 13)
    return generator.normals(count * d, scale: scale)
  }

  @Test(arguments: [nil, Float(0.05), 0.125], [1, 3])
  func diffuseHeadsAreReadWhole(training: Float?, groupSize: Int) {
    let store = diffuse(training: training, groupSize: groupSize)
    #expect(store.index.exactTolerance > 0)
    let queries = queries(scale: training ?? 0.125, count: groupSize)
    store.index.search.tolerance = 1e-3
    let recorder = ReadRecorder()
    let (found, read) = store.attend(queries, recorder: recorder)
    #expect(read.bytes == rows * 4 * d, "what exact attention reads, and nothing else")
    #expect(read.retrieved == rows && read.centroids == 0)
    #expect(recorder.rows.sorted() == (0..<UInt32(rows)).map { $0 })
    #expect(store.reference(queries).largestDifference(from: found) < Tolerance.exact)
  }

  /// Neither above the tolerance, nor beyond the bound on a call.
  @Test func itIsALimitForEachQueryHead() {
    let store = diffuse()
    let limit = store.index.exactTolerance
    for count in [1, 3] {
      let queries = queries(scale: 0.125, count: count)
      store.index.search = .with(tolerance: 0.99 * limit * Float(count))
      #expect(store.attend(queries).read.bytes == rows * 4 * d)
      store.index.search = .with(tolerance: 1.01 * limit * Float(count))
      #expect(store.attend(queries).read.centroids > 0)
      store.index.search = .with(tolerance: 0, maximumRetrieved: rows - 1)
      #expect(store.attend(queries).read.retrieved <= rows - 1)
    }
    let bounded = ClusterIndex(dimension: d, search: .with(tolerance: 1e-3, maximumRetrieved: rows - 1))
    #expect(diffuse(index: bounded).index.exactTolerance == 0)
  }

  /// Nothing is read that exact attention would not read, and no index reads more than that on the queries that it
  /// learned from.
  @Test(arguments: [Float(1e-4), 4.5e-3, 1e-2, 5e-2])
  func noMoreIsReadThanAll(tolerance: Float) {
    for scale: Float in [0.02, 0.125, 0.5, 2] {
      let store = diffuse(training: scale)
      store.index.search.tolerance = tolerance
      let queries = queries(scale: scale, count: 24)
      var bytes = 0
      for first in stride(from: 0, to: queries.count, by: 3 * d) {
        bytes += store.attend(Array(queries[first..<first + 3 * d])).read.bytes
      }
      #expect(bytes <= 8 * rows * 4 * d, "queries of \(scale)")
    }
  }

  @Test func headsThatPayAreSearched() {
    let head = SyntheticHead(rows: 6000, dimension: d, seed: 14)
    let store = IndexedRows(keys: head.keys, values: head.values, dimension: d)
    store.insert(6000, training: store.train(head.queries(96, seed: 14)), groupSize: 3)
    let read = store.attend(head.queries(3, seed: 15), search: .init()).read
    #expect(read.centroids > 0 && read.retrieved < 3000)
  }

  /// It is of all rows: what does not pay for few may pay for many.
  @Test func everyInsertionDecidesAnew() {
    var generator = SeededGenerator(seed: 16)
    let store = IndexedRows(
      keys: generator.normals(12_000 * d), values: generator.normals(12_000 * d), dimension: d)
    store.insert(3000)
    let first = store.index.exactTolerance
    store.insert(3000)
    #expect(store.index.exactTolerance < first)
    store.insert(6000)
    #expect(store.index.exactTolerance == 0, "more rows than a call may read")
  }

  @Test func itIsSaved() throws {
    let directory = try TemporaryDirectory()
    let store = diffuse()
    try store.index.save(to: directory.file())
    let loaded = try ClusterIndex(contentsOf: directory.file(), verifying: true)
    #expect(loaded.exactTolerance == store.index.exactTolerance)
    // Older files say nothing of it.
    var bytes = try read(directory.file())
    let entry = try #require(bytes.parameterEntry("extl"))
    bytes.replaceSubrange(entry..<entry + 4, with: "none".utf8)
    bytes.sealHeader()
    try write(bytes, to: directory.file())
    #expect(try ClusterIndex(contentsOf: directory.file()).exactTolerance == 0)
  }

  /// Queries far longer than any that an index knows of ask for single keys, and estimates tell nothing of these.
  @Test(arguments: [nil, Float(0.125)])
  func sharpQueriesFindTheirKeys(training: Float?) {
    let store = diffuse(training: training)
    // Above what the index takes for a tolerance at which all rows are read.
    store.index.search.tolerance = max(0.02, 4 * store.index.exactTolerance)
    let queries = queries(scale: 6, count: 24)
    var errors: [Double] = []
    var bytes = 0
    for first in stride(from: 0, to: queries.count, by: 3 * d) {
      let group = Array(queries[first..<first + 3 * d])
      let (found, read) = store.attend(group)
      errors += store.reference(group).relativeErrors(of: found)
      bytes += read.bytes
    }
    #expect(mean(errors) < 0.1, "\(errors)")
    #expect(bytes < 8 * rows * 4 * d)
  }
}

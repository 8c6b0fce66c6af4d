// Files of indexes that keep outliers apart, and of those that have none.

import Testing
import VectorIndex

@Suite struct OutlierStorageTests {
  private let head = OutlierHead(rows: 800, outliers: 4, magnitude: 200)
  private static let kinds: [SavedKind] = [
    .clusters, .lists, .coRetrievalGraph, .roarGraphs, .lvq8, .lvq4, .pq2, .pq1,
  ]

  /// The kinds that need a version of their own for outliers, and what it is without.
  private static let versions: [(SavedKind, UInt32)] = [
    (.clusters, 3), (.coRetrievalGraph, 1), (.roarGraphs, 1),
  ]

  @Test(arguments: kinds)
  func loadedIndexesKeepThemApart(kind: SavedKind) throws {
    func check<Index: SavedIndex>(_ type: Index.Type) throws {
      let directory = try TemporaryDirectory()
      let store = IndexedRows(
        keys: head.keys, values: head.values, index: Index(dimension: OutlierHead.dimension))
      store.insert(600, training: store.train(head.training))
      try store.index.save(to: directory.file())
      let loaded = store.with(try Index(from: directory.file(), verifying: true))
      let group = Array(head.queries[..<(3 * OutlierHead.dimension)])
      let opposite = group.map { -$0 }
      for queries in [group, opposite] {
        let (expected, found) = (store.attend(queries), loaded.attend(queries))
        #expect(found.attention.outputs == expected.attention.outputs)
        #expect(found.read == expected.read)
      }
      #expect(loaded.index.byteCount == store.index.byteCount)
      for rows in [store, loaded] { rows.insert(200, training: rows.train(head.training)) }
      let (expected, found) = (store.attend(opposite), loaded.attend(opposite))
      #expect(found.attention.outputs == expected.attention.outputs)
      #expect(store.reference(opposite).relativeErrors(of: found.attention).allSatisfy { $0 < 1e-3 })
      try store.index.save(to: directory.file("store"))
      try loaded.index.save(to: directory.file("loaded"))
      #expect(try read(directory.file("loaded")) == read(directory.file("store")))
    }
    try check(kind.type)
  }

  /// What has no outliers is written as it was before there were any, for readers that know of none.
  @Test(arguments: versions)
  func theVersionIsTheFirstThatHasWhatIsNeeded(kind: SavedKind, version: UInt32) throws {
    func check<Index: SavedIndex>(_ type: Index.Type) throws {
      let directory = try TemporaryDirectory()
      for hasOutliers in [false, true] {
        let store = IndexedRows(
          keys: hasOutliers ? head.keys : head.plain.keys, values: head.values,
          index: Index(dimension: OutlierHead.dimension))
        store.insert(800, training: store.train(head.training))
        try store.index.save(to: directory.file())
        let bytes = try read(directory.file())
        #expect(bytes.number(at: 16, as: UInt32.self) == (hasOutliers ? version + 1 : version))
        #expect((bytes.parameterEntry("outl") != nil) == hasOutliers)
      }
    }
    try check(kind.type)
  }

  /// Places of outliers that lead out of their segment, or are out of order.
  @Test func wrongPlacesAreNamed() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file()
    let store = IndexedRows(
      keys: head.keys, values: head.values, index: ClusterIndex(dimension: OutlierHead.dimension))
    store.insert(400)
    store.insert(400)
    #expect(store.index.outlierCount == 4)
    try store.index.save(to: path)
    let intact = try read(path)
    let entry = try #require(intact.sectionEntry("outl"))
    let offset = Int(intact.number(at: entry + 16, as: UInt64.self))
    let count = Int(intact.number(at: entry + 8, as: UInt64.self))
    #expect(count >= 2)
    for (index, value) in [
      (0, UInt32.max), (0, UInt32(store.index.clusterCount)), (1, 0), (1, 801), (1, .max),
    ] {
      var bytes = intact
      bytes.set(value, at: offset + 4 * index)
      try write(bytes, to: path)
      do {
        _ = try ClusterIndex(contentsOf: path)
        Issue.record("\(value) at \(index) was read")
      } catch {
        guard case .invalidElement(path, "outl", index, _, "\(value)") = error else {
          Issue.record("\(error)")
          continue
        }
      }
    }
    let graph = IndexedRows(
      keys: head.keys, values: head.values, index: try GraphIndex(dimension: OutlierHead.dimension))
    graph.insert(800)
    try graph.index.save(to: path)
    let links = try read(path)
    let list = Int(links.number(at: try #require(links.sectionEntry("outl")) + 16, as: UInt64.self))
    for (index, value) in [(0, UInt32(800)), (1, 0)] {
      var bytes = links
      bytes.set(value, at: list + 4 * index)
      try write(bytes, to: path)
      #expect(throws: IndexFileError.self, "\(value) at \(index)") { try GraphIndex(contentsOf: path) }
    }
  }

  /// Any damage is an error or a wrong answer, never a read outside of the rows.
  @Test(arguments: [SavedKind.clusters, .coRetrievalGraph, .lists, .lvq4])
  func damageIsSafe(kind: SavedKind) throws {
    func check<Index: SavedIndex>(_ type: Index.Type) throws {
      let directory = try TemporaryDirectory()
      let path = directory.file()
      let store = IndexedRows(
        keys: head.keys, values: head.values, index: Index(dimension: OutlierHead.dimension))
      store.insert(800, training: store.train(head.training))
      try store.index.save(to: path)
      let intact = try read(path)
      var generator = SeededGenerator(seed: 7)
      var opened = 0
      let query = Array(head.queries[..<OutlierHead.dimension])
      // The outliers' section, or the masses that mark their lists.
      let entry = try #require(intact.sectionEntry(intact.sectionEntry("outl") == nil ? "mass" : "outl"))
      let start = Int(intact.number(at: entry + 16, as: UInt64.self))
      let size = 4 * Int(intact.number(at: entry + 8, as: UInt64.self))
      for _ in 0..<300 {
        var damaged = intact
        damaged[.random(in: start..<start + size, using: &generator)] = .random(
          in: 0...255, using: &generator)
        try write(damaged, to: path)
        guard let loaded = try? Index(from: path, verifying: false) else { continue }
        opened += 1
        #expect(store.with(loaded).attend(query).read.retrieved <= 800)
      }
      #expect(opened > 0)
    }
    try check(kind.type)
  }
}

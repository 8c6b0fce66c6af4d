// Saved indexes answer as before, whatever their kind, and can grow.

import Testing
import VectorIndex

@Suite struct IndexFileTests {
  @Test(arguments: SavedKind.allCases, [1, 13, 64])
  func loadedIndexesAnswerAlike(kind: SavedKind, dimension: Int) throws {
    func check<Index: SavedIndex>(_ type: Index.Type) throws {
      for segments in [[], [1], [300], [300, 1, 99]] {
        let directory = try TemporaryDirectory()
        let store = IndexedRows<Index>(rows: 400, dimension: dimension, segments: segments)
        try store.index.save(to: directory.file())
        #expect(directory.names == ["index"])
        let loaded = store.with(try Index(from: directory.file(), verifying: true))
        #expect(loaded.index.rowCount == store.index.rowCount)
        #expect(loaded.index.dimension == dimension)
        #expect(loaded.index.byteCount == store.index.byteCount)
        let queries = Array(store.floatKeys.prefix(3 * dimension)).map { $0 * 0.3 }
        let (expected, read) = store.attend(queries)
        let (found, readAgain) = loaded.attend(queries)
        #expect(found.outputs == expected.outputs)
        #expect(found.logSumExps == expected.logSumExps)
        #expect(readAgain == read)
        // What was loaded is saved as the same bytes.
        try loaded.index.save(to: directory.file("again"))
        #expect(try VectorIndexTests.read(directory.file("again")) == VectorIndexTests.read(directory.file()))
      }
    }
    try check(kind.type)
  }

  @Test(arguments: SavedKind.allCases)
  func insertionAfterLoadingIsInsertion(kind: SavedKind) throws {
    func check<Index: SavedIndex>(_ type: Index.Type) throws {
      let directory = try TemporaryDirectory()
      let store = IndexedRows<Index>(rows: 500, dimension: 24, segments: [200, 50])
      try store.index.save(to: directory.file())
      let bytes = try read(directory.file())
      let loaded = store.with(try Index(from: directory.file(), verifying: false))
      let training = store.train(Array(store.floatKeys[..<(24 * 8)]).map { $0 * 0.2 })
      for rows in [store, loaded] {
        rows.insert(150, training: training)
        rows.insert(100)
      }
      #expect(loaded.keys == store.keys)
      #expect(loaded.positions == store.positions)
      let queries = Array(store.floatKeys.prefix(3 * 24)).map { $0 * 0.3 }
      let (expected, found) = (store.attend(queries), loaded.attend(queries))
      #expect(found.attention.outputs == expected.attention.outputs)
      #expect(found.read == expected.read)
      #expect(try read(directory.file()) == bytes, "insertion wrote to the file")
      // And both are then saved alike.
      try store.index.save(to: directory.file("store"))
      try loaded.index.save(to: directory.file("loaded"))
      #expect(try read(directory.file("loaded")) == read(directory.file("store")))
    }
    try check(kind.type)
  }

  /// A loaded index can be saved where it came from, and keeps the old contents.
  @Test(arguments: SavedKind.allCases)
  func savesOverTheFileItIsIn(kind: SavedKind) throws {
    func check<Index: SavedIndex>(_ type: Index.Type) throws {
      let directory = try TemporaryDirectory()
      let store = IndexedRows<Index>(rows: 300, dimension: 16, segments: [200])
      try store.index.save(to: directory.file())
      let old = store.with(try Index(from: directory.file(), verifying: false))
      let queries = Array(store.floatKeys.prefix(2 * 16)).map { $0 * 0.3 }
      let expected = old.attend(queries).attention
      let grown = store.with(try Index(from: directory.file(), verifying: false))
      grown.insert(100)
      try grown.index.save(to: directory.file())
      #expect(old.attend(queries).attention.outputs == expected.outputs)
      let loaded = try Index(from: directory.file(), verifying: true)
      #expect(loaded.rowCount == 300)
    }
    try check(kind.type)
  }

  /// Odd keys give odd statistics, which must not make a file that cannot be read.
  @Test(arguments: SavedKind.allCases) func oddStatisticsAreReadBack(kind: SavedKind) throws {
    func check<Index: SavedIndex>(_ type: Index.Type) throws {
      let directory = try TemporaryDirectory()
      for scale: Float in [0, 1e-6, 1, 2e4, 1e9] {
        var generator = SeededGenerator(seed: 3)
        let keys = generator.normals(100 * 8).map { max(-60_000, min(60_000, $0 * scale)) }
        let values = generator.normals(100 * 8)
        for trainingScale: Float in [0, 1, 1e9] {
          let store = IndexedRows(keys: keys, values: values, index: Index(dimension: 8))
          store.insert(100, training: store.train(generator.normals(6 * 8, scale: trainingScale)))
          try store.index.save(to: directory.file())
          let loaded = try Index(from: directory.file(), verifying: true)
          #expect(loaded.byteCount == store.index.byteCount)
        }
      }
    }
    try check(kind.type)
  }

  @Test func parametersAreKept() throws {
    let directory = try TemporaryDirectory()
    var build = IVFIndex.BuildParameters.with(listSize: .max, choices: -7, assignment: .nearest)
    (build.iterations, build.seed) = (.min, 0x8000_0000_0000_0001)
    try IVFIndex(dimension: 77, build: build).save(to: directory.file())
    var search = IVFIndex.SearchParameters()
    search.probes = 99
    let loaded = try IVFIndex(contentsOf: directory.file(), search: search)
    #expect(loaded.build == build)
    #expect(loaded.search == search)
    #expect(loaded.dimension == 77)
    #expect(try IndexFile.kind(of: directory.file()) == "IVF ")
    let clusters = IndexedRows<ClusterIndex>(rows: 90, dimension: 4, segments: [40, 50]).index
    try clusters.save(to: directory.file())
    let loadedClusters = try ClusterIndex(contentsOf: directory.file())
    #expect(loadedClusters.build == clusters.build)
    #expect(loadedClusters.segmentCount == 2)
    #expect(loadedClusters.clusterCount == clusters.clusterCount)
  }

  /// The bytes that docs/index-format.md promises, read without the library.
  @Test func bytesAreAsDocumented() throws {
    let directory = try TemporaryDirectory()
    let store = IndexedRows<IVFIndex>(rows: 30, dimension: 6, segments: [30])
    try store.index.save(to: directory.file())
    let bytes = try read(directory.file())
    #expect(Array(bytes[..<8]) == [0x89, 0x52, 0x41, 0x49, 0x0d, 0x0a, 0x1a, 0x0a])
    #expect(bytes.number(at: 8, as: UInt32.self) == 1)
    #expect(Array(bytes[12..<16]) == Array("IVF ".utf8))
    #expect(bytes.number(at: 16, as: UInt32.self) == 1)
    #expect(bytes.number(at: 20, as: UInt32.self) == 6)
    #expect(bytes.number(at: 24, as: UInt64.self) == 30)
    let sections = bytes.number(at: 32, as: UInt32.self)
    let parameters = bytes.number(at: 36, as: UInt32.self)
    #expect((sections, parameters) == (3, 7))
    #expect(bytes.number(at: 40, as: UInt64.self) == UInt64(bytes.count))
    #expect(bytes[48..<60].allSatisfy { $0 == 0 })
    let header = 64 + 32 * Int(sections) + 16 * Int(parameters)
    #expect(bytes.number(at: 60, as: UInt32.self) == checksum(of: bytes[..<60] + bytes[64..<header]))
    let lists = store.index.listCount
    var end = header
    for (tag, size, count) in [("reps", 2, 6 * lists), ("mass", 4, lists), ("strt", 4, lists + 1)] {
      let entry = try #require(bytes.sectionEntry(tag))
      let offset = (end + 63) / 64 * 64
      #expect(bytes.number(at: entry + 4, as: UInt32.self) == UInt32(size))
      #expect(bytes.number(at: entry + 8, as: UInt64.self) == UInt64(count))
      #expect(bytes.number(at: entry + 16, as: UInt64.self) == UInt64(offset))
      #expect(bytes[end..<offset].allSatisfy { $0 == 0 })
      end = offset + size * count
      #expect(bytes.number(at: entry + 24, as: UInt32.self) == checksum(of: bytes[offset..<end]))
    }
    #expect(end == bytes.count)
    for (tag, type, bits) in [("lsiz", 1, UInt64(10)), ("seed", 2, .max - 6), ("list", 1, UInt64(lists))] {
      let entry = try #require(bytes.parameterEntry(tag))
      #expect(bytes.number(at: entry + 4, as: UInt32.self) == UInt32(type))
      #expect(bytes.number(at: entry + 8, as: UInt64.self) == bits)
    }
    let starts = try #require(bytes.sectionEntry("strt"))
    let offset = Int(bytes.number(at: starts + 16, as: UInt64.self))
    let sizes = (0..<lists).map { list in
      bytes.number(at: offset + 4 * list + 4, as: UInt32.self) - bytes.number(at: offset + 4 * list)
    }
    #expect(sizes.map { Int($0) } == store.index.listSizes)
  }
}

extension IndexedRows {
  var floatKeys: [Float] { floats(keys) }
}

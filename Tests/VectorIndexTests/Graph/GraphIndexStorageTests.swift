// Graphs in files: what docs/index-format.md says of them, and links that lead nowhere.

import Testing
import VectorIndex

@Suite struct GraphIndexStorageTests {
  /// 90 rows of dimension 6 with a graph for each of `groupSize` query heads.
  private func indexed(
    _ build: GraphIndex.BuildParameters, groupSize: Int = 1
  ) throws -> IndexedRows<GraphIndex> {
    let head = SyntheticHead(rows: 120, dimension: 6, seed: 51)
    let store = try IndexedRows(keys: head.keys, values: head.values, dimension: 6, build: build)
    store.insert(70, training: Training(queries: head.queries(12, seed: 52)), groupSize: groupSize)
    store.insert(20)
    return store
  }

  private func error(_ body: () throws -> Void) -> IndexFileError? {
    do {
      try body()
      return nil
    } catch {
      return error as? IndexFileError
    }
  }

  @Test(arguments: GraphIndex.Construction.allCases, GraphIndex.Sharing.allCases)
  func everyConstructionIsKept(construction: GraphIndex.Construction, sharing: GraphIndex.Sharing) throws {
    let directory = try TemporaryDirectory()
    let store = try indexed(
      .with(construction, sharing: sharing, maxDegree: 5, buildBeamWidth: 17, nearestCount: 9), groupSize: 3)
    try store.index.save(to: directory.file())
    let search = GraphIndex.SearchParameters.with(beamWidth: 11, k: 7)
    let loaded = try GraphIndex(contentsOf: directory.file(), search: search, verifying: true)
    #expect(loaded.build == store.index.build)
    #expect(loaded.search == search)
    #expect(try IndexFile.kind(of: directory.file()) == "GRPH")
    let again = store.with(loaded)
    // A query for each head, so that each graph is walked.
    let queries = Array(store.floatKeys.prefix(3 * 6)).map { $0 * 0.3 }
    let (expected, found) = (
      store.search(queries, k: 7, beamWidth: 11), again.search(queries, k: 7, beamWidth: 11)
    )
    #expect(found.rows == expected.rows)
    #expect(found.read == expected.read)
    #expect(again.reachesAllRows())
  }

  /// The links, read without the library: from the entry points of each graph they lead to all rows.
  @Test func linksAreAsDocumented() throws {
    let directory = try TemporaryDirectory()
    for (construction, capacity) in [(GraphIndex.Construction.coRetrieval, 8), (.roarGraph, 15)] {
      let store = try indexed(.with(construction, sharing: .perQueryHead, maxDegree: 5), groupSize: 2)
      try store.index.save(to: directory.file())
      let bytes = try read(directory.file())
      func elements(_ tag: String) throws -> [Int] {
        let entry = try #require(bytes.sectionEntry(tag), "\(tag)")
        #expect(bytes.number(at: entry + 4, as: UInt32.self) == 4)
        let offset = Int(bytes.number(at: entry + 16, as: UInt64.self))
        return (0..<Int(bytes.number(at: entry + 8, as: UInt64.self))).map {
          Int(bytes.number(at: offset + 4 * $0, as: UInt32.self))
        }
      }
      let (entries, starts) = (try elements("entr"), try elements("strt"))
      #expect(starts.count == 3)
      #expect(try elements("geom").count == (construction == .coRetrieval ? 36 : 0))
      for graph in 0..<2 {
        let places = try elements("l00\(graph)")
        #expect(places.count == 90 * (1 + capacity))
        var reached = Set<Int>()
        var open = Array(entries[starts[graph]..<starts[graph + 1]])
        while let row = open.popLast() {
          guard reached.insert(row).inserted else { continue }
          let first = row * (1 + capacity)
          open += places[first + 1..<first + 1 + places[first]]
        }
        #expect(reached == Set(0..<90))
      }
      #expect(bytes.sectionEntry("l002") == nil)
    }
  }

  /// Whatever would lead outside the rows is named.
  @Test func linksMustNotLeadOutOfTheRows() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file()
    let store = try indexed(.with(.coRetrieval, sharing: .perQueryHead, maxDegree: 4), groupSize: 2)
    try store.index.save(to: path)
    let intact = try read(path)
    func opening(_ change: (inout [UInt8]) throws -> Void) throws -> IndexFileError? {
      var bytes = intact
      try change(&bytes)
      bytes.sealHeader()
      try write(bytes, to: path)
      return error { _ = try GraphIndex(contentsOf: path) }
    }
    func element(_ tag: String, _ index: Int) throws -> Int {
      let entry = try #require(intact.sectionEntry(tag))
      return Int(intact.number(at: entry + 16, as: UInt64.self)) + 4 * index
    }
    #expect(try opening { _ in } == nil)
    for tag in ["l000", "l001"] {
      // Row 50 of rows of 1 + 6 places.
      for count in [UInt32(7), .max] {
        #expect(
          try opening { $0.set(count, at: try element(tag, 350)) }
            == .invalidElement(path: path, section: tag, index: 350, expected: "0 to 6", actual: "\(count)"))
      }
      for link in [UInt32(90), .max] {
        #expect(
          try opening {
            $0.set(UInt32(2), at: try element(tag, 350))
            $0.set(UInt32(89), at: try element(tag, 351))
            $0.set(link, at: try element(tag, 352))
          }
            == .invalidElement(
              path: path, section: tag, index: 352, expected: "below 90", actual: "\(link)"))
      }
      // What no count covers is no link.
      #expect(
        try opening {
          $0.set(UInt32(1), at: try element(tag, 350))
          $0.set(UInt32.max, at: try element(tag, 352))
        } == nil)
    }
    #expect(
      try opening { $0.set(UInt32(90), at: try element("entr", 1)) }
        == .invalidElement(path: path, section: "entr", index: 1, expected: "below 90", actual: "90"))
    guard
      case .invalidElement(path, "strt", 1, _, "1000") = try opening({
        $0.set(UInt32(1000), at: try element("strt", 1))
      })
    else {
      Issue.record("a start outside the entry points was accepted")
      return
    }
    #expect(
      try opening { $0.set(Float.infinity.bitPattern, at: try element("geom", 3)) }
        == .invalidElement(path: path, section: "geom", index: 3, expected: "a finite number", actual: "inf"))
  }

  @Test func parametersOutOfRangeAreErrorsOfTheFile() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file()
    let store = try indexed(.with(.coRetrieval, maxDegree: 4))
    try store.index.save(to: path)
    let intact = try read(path)
    for (tag, value, name, expected) in [
      ("mdeg", 0, "maxDegree", "1 to 4096"), ("mdeg", .max, "maxDegree", "1 to 4096"),
      ("near", 4097, "nearestCount", "1 to 4096"), ("bbea", -1, "buildBeamWidth", "1 to 4096"),
      ("cons", 3, "cons", "0 to 2"), ("shar", 2, "shar", "0 to 1"), ("grph", 0, "grph", "1 to 1"),
      ("grph", 2, "grph", "1 to 1"), ("geom", 2, "geom", "0 to 1"), ("entr", 91, "entr", "0 to 90"),
    ] {
      var bytes = intact
      let entry = try #require(bytes.parameterEntry(tag))
      bytes.set(Int64(value), at: entry + 8)
      bytes.sealHeader()
      try write(bytes, to: path)
      #expect(
        error { _ = try GraphIndex(contentsOf: path) }
          == .invalidField(path: path, name: name, expected: expected, actual: "\(value)"))
    }
    // Another degree is another size of the links.
    var bytes = intact
    let entry = try #require(bytes.parameterEntry("mdeg"))
    bytes.set(Int64(4096), at: entry + 8)
    bytes.sealHeader()
    try write(bytes, to: path)
    #expect(
      error { _ = try GraphIndex(contentsOf: path) }
        == .wrongCount(path: path, section: "l000", expected: 90 * 6145, actual: 90 * 7))
  }

  @Test func tooManyGraphsAreNotSaved() throws {
    let directory = try TemporaryDirectory()
    let head = SyntheticHead(rows: 2, dimension: 2, seed: 5)
    let build = GraphIndex.BuildParameters.with(.keysOnly, sharing: .perQueryHead, maxDegree: 1)
    for (groupSize, isSaved) in [(1000, true), (1001, false)] {
      let store = try IndexedRows(keys: head.keys, values: head.values, dimension: 2, build: build)
      store.insert(2, groupSize: groupSize)
      let path = directory.file("\(groupSize)")
      let found = error { try store.index.save(to: path) }
      #expect(
        found
          == (isSaved
            ? nil : .invalidField(path: path, name: "grph", expected: "0 to 1000", actual: "1001")))
    }
    #expect(directory.names == ["1000"])
    let loaded = try GraphIndex(contentsOf: directory.file("1000"), verifying: true)
    #expect(loaded.rowCount == 2)
  }
}

// Files of an index with its rows: the same answers bit by bit, and an error for every damage.

import AttentionKernels
import Testing
import VectorIndex

@Suite struct KeyValueStorageTests {
  @Test(arguments: KeyValueKind.allCases)
  func reopensBitForBit(kind: KeyValueKind) throws {
    let (head, d) = (HeadRows(rows: 900, dimension: 32), 32)
    let index = try kind.make(dimension: d)
    try head.insert(0..<500, into: index)
    try index.remove(ids: [0, 17, 499])
    try head.insert(500..<800, into: index)
    let directory = try TemporaryDirectory()
    try index.save(to: directory.file())
    #expect(directory.names == ["index"])
    let opened = try kind.open(directory.file())
    let queries = head.head.queries(3, seed: 2)
    #expect(try opened.answer(queries, dimension: d) == index.answer(queries, dimension: d))
    // And both go on alike.
    for rows in [index, opened] {
      #expect(try head.insert(800..<900, into: rows) == 800..<900)
      try rows.remove(ids: [18, 801])
    }
    #expect(try opened.answer(queries, dimension: d) == index.answer(queries, dimension: d))
    try opened.save(to: directory.file("other"))
    try index.save(to: directory.file())
    #expect(try read(directory.file("other")) == read(directory.file()))
    try IndexFile.verify(directory.file())
  }

  @Test func emptyIndexesAndIndexesAlone() throws {
    let directory = try TemporaryDirectory()
    let empty = try KeyValueIndex(ClusterIndex(dimension: 8))
    try empty.save(to: directory.file())
    #expect(try KeyValueIndex<ClusterIndex>(contentsOf: directory.file()).count == 0)
    // Without its rows an index is no KeyValueIndex, but with them it is still an index.
    try ClusterIndex(dimension: 8).save(to: directory.file("alone"))
    #expect(throws: IndexFileError.missingSection(path: directory.file("alone"), section: "rkey")) {
      _ = try KeyValueIndex<ClusterIndex>(contentsOf: directory.file("alone"))
    }
    let head = HeadRows(rows: 200, dimension: 8)
    try head.insert(0..<200, into: empty)
    try empty.save(to: directory.file())
    #expect(try ClusterIndex(contentsOf: directory.file()).rowCount == 200)
    #expect(
      throws: IndexFileError.wrongKind(path: directory.file(), expected: "SCAN", actual: "CLUS")
    ) { _ = try KeyValueIndex<ScanIndex>(contentsOf: directory.file()) }
    #expect(throws: KeyValueIndexError.indexNotEmpty(rowCount: 200)) {
      _ = try KeyValueIndex(ClusterIndex(contentsOf: directory.file()))
    }
    let before = try read(directory.file())
    #expect(throws: IndexFileError.self) { try empty.save(to: directory.path + "/none/index") }
    #expect(try read(directory.file()) == before)
    #expect(directory.names == ["alone", "index"])
  }

  /// The bytes of a small index with rows of two insertions.
  private func bytes(_ kind: KeyValueKind) throws -> [UInt8] {
    let directory = try TemporaryDirectory()
    let head = HeadRows(rows: 60, dimension: 4)
    let index = try kind.make(dimension: 4)
    try head.insert(0..<40, into: index)
    try head.insert(40..<60, into: index)
    try index.remove(ids: [5, 50])
    try index.save(to: directory.file())
    return try read(directory.file())
  }

  @Test(arguments: [KeyValueKind.clusters, .scan])
  func everyLengthAndFlippedBitIsFound(kind: KeyValueKind) throws {
    let intact = try bytes(kind)
    let directory = try TemporaryDirectory()
    let path = directory.file()
    func isRefused(_ bytes: [UInt8], verifying: Bool) throws -> Bool {
      try write(bytes, to: path)
      do {
        _ = try kind.open(path, verifying: verifying)
        return false
      } catch { return error is IndexFileError }
    }
    for length in stride(from: 0, to: intact.count, by: 7) {
      #expect(try isRefused(Array(intact[..<length]), verifying: false), "\(length) bytes")
    }
    for bit in stride(from: 0, to: 8 * intact.count, by: 13) {
      var damaged = intact
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(try isRefused(damaged, verifying: true), "bit \(bit)")
    }
    #expect(
      try isRefused(
        Array("no index at all, but a text of some length, which is longer than a header".utf8),
        verifying: false))
  }

  /// What a checksum does not find: fields that are wrong and sealed.
  @Test func fieldsThatDoNotFit() throws {
    let intact = try bytes(.scan)
    let directory = try TemporaryDirectory()
    let path = directory.file()
    func error(_ change: (inout [UInt8]) throws -> Void) throws -> IndexFileError? {
      var damaged = intact
      try change(&damaged)
      damaged.sealHeader()
      try write(damaged, to: path)
      do {
        _ = try KeyValueIndex<ScanIndex>(contentsOf: path, verifying: false)
        return nil
      } catch { return error }
    }
    func parameter(_ tag: String, _ value: Int) throws -> IndexFileError? {
      try error { $0.set(Int64(value), at: try #require($0.parameterEntry(tag)) + 8) }
    }
    func element(_ tag: String, _ index: Int, _ value: UInt32) throws -> IndexFileError? {
      try error {
        let offset: UInt64 = $0.number(at: try #require($0.sectionEntry(tag)) + 16)
        $0.set(value, at: Int(offset) + 4 * index)
      }
    }
    #expect(
      try parameter("rnxt", 3)
        == .invalidField(path: path, name: "rnxt", expected: "58 to 4294967295", actual: "3"))
    #expect(
      try parameter("rnxt", 58)
        == .invalidElement(path: path, section: "rids", index: 56, expected: "below 58", actual: "58"))
    #expect(try parameter("rins", 59) != nil)
    #expect(try parameter("rins", 1) != nil)
    #expect(try parameter("rgrp", 0) != nil)
    #expect(try parameter("rgrp", 7) != nil)
    #expect(try parameter("rtrn", -4) != nil)
    #expect(try parameter("rtrn", 190) != nil)
    #expect(
      try element("rids", 4, 3)
        == .invalidElement(
          path: path, section: "rids", index: 4, expected: "an id of no other row", actual: "3"))
    #expect(try element("rend", 1, 59) != nil)
    #expect(try element("rend", 0, 1) != nil)
    #expect(try element("rtrn", 2, Float.infinity.bitPattern) != nil)
    #expect(try error { _ in } == nil)
  }

  /// Keys and values of any bits, unverified: an answer, whatever it is.
  @Test(arguments: KeyValueKind.allCases)
  func damagedRowsAreSafe(kind: KeyValueKind) throws {
    var damaged = try bytes(kind)
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator(seed: 4)
    for tag in ["rkey", "rval"] {
      let entry = try #require(damaged.sectionEntry(tag))
      let offset = Int(damaged.number(at: entry + 16, as: UInt64.self))
      for i in 0..<58 * 8 { damaged[offset + i] = .random(in: 0...255, using: &generator) }
    }
    try write(damaged, to: directory.file())
    #expect(throws: IndexFileError.self) { _ = try kind.open(directory.file()) }
    let opened = try kind.open(directory.file(), verifying: false)
    let queries = HeadRows(rows: 60, dimension: 4).head.queries(3, seed: 2)
    #expect(try opened.answer(queries, dimension: 4).found.allSatisfy { $0.count == 20 })
    try opened.remove(ids: [1])
    #expect(try opened.answer(queries, dimension: 4).ids.count == 57)
  }
}

// Scans in files: what docs/index-format.md says of them, and codebooks that lead nowhere.

import AttentionKernels
import Testing
import VectorIndex

@Suite struct ScanIndexStorageTests {
  /// 250 rows of dimension 24, so that the last block of codes of any kind has room for more, with 12 rows to come.
  private func indexed(_ codes: KeyCodes, seed: UInt64 = 3) -> IndexedRows<ScanIndex> {
    let head = SyntheticHead(rows: 262, dimension: 24, seed: 61)
    let store = IndexedRows<ScanIndex>(head, codes, seed: seed)
    store.index.search.k = 20
    store.insert(250, training: store.train(head.queries(12, seed: 62)))
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

  @Test(arguments: KeyCodes.allCases)
  func parametersAreKept(codes: KeyCodes) throws {
    let directory = try TemporaryDirectory()
    let store = indexed(codes, seed: .max - 1)
    try store.index.save(to: directory.file())
    let loaded = try ScanIndex(contentsOf: directory.file(), search: .init(k: 33), verifying: true)
    #expect(loaded.build == store.index.build)
    #expect(loaded.search.k == 33)
    #expect(loaded.scorer.bytesPerRow == store.index.scorer.bytesPerRow)
    #expect(try IndexFile.kind(of: directory.file()) == "SCAN")
    // Scores themselves, not only which rows are best.
    let queries = Array(floats(store.keys).prefix(5 * 24)).map { $0 * 0.3 }
    #expect(store.with(loaded).codeScores(queries, 0..<250) == store.codeScores(queries, 0..<250))
  }

  /// Rows that fill the last block are encoded into mapped memory, which is the index's own: neither the file nor
  /// another index that was opened from it sees them.
  @Test(arguments: KeyCodes.allCases)
  func insertionIntoMappedBlocksStaysInMemory(codes: KeyCodes) throws {
    let directory = try TemporaryDirectory()
    let store = indexed(codes)
    try store.index.save(to: directory.file())
    let bytes = try read(directory.file())
    let grown = store.with(try ScanIndex(contentsOf: directory.file(), search: store.index.search))
    let other = store.with(try ScanIndex(contentsOf: directory.file(), search: store.index.search))
    let queries = Array(floats(store.keys).prefix(3 * 24)).map { $0 * 0.3 }
    let before = other.attend(queries).attention
    for rows in [store, grown] {
      // 250 + 6 rows are whole blocks of 16 and of 32; the others need a new one.
      rows.insert(1)
      rows.insert(5)
    }
    #expect(grown.codeScores(queries, 0..<256) == store.codeScores(queries, 0..<256))
    for rows in [store, grown] { rows.insert(6) }
    #expect(grown.codeScores(queries, 0..<262) == store.codeScores(queries, 0..<262))
    #expect(grown.attend(queries).attention.outputs == store.attend(queries).attention.outputs)
    #expect(try read(directory.file()) == bytes, "insertion wrote to the file")
    #expect(other.attend(queries).attention.outputs == before.outputs)
    let reopened = store.with(try ScanIndex(contentsOf: directory.file(), search: store.index.search))
    #expect(reopened.attend(queries).attention.outputs == before.outputs)
  }

  /// Sections and sizes of elements for d = 24.
  @Test func sectionsAreAsDocumented() throws {
    let directory = try TemporaryDirectory()
    let geometry = [("mean", 4, 24), ("fwrd", 4, 576), ("bwrd", 4, 576), ("spec", 4, 24)]
    for codes in KeyCodes.allCases {
      try indexed(codes).index.save(to: directory.file())
      let bytes = try read(directory.file())
      func parameter(_ tag: String) throws -> Int {
        Int(bytes.number(at: try #require(bytes.parameterEntry(tag)) + 8, as: UInt64.self))
      }
      #expect(try parameter("code") == [.float16, .lvq8, .lvq4, .pq2, .pq1].firstIndex(of: codes))
      var expected: [(String, Int, Int)] = []
      switch codes {
      case .float16: break
      case .lvq8: expected = geometry + [("lvqb", 64, 16 * (1 + 6))]
      case .lvq4: expected = geometry + [("lvqb", 64, 16 * (1 + 3))]
      case .pq2, .pq1:
        let (c, n) = (try parameter("cbks"), try parameter("crds"))
        let s = codes == .pq2 ? 12 : 8
        #expect(1...s ~= c)
        expected = geometry
        expected += [("crdi", 4, n), ("strt", 4, c + 1), ("entr", 4, 16 * n), ("ordr", 4, c)]
        expected.append(("pqbl", 64, 8 * s / 4))
      }
      #expect(Int(bytes.number(at: 32, as: UInt32.self)) == expected.count)
      for (tag, size, count) in expected {
        let entry = try #require(bytes.sectionEntry(tag), "\(tag) of \(codes)")
        #expect(bytes.number(at: entry + 4, as: UInt32.self) == UInt32(size))
        #expect(bytes.number(at: entry + 8, as: UInt64.self) == UInt64(count), "\(tag) of \(codes)")
      }
    }
  }

  /// Codes of a file, decoded without the library, are near the keys.
  @Test func lvqCodesAreAsDocumented() throws {
    let directory = try TemporaryDirectory()
    let store = indexed(.lvq4)
    try store.index.save(to: directory.file())
    let bytes = try read(directory.file())
    func offset(_ tag: String) throws -> Int {
      Int(bytes.number(at: try #require(bytes.sectionEntry(tag)) + 16, as: UInt64.self))
    }
    func float(_ offset: Int) -> Float { Float(bitPattern: bytes.number(at: offset)) }
    func half(_ offset: Int) -> Float { floats([bytes.number(at: offset, as: UInt16.self)])[0] }
    let (mean, forward, blocks) = (try offset("mean"), try offset("fwrd"), try offset("lvqb"))
    let keys = floats(store.keys)
    for row in [0, 17, 249] {
      let block = blocks + row / 16 * 64 * 4
      let place = row % 16
      let (scale, lowest) = (half(block + 2 * place), half(block + 32 + 2 * place))
      for j in 0..<24 {
        let expected = (0..<24).reduce(Float(0)) { sum, i in
          sum + (keys[row * 24 + i] - float(mean + 4 * i)) * float(forward + 4 * (24 * i + j))
        }
        let byte = bytes[block + 64 * (1 + j / 8) + 4 * place + j % 4]
        let code = j % 8 < 4 ? byte & 15 : byte >> 4
        // Half a step, and what rounding the scale and the offset adds.
        #expect(abs(lowest + scale * Float(code) - expected) < 0.52 * scale)
      }
    }
  }

  /// What would lead outside the coordinates or make sums meaningless is named.
  @Test func codebooksMustLeadToCoordinates() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file()
    try indexed(.pq2).index.save(to: path)
    let intact = try read(path)
    func opening(_ change: (inout [UInt8]) throws -> Void) throws -> IndexFileError? {
      var bytes = intact
      try change(&bytes)
      bytes.sealHeader()
      try write(bytes, to: path)
      return error { _ = try ScanIndex(contentsOf: path) }
    }
    func element(_ tag: String, _ index: Int) throws -> Int {
      let entry = try #require(intact.sectionEntry(tag))
      return Int(intact.number(at: entry + 16, as: UInt64.self)) + 4 * index
    }
    func value(_ tag: String, _ index: Int) throws -> UInt32 { intact.number(at: try element(tag, index)) }
    #expect(try opening { _ in } == nil)
    for coordinate in [UInt32(24), .max] {
      #expect(
        try opening { $0.set(coordinate, at: try element("crdi", 5)) }
          == .invalidElement(
            path: path, section: "crdi", index: 5, expected: "below 24", actual: "\(coordinate)"))
    }
    let first = try value("strt", 1)
    #expect(
      try opening { $0.set(first, at: try element("strt", 2)) }
        == .invalidElement(
          path: path, section: "strt", index: 2, expected: "above \(first)", actual: "\(first)"))
    for start in [UInt32(0), 10_000] {
      guard
        case .invalidElement(path, "strt", _, _, _) = try opening({
          $0.set(start, at: try element("strt", 2))
        })
      else {
        Issue.record("the start \(start) was accepted")
        return
      }
    }
    for number in [try value("ordr", 0), 12, .max] {
      #expect(
        try opening { $0.set(number, at: try element("ordr", 1)) }
          == .invalidElement(
            path: path, section: "ordr", index: 1, expected: "another number below 12", actual: "\(number)"))
    }
    for tag in ["mean", "fwrd", "bwrd", "spec", "entr"] {
      for number in [Float.nan, -.infinity] {
        #expect(
          try opening { $0.set(number.bitPattern, at: try element(tag, 7)) }
            == .invalidElement(
              path: path, section: tag, index: 7, expected: "a finite number", actual: "\(number)"))
      }
    }
    for (tag, number, expected) in [
      ("code", 5, "0 to 4"), ("cbks", 0, "1 to 12"), ("cbks", 13, "1 to 12"), ("crds", 11, "12 to 288"),
    ] {
      let entry = try #require(intact.parameterEntry(tag))
      #expect(
        try opening { $0.set(Int64(number), at: entry + 8) }
          == .invalidField(path: path, name: tag, expected: expected, actual: "\(number)"))
    }
    // Other codes have other sections.
    let code = try #require(intact.parameterEntry("code"))
    #expect(
      try opening { $0.set(Int64(2), at: code + 8) } == .missingSection(path: path, section: "lvqb"))
  }

  /// Codes may be anything: they decide what is read, and what is read is weighed exactly.
  @Test(arguments: [KeyCodes.lvq8, .lvq4, .pq2, .pq1])
  func anyCodesAreSafe(codes: KeyCodes) throws {
    let directory = try TemporaryDirectory()
    let path = directory.file()
    let store = indexed(codes)
    try store.index.save(to: path)
    var bytes = try read(path)
    let lines = try #require(bytes.sectionEntry("lvqb") ?? bytes.sectionEntry("pqbl"))
    let begin = Int(bytes.number(at: lines + 16, as: UInt64.self))
    var generator = SeededGenerator(seed: 63)
    for i in begin..<bytes.count { bytes[i] = .random(in: 0...255, using: &generator) }
    try write(bytes, to: path)
    let loaded = store.with(try ScanIndex(contentsOf: path, search: store.index.search))
    let queries = Array(floats(store.keys).prefix(3 * 24)).map { $0 * 0.3 }
    let recorder = ReadRecorder()
    let (attention, read) = loaded.attend(queries, recorder: recorder)
    #expect(recorder.rows.allSatisfy { $0 < 250 })
    #expect(read.retrieved == recorder.rows.count)
    #expect(1...60 ~= read.retrieved)
    #expect(attention.outputs.joined().allSatisfy { $0.isFinite })
    #expect(error { try IndexFile.verify(path) } != nil)
  }
}

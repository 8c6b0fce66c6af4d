// Files that are not what they should be: an error each time, and never a crash.

import Testing
import VectorIndex

@Suite struct DamagedFileTests {
  /// The bytes of a small saved index.
  private func bytes<Index: SavedIndex>(_ type: Index.Type) throws -> [UInt8] {
    let directory = try TemporaryDirectory()
    let store = IndexedRows<Index>(rows: 60, dimension: 4, segments: [35, 25], training: 4)
    try store.index.save(to: directory.file())
    return try read(directory.file())
  }

  private func error(_ body: () throws -> Void) -> IndexFileError? {
    do {
      try body()
      return nil
    } catch {
      return error as? IndexFileError
    }
  }

  @Test(arguments: SavedKind.allCases)
  func everyFlippedBitIsFound(kind: SavedKind) throws {
    func check<Index: SavedIndex>(_ type: Index.Type) throws {
      let intact = try bytes(type)
      let directory = try TemporaryDirectory()
      let path = directory.file()
      let header =
        64 + 32 * Int(intact.number(at: 32, as: UInt32.self))
        + 16 * Int(intact.number(at: 36, as: UInt32.self))
      let store = IndexedRows<Index>(rows: 60, dimension: 4, segments: [], training: 0)
      var opened = 0
      for bit in 0..<8 * intact.count where bit < 8 * header || bit % 9 == 0 {
        var damaged = intact
        damaged[bit / 8] ^= 1 << UInt8(bit % 8)
        try write(damaged, to: path)
        #expect(error { _ = try Index(from: path, verifying: true) } != nil, "bit \(bit)")
        #expect(error { try IndexFile.verify(path) } != nil, "bit \(bit)")
        guard let loaded = try? Index(from: path, verifying: false) else { continue }
        #expect(bit >= 8 * header, "bit \(bit) of the header")
        // Not verified, so the answer may be wrong; it must only be one.
        opened += 1
        let read = store.with(loaded).attend([0.1, 0.2, -0.3, 0.4]).read
        #expect(read.retrieved <= 60)
      }
      // Only a file that is all header leaves no damage for later.
      #expect(opened > 0 || header == intact.count, "no damage went unnoticed, so nothing was tested")
    }
    try check(kind.type)
  }

  @Test(arguments: SavedKind.allCases)
  func everyOtherLengthIsFound(kind: SavedKind) throws {
    func check<Index: SavedIndex>(_ type: Index.Type) throws {
      let intact = try bytes(type)
      let directory = try TemporaryDirectory()
      let path = directory.file()
      func isRefused(_ bytes: [UInt8]) throws -> Bool {
        try write(bytes, to: path)
        return error { _ = try Index(from: path, verifying: false) } != nil
      }
      for length in 0..<intact.count {
        #expect(try isRefused(Array(intact[..<length])), "\(length) bytes")
      }
      for extra in [1, 63, 64, 5000] {
        #expect(try isRefused(intact + [UInt8](repeating: 0, count: extra)), "\(extra) more")
      }
    }
    try check(kind.type)
  }

  /// Random bytes behind a good start, with a good checksum, so that every later check is reached.
  @Test(arguments: SavedKind.allCases)
  func sealedNonsenseIsSafe(kind: SavedKind) throws {
    func check<Index: SavedIndex>(_ type: Index.Type) throws {
      let intact = try bytes(type)
      let directory = try TemporaryDirectory()
      let path = directory.file()
      let store = IndexedRows<Index>(rows: 60, dimension: 4, segments: [], training: 0)
      var generator = SeededGenerator(seed: 8)
      var errors = 0
      for _ in 0..<1500 {
        var damaged = intact
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
          // From the sizes on: what comes before them has checks of its own, which would stop most of these.
          let offset = Int.random(in: 20..<intact.count, using: &generator)
          damaged[offset] = Bool.random(using: &generator) ? .random(in: 0...255, using: &generator) : 0xff
        }
        damaged.sealHeader()
        try write(damaged, to: path)
        guard let loaded = try? Index(from: path, verifying: false) else {
          errors += 1
          continue
        }
        guard loaded.dimension == 4, loaded.rowCount <= 60 else { continue }
        _ = store.with(loaded).attend([0.1, 0.2, -0.3, 0.4])
      }
      #expect(errors > 250)
    }
    try check(kind.type)
  }

  /// Kinds whose insertion follows what is there: links of a graph, coordinates and codes.
  @Test(arguments: [SavedKind.coRetrievalGraph, .roarGraphs, .lvq8, .lvq4, .pq2, .pq1])
  func insertionAfterDamageIsSafe(kind: SavedKind) throws {
    func check<Index: SavedIndex>(_ type: Index.Type) throws {
      let intact = try bytes(type)
      let directory = try TemporaryDirectory()
      let path = directory.file()
      let header =
        64 + 32 * Int(intact.number(at: 32, as: UInt32.self))
        + 16 * Int(intact.number(at: 36, as: UInt32.self))
      let store = IndexedRows<Index>(rows: 80, dimension: 4, segments: [], training: 0)
      var generator = SeededGenerator(seed: 9)
      var opened = 0
      for _ in 0..<300 {
        var damaged = intact
        for _ in 0..<Int.random(in: 1...20, using: &generator) {
          // The low byte of a number mostly, so that many a link leads to another row.
          let offset = Int.random(in: header..<intact.count, using: &generator)
          damaged[Int.random(in: 0..<20, using: &generator) == 0 ? offset : offset & ~3] = .random(
            in: 0...59, using: &generator)
        }
        try write(damaged, to: path)
        guard let loaded = try? Index(from: path, verifying: false) else { continue }
        opened += 1
        let rows = store.with(loaded)
        rows.insert(3)
        rows.insert(17, training: rows.train([0.1, 0.2, -0.3, 0.4, 0.4, 0.3, 0.2, -0.1]))
        #expect(rows.attend([0.1, 0.2, -0.3, 0.4]).read.retrieved <= 80)
      }
      #expect(opened > 30)
    }
    try check(kind.type)
  }

  @Test func otherKindsAndVersionsAreNamed() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file()
    let intact = try bytes(IVFIndex.self)
    try write(intact, to: path)
    #expect(
      error { _ = try ClusterIndex(contentsOf: path) }
        == .wrongKind(path: path, expected: "CLUS", actual: "IVF "))
    var future = intact
    future.set(UInt32(2), at: 8)
    // Its checksum, too, may be of another kind then.
    try write(future, to: path)
    #expect(
      error { _ = try IVFIndex(contentsOf: path) }
        == .unsupportedVersion(path: path, expected: 1, actual: 2))
    var futureKind = intact
    futureKind.set(UInt32(7), at: 16)
    futureKind.sealHeader()
    try write(futureKind, to: path)
    #expect(
      error { _ = try IVFIndex(contentsOf: path) }
        == .unsupportedKindVersion(path: path, kind: "IVF ", expected: 1, actual: 7))
    #expect(try IndexFile.kind(of: path) == "IVF ")
    try write(Array("Not an index, but long enough for one: it has more bytes than a header.".utf8), to: path)
    #expect(error { _ = try IVFIndex(contentsOf: path) } == .notAnIndexFile(path: path))
    try write([], to: path)
    #expect(
      error { _ = try IVFIndex(contentsOf: path) } == .wrongSize(path: path, expected: 64, actual: 0))
  }

  /// Headers with a right checksum and one wrong field, by what must be said of them.
  @Test func wrongFieldsAreNamed() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file()
    let intact = try bytes(IVFIndex.self)
    let representatives = try #require(intact.sectionEntry("reps"))
    let mass = try #require(intact.sectionEntry("mass"))
    let lists = Int(intact.number(at: mass + 8, as: UInt64.self))
    let first = intact.number(at: representatives + 16, as: UInt64.self)
    let offset = intact.number(at: mass + 16, as: UInt64.self)
    func opening(_ change: (inout [UInt8]) -> Void) throws -> IndexFileError? {
      var bytes = intact
      change(&bytes)
      bytes.sealHeader()
      try write(bytes, to: path)
      return error { _ = try IVFIndex(contentsOf: path) }
    }
    #expect(try opening { _ in } == nil)
    // The dimension: one that no index has, and another one.
    #expect(
      try opening { $0.set(UInt32(0), at: 20) }
        == .invalidField(path: path, name: "dimension", expected: "1 to 65536", actual: "0"))
    #expect(
      try opening { $0.set(UInt32(5), at: 20) }
        == .wrongCount(path: path, section: "reps", expected: 5 * lists, actual: 4 * lists))
    #expect(
      try opening { $0.set(UInt64.max, at: 24) }
        == .invalidField(
          path: path, name: "row count", expected: "0 to 4294967295", actual: "18446744073709551615"))
    #expect(
      try opening { $0.set(UInt64(59), at: 24) }
        == .invalidElement(path: path, section: "strt", index: lists, expected: "59", actual: "60"))
    #expect(
      try opening { $0.set(UInt32.max, at: 32) }
        == .invalidField(path: path, name: "section count", expected: "0 to 1024", actual: "4294967295"))
    #expect(
      try opening { $0.set(UInt64(1 << 40), at: 40) }
        == .wrongSize(path: path, expected: 1 << 40, actual: UInt64(intact.count)))
    // Sections: counts that overflow in bytes, places, sizes of elements, names.
    #expect(
      try opening { $0.set(UInt64(1) << 62, at: representatives + 8) }
        == .wrongSize(path: path, expected: (1 << 63) + first, actual: UInt64(intact.count)))
    #expect(
      try opening { $0.set(UInt64(Int.max), at: mass + 8) }
        == .wrongSize(path: path, expected: .max, actual: UInt64(intact.count)))
    #expect(
      try opening { $0.set(offset + 1, at: mass + 16) }
        == .misplacedSection(path: path, section: "mass", expected: offset, actual: offset + 1))
    #expect(
      try opening { $0.set(UInt64.max - 3, at: mass + 16) }
        == .misplacedSection(path: path, section: "mass", expected: offset, actual: .max - 3))
    #expect(
      try opening {
        $0.set(UInt32(1), at: mass + 4)
        $0.set(UInt64(4 * lists), at: mass + 8)
      } == .wrongElementSize(path: path, section: "mass", expected: 4, actual: 1))
    #expect(
      try opening { $0.replaceSubrange(mass..<mass + 4, with: "reps".utf8) }
        == .duplicateName(path: path, name: "reps"))
    #expect(
      try opening { $0.replaceSubrange(mass..<mass + 4, with: "maſ".utf8) }
        == .missingSection(path: path, section: "mass"))
    // Parameters.
    let list = try #require(intact.parameterEntry("list"))
    #expect(
      try opening { $0.set(UInt64(61), at: list + 8) }
        == .invalidField(path: path, name: "list", expected: "0 to 60", actual: "61"))
    #expect(
      try opening { $0.set(UInt64.max, at: list + 8) }
        == .invalidField(path: path, name: "list", expected: "0 to 60", actual: "-1"))
    #expect(
      try opening { $0.set(UInt32(3), at: list + 4) }
        == .invalidField(path: path, name: "type of list", expected: "1", actual: "3"))
    #expect(
      try opening { $0.replaceSubrange(list..<list + 4, with: "lisp".utf8) }
        == .missingParameter(path: path, name: "list"))
    #expect(
      try opening { $0.replaceSubrange(list..<list + 4, with: "seed".utf8) }
        == .duplicateName(path: path, name: "seed"))
    // Elements.
    #expect(
      try opening { $0.set(Float.nan.bitPattern, at: Int(offset) + 4) }
        == .invalidElement(path: path, section: "mass", index: 1, expected: "a number", actual: "nan"))
  }

  @Test func offsetsMustNotLeadOutOfTheRows() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file()
    let intact = try bytes(ClusterIndex.self)
    let entry = try #require(intact.sectionEntry("strt"))
    let count = Int(intact.number(at: entry + 8, as: UInt64.self))
    let offset = Int(intact.number(at: entry + 16, as: UInt64.self))
    for (index, value) in [(0, UInt32(1)), (1, 61), (1, .max), (2, 0), (count - 1, 59), (count - 1, 61)] {
      var bytes = intact
      bytes.set(value, at: offset + 4 * index)
      try write(bytes, to: path)
      let found = error { _ = try ClusterIndex(contentsOf: path) }
      guard case .invalidElement(path, "strt", index, _, String(value)) = found else {
        Issue.record("\(index), \(value): \(String(describing: found))")
        continue
      }
    }
  }

  @Test func pathsThatHoldNoFileAreErrors() throws {
    let directory = try TemporaryDirectory()
    #expect(error { _ = try IVFIndex(contentsOf: directory.path) } == .notARegularFile(path: directory.path))
    #expect(error { _ = try IVFIndex(contentsOf: "/dev/null") } == .notARegularFile(path: "/dev/null"))
    let missing = directory.file("missing")
    guard case .system("open", missing, _) = error({ _ = try IVFIndex(contentsOf: missing) }) else {
      Issue.record("a missing file was opened")
      return
    }
    // A path that the system would cut must not open what is before the cut.
    try IVFIndex(dimension: 3).save(to: directory.file())
    #expect(error { _ = try IVFIndex(contentsOf: directory.file() + "\0.bak") } != nil)
    #expect(error { _ = try IVFIndex(contentsOf: "") } != nil)
  }
}

// Saving: all of a file or nothing of it.

import Platform
import Testing
import VectorIndex

@Suite struct IndexFileWriterTests {
  private func error(_ body: () throws(IndexFileError) -> Void) -> IndexFileError? {
    do {
      try body()
      return nil
    } catch {
      return error
    }
  }

  @Test func failuresLeaveNothingBehind() throws {
    let directory = try TemporaryDirectory()
    let index = IndexedRows<IVFIndex>(rows: 100, dimension: 8, segments: [100]).index
    let nowhere = directory.file("missing/index")
    guard
      case .system("open", _, ENOENT) = error({ () throws(IndexFileError) in try index.save(to: nowhere) })
    else {
      Issue.record("saved to a directory that is not there")
      return
    }
    // A directory cannot be replaced by a file, which shows only when all has been written.
    mkdir(directory.file("taken"), 0o755)
    let taken = error { () throws(IndexFileError) in try index.save(to: directory.file("taken")) }
    guard case .system("rename", _, EISDIR) = taken else {
      Issue.record("\(String(describing: taken))")
      return
    }
    #expect(directory.names == ["taken"])
    #expect(error { () throws(IndexFileError) in try index.save(to: directory.file("a\0b")) } != nil)
    #expect(error { () throws(IndexFileError) in try index.save(to: "") } != nil)
    let long = directory.file(String(repeating: "x", count: 300))
    #expect(error { () throws(IndexFileError) in try index.save(to: long) } != nil)
    #expect(directory.names == ["taken"])
  }

  /// A limit on file sizes stands for a full disk: writing fails in the middle. In a process of its own, since the
  /// limit holds for all of it.
  @Test func aFullDiskLeavesTheOldFile() async {
    await #expect(processExitsWith: .success) {
      let directory = try TemporaryDirectory()
      let path = directory.file()
      let small = IndexedRows<ClusterIndex>(rows: 100, dimension: 8, segments: [100])
      try small.index.save(to: path)
      let before = try VectorIndexTests.read(path)
      let large = IndexedRows<ClusterIndex>(rows: 2000, dimension: 64, segments: [2000])
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 8000, rlim_max: 8000)
      #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
      #else
        let resource = RLIMIT_FSIZE
      #endif
      precondition(setrlimit(resource, &limit) == 0)
      do {
        try large.index.save(to: path)
        preconditionFailure("8000 bytes were enough")
      } catch IndexFileError.system("write", _, EFBIG) {
      }
      precondition(directory.names == ["index"], "a temporary file was left")
      let after = try VectorIndexTests.read(path)
      precondition(after == before, "the old file was changed")
    }
  }

  @Test func whatIsRefusedDoesNotReplaceTheOldFile() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file()
    try IVFIndex(dimension: 3).save(to: path)
    let before = try read(path)
    var statistics = RowBuffer<Float>()
    for value: Float in [1, .nan] { statistics.append(value) }
    var file = IndexFileWriter(kind: "TEST", kindVersion: 1, dimension: 1, rowCount: 0)
    file.add("stat", statistics)
    let found = error { () throws(IndexFileError) in
      try file.write(to: path) { file throws(IndexFileError) in
        try file.requireNumbers(file.rows("stat", count: 2), "stat")
      }
    }
    #expect(
      found == .invalidElement(path: path, section: "stat", index: 1, expected: "a number", actual: "nan"))
    #expect(try read(path) == before)
    #expect(directory.names == ["index"])
  }

  @Test func dimensionsThatNoFileCanHoldAreErrors() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file()
    let found = error { () throws(IndexFileError) in try IVFIndex(dimension: 65_537).save(to: path) }
    #expect(
      found == .invalidField(path: path, name: "dimension", expected: "1 to 65536", actual: "65537"))
    #expect(directory.names == [])
  }

  /// What kinds of index may store, besides what those here do.
  @Test func readsBackEveryType() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file()
    var file = IndexFileWriter(kind: "TEST", kindVersion: 3, dimension: 2, rowCount: 9)
    file.set("intg", -5)
    file.set("unsi", UInt64.max)
    file.set("flot", Float(1.25))
    file.set("nan ", Float.nan)
    var bytes = RowBuffer<UInt8>()
    for i in 0..<67 { bytes.append(UInt8(i)) }
    var ids = RowBuffer<UInt32>()
    for id: UInt32 in [8, 0, 9] { ids.append(id) }
    var doubles = RowBuffer<Double>()
    doubles.append(-0.5)
    let empty = RowBuffer<UInt16>()
    file.add("byte", bytes)
    file.add("none", empty)
    file.add("ids ", ids)
    file.add("dbls", doubles)
    try file.write(to: path)

    let reader = try IndexFileReader(path: path)
    try reader.verify()
    #expect(reader.kind == "TEST")
    #expect((reader.kindVersion, reader.dimension, reader.rowCount) == (3, 2, 9))
    #expect(try reader.integer("intg", in: -5...(-5)) == -5)
    #expect(try reader.unsigned("unsi") == .max)
    #expect(try reader.float("flot") == 1.25)
    #expect(throws: IndexFileError.self) { try reader.float("nan ") }
    #expect(throws: IndexFileError.self) { try reader.integer("flot", in: .min ... .max) }
    let readBytes = try reader.rows("byte", of: UInt8.self, count: 67)
    for i in 0..<67 { #expect(readBytes[i] == UInt8(i)) }
    let readDoubles = try reader.rows("dbls", of: Double.self, count: 1)
    #expect(readDoubles[0] == -0.5)
    let address = UInt(bitPattern: readDoubles.base)
    #expect(address % 64 == 0)
    let noElements = try reader.rows("none", of: UInt16.self, count: 0).count
    #expect(noElements == 0)
    let readIDs = try reader.rows("ids ", of: UInt32.self, count: 3)
    try reader.requireIDs(readIDs, "ids ", below: 10)
    let found = error { () throws(IndexFileError) in try reader.requireIDs(readIDs, "ids ", below: 9) }
    #expect(found == .invalidElement(path: path, section: "ids ", index: 2, expected: "below 9", actual: "9"))
  }

  /// Mapped memory behaves as a buffer's own, outlives its reader and is copied when it grows.
  @Test func mappedBuffersGrowAndChangeOnTheirOwn() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file()
    do {
      var ids = RowBuffer<UInt32>()
      for id: UInt32 in 0..<5000 { ids.append(id) }
      var file = IndexFileWriter(kind: "TEST", kindVersion: 1, dimension: 1, rowCount: 0)
      file.add("ids ", ids)
      try file.write(to: path)
    }
    let before = try read(path)
    var mapped = try IndexFileReader(path: path).rows("ids ", of: UInt32.self, count: 5000)
    unlink(path)
    var borrowed = mapped.isBorrowed
    #expect(borrowed)
    mapped[17] = 99
    borrowed = mapped.isBorrowed
    #expect(borrowed, "a change of one element need not copy all")
    mapped.append(7)
    borrowed = mapped.isBorrowed
    #expect(!borrowed)
    var elements: [UInt32] = []
    for i in 0..<mapped.count { elements.append(mapped[i]) }
    #expect(elements == (0..<5000).map { $0 == 17 ? 99 : UInt32($0) } + [7])
    // Changes stay in memory.
    try write(before, to: path)
    var first = try IndexFileReader(path: path).rows("ids ", of: UInt32.self, count: 5000)
    let second = try IndexFileReader(path: path).rows("ids ", of: UInt32.self, count: 5000)
    first[0] = 5
    first.removeAll()
    first.append(6)
    let untouched = second[0]
    #expect(untouched == 0)
    #expect(try read(path) == before)
  }

  @Test func checksumsAreThoseOfTheStandard() {
    func crc(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { CRC32C.checksum(of: $0) } }
    // The examples of RFC 3720, B.4, and the usual check value.
    #expect(crc(Array("123456789".utf8)) == 0xe306_9283)
    #expect(crc([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
    #expect(crc([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
    #expect(crc(Array(0..<32)) == 0x46dd_794e)
    #expect(crc([]) == 0)
    var generator = SeededGenerator(seed: 1)
    for count in 0..<40 {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
      #expect(crc(bytes) == checksum(of: bytes))
    }
  }
}

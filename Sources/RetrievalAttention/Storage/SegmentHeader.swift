// The layout of a segment: a file of a session, or a piece of memory that stands for one. docs/session-format.md
// describes it byte by byte.

import Platform
package import VectorIndex

/// What a segment holds.
package enum SegmentKind: String, CaseIterable, Sendable {
  /// Keys, values and positions.
  case rows = "ROWS"
  /// Indexes, one for each KV head that has one.
  case indexes = "INDX"
  /// Tokens, counts, and the queries that indexes learn from.
  case state = "STAT"

  var tag: FileTag {
    switch self {
    case .rows: "ROWS"
    case .indexes: "INDX"
    case .state: "STAT"
    }
  }

  /// Entries start at multiples of this. Rows are mapped at fixed addresses, page by page; 16 KiB is the largest
  /// page that machines commonly have.
  var alignment: Int { self == .rows ? SegmentLayout.rowAlignment : 64 }
}

enum SegmentLayout {
  /// Unlike any text, and damaged by any change of line ends: 0x89 "RAS" CR LF 0x1A LF.
  static let magic: [UInt8] = [0x89, 0x52, 0x41, 0x53, 0x0d, 0x0a, 0x1a, 0x0a]
  static let version: UInt32 = 1
  static let fixedHeader = 64
  static let checksumOffset = 60
  static let entrySize = 48
  static let rowAlignment = 1 << 14
  /// More than any model has heads, a few times over.
  static let maximumEntries = 1 << 20
}

/// One array in a segment.
package struct SegmentEntry: Equatable, Sendable {
  package var tag: FileTag
  /// The layer and KV head that it belongs to; 0 for what belongs to all.
  package var layer: Int
  package var head: Int
  /// Where it begins in the segment.
  package var offset: Int
  package var byteCount: Int
  /// For rows: the byte of the head's array that it replaces first. Otherwise 0.
  package var place: Int
  package var checksum: UInt32

  var end: Int { offset + byteCount }
}

/// The header of a segment: known to be consistent with itself and with the size of the file.
package struct SegmentHeader: Equatable, Sendable {
  package let kind: SegmentKind
  package let entries: [SegmentEntry]
  package let byteCount: Int
  /// Of the fixed part and the table, which has the checksums of the entries: so of everything.
  package let checksum: UInt32

  static func size(entryCount: Int) -> Int {
    SegmentLayout.fixedHeader + entryCount * SegmentLayout.entrySize
  }

  /// Lays out entries, in order; their offsets and checksums are set later.
  static func offsets(of byteCounts: [Int], kind: SegmentKind) -> (offsets: [Int], end: Int) {
    var end = size(entryCount: byteCounts.count)
    var offsets: [Int] = []
    for byteCount in byteCounts {
      offsets.append(aligned(end, kind.alignment))
      end = offsets[offsets.count - 1] + byteCount
    }
    return (offsets, end)
  }

  private static func aligned(_ offset: Int, _ alignment: Int) -> Int {
    (offset + alignment - 1) / alignment * alignment
  }

  /// The header of entries that are laid out, and its bytes.
  static func make(kind: SegmentKind, entries: [SegmentEntry], byteCount: Int) -> (SegmentHeader, [UInt8]) {
    var bytes = SegmentLayout.magic
    func append<Number: FixedWidthInteger>(_ number: Number) {
      unsafe Swift.withUnsafeBytes(of: number.littleEndian) { unsafe bytes.append(contentsOf: $0) }
    }
    append(SegmentLayout.version)
    append(kind.tag.code)
    append(UInt32(entries.count))
    append(UInt32(0))
    append(UInt64(byteCount))
    bytes += [UInt8](repeating: 0, count: SegmentLayout.fixedHeader - bytes.count)
    for entry in entries {
      append(entry.tag.code)
      append(UInt32(entry.layer))
      append(UInt32(entry.head))
      append(entry.checksum)
      append(UInt64(entry.offset))
      append(UInt64(entry.byteCount))
      append(UInt64(entry.place))
      append(UInt64(0))
    }
    let checksum = unsafe bytes.withUnsafeBytes { unsafe self.checksum(of: ByteReader($0)) }
    unsafe bytes.withUnsafeMutableBytes {
      unsafe $0.storeBytes(
        of: checksum.littleEndian, toByteOffset: SegmentLayout.checksumOffset, as: UInt32.self)
    }
    return (
      SegmentHeader(kind: kind, entries: entries, byteCount: byteCount, checksum: checksum), bytes
    )
  }

  private static func checksum(of header: ByteReader) -> UInt32 {
    header.checksum(skipping: SegmentLayout.checksumOffset..<SegmentLayout.fixedHeader)
  }

  private init(kind: SegmentKind, entries: [SegmentEntry], byteCount: Int, checksum: UInt32) {
    self.kind = kind
    self.entries = entries
    self.byteCount = byteCount
    self.checksum = checksum
  }

  /// How many bytes fixed part and table have, from the first 64 bytes of a file.
  static func size(
    fixedPart bytes: ByteReader, path: String, fileSize: Int
  ) throws(StorageError) -> Int {
    guard bytes.byteCount >= SegmentLayout.fixedHeader, unsafe bytes.bytes.starts(with: SegmentLayout.magic)
    else {
      throw .notASegment(path: path)
    }
    // Before the checksum, which a later version may compute in another way.
    let version = bytes.integer(at: 8, UInt32.self)
    guard version == SegmentLayout.version else {
      throw .unsupportedVersion(path: path, expected: Int(SegmentLayout.version), actual: Int(version))
    }
    let count = Int(bytes.integer(at: 16, UInt32.self))
    let size = size(entryCount: count)
    guard count <= SegmentLayout.maximumEntries, size <= fileSize else {
      throw .damaged(
        path: path, what: "number of entries", expected: "what fits into \(fileSize) bytes",
        actual: "\(count)")
    }
    return size
  }

  /// Reads fixed part and table, whose size ``size(fixedPart:path:fileSize:)`` told.
  init(_ bytes: ByteReader, path: String, fileSize: Int) throws(StorageError) {
    func require(_ what: String, _ expected: UInt64, _ actual: UInt64) throws(StorageError) {
      guard expected == actual else {
        throw .damaged(path: path, what: what, expected: "\(expected)", actual: "\(actual)")
      }
    }
    let checksum = Self.checksum(of: bytes)
    try require(
      "checksum of the header", UInt64(bytes.integer(at: SegmentLayout.checksumOffset, UInt32.self)),
      UInt64(checksum))
    let tag = FileTag(code: bytes.integer(at: 12, UInt32.self))
    guard let kind = SegmentKind.allCases.first(where: { $0.tag == tag }) else {
      throw .damaged(path: path, what: "kind", expected: "ROWS, INDX or STAT", actual: "\(tag)")
    }
    try require("size", bytes.integer(at: 24, UInt64.self), UInt64(fileSize))
    try require("reserved bytes", 0, UInt64(bytes.integer(at: 20, UInt32.self)))
    for offset in stride(from: 32, to: SegmentLayout.checksumOffset, by: 4) {
      try require("reserved bytes", 0, UInt64(bytes.integer(at: offset, UInt32.self)))
    }
    var entries: [SegmentEntry] = []
    var end = bytes.byteCount
    for start in stride(from: SegmentLayout.fixedHeader, to: bytes.byteCount, by: SegmentLayout.entrySize) {
      let number = entries.count
      func field(_ what: String, at offset: Int, upTo limit: Int) throws(StorageError) -> Int {
        let value = bytes.integer(at: start + offset, UInt64.self)
        guard value <= UInt64(limit) else {
          throw .damaged(
            path: path, what: "\(what) of entry \(number)", expected: "at most \(limit)", actual: "\(value)")
        }
        return Int(value)
      }
      let entry = SegmentEntry(
        tag: FileTag(code: bytes.integer(at: start, UInt32.self)),
        layer: Int(bytes.integer(at: start + 4, UInt32.self)),
        head: Int(bytes.integer(at: start + 8, UInt32.self)),
        offset: try field("offset", at: 16, upTo: fileSize),
        byteCount: try field("size", at: 24, upTo: fileSize),
        // Address spaces have 2^47 bytes.
        place: try field("place", at: 32, upTo: 1 << 47),
        checksum: bytes.integer(at: start + 12, UInt32.self))
      try require("reserved bytes", 0, bytes.integer(at: start + 40, UInt64.self))
      // One valid layout: nothing can overlap or be left over.
      try require(
        "offset of entry \(number)", UInt64(Self.aligned(end, kind.alignment)), UInt64(entry.offset))
      guard entry.end <= fileSize else {
        throw .damaged(
          path: path, what: "end of entry \(number)", expected: "at most \(fileSize)", actual: "\(entry.end)")
      }
      end = entry.end
      entries.append(entry)
    }
    try require("end of the last entry", UInt64(fileSize), UInt64(end))
    self.init(kind: kind, entries: entries, byteCount: fileSize, checksum: checksum)
  }
}

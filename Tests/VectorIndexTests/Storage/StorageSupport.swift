// Files for tests: a directory that goes away, and headers changed so that their checksum is still right.

import Foundation
import VectorIndex

/// A directory of its own, removed with everything in it when the last reference goes.
final class TemporaryDirectory {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "/index-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    try? FileManager.default.removeItem(atPath: path)
  }

  func file(_ name: String = "index") -> String { path + "/" + name }

  var names: [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: path).sorted()) ?? []
  }
}

func read(_ path: String) throws -> [UInt8] {
  Array(try Data(contentsOf: URL(fileURLWithPath: path)))
}

/// Makes these the bytes of a file, in place: tests of damage do it thousands of times.
func write(_ bytes: [UInt8], to path: String) throws {
  let descriptor = open(path, O_RDWR | O_CREAT, 0o644)
  defer { close(descriptor) }
  guard pwrite(descriptor, bytes, bytes.count, 0) == bytes.count,
    ftruncate(descriptor, off_t(bytes.count)) == 0
  else { throw POSIXError(.EIO) }
}

extension [UInt8] {
  func number<Number: FixedWidthInteger>(at offset: Int, as type: Number.Type = Number.self) -> Number {
    withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Number.self)) }
  }

  mutating func set<Number: FixedWidthInteger>(_ number: Number, at offset: Int) {
    withUnsafeMutableBytes { $0.storeBytes(of: number.littleEndian, toByteOffset: offset, as: Number.self) }
  }

  /// Makes the checksum of a changed header right, as docs/index-format.md says how.
  mutating func sealHeader() {
    let sections = Int(number(at: 32, as: UInt32.self))
    let parameters = Int(number(at: 36, as: UInt32.self))
    let end = Swift.min(count, 64 + 32 * sections + 16 * parameters)
    set(checksum(of: Array(self[..<60]) + self[64..<Swift.max(64, end)]), at: 60)
  }

  /// Where the entry of a section with this tag begins in the header.
  func sectionEntry(_ tag: String) -> Int? {
    (0..<Int(number(at: 32, as: UInt32.self))).map { 64 + 32 * $0 }
      .first { self[$0..<$0 + 4].elementsEqual(tag.utf8) }
  }

  /// Where the entry of a parameter with this tag begins in the header.
  func parameterEntry(_ tag: String) -> Int? {
    let table = 64 + 32 * Int(number(at: 32, as: UInt32.self))
    return (0..<Int(number(at: 36, as: UInt32.self))).map { table + 16 * $0 }
      .first { self[$0..<$0 + 4].elementsEqual(tag.utf8) }
  }
}

/// CRC-32C, bit by bit from the definition.
func checksum(of bytes: some Sequence<UInt8>) -> UInt32 {
  var crc = UInt32.max
  for byte in bytes {
    crc ^= UInt32(byte)
    for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0x82f6_3b78 : crc >> 1 }
  }
  return ~crc
}

/// Every kind of index that can be saved: checks of storage run for each.
enum SavedKind: CaseIterable {
  case clusters, lists, coRetrievalGraph, roarGraphs, float16, lvq8, lvq4, pq2, pq1

  var type: any SavedIndex.Type {
    switch self {
    case .clusters: ClusterIndex.self
    case .lists: IVFIndex.self
    case .coRetrievalGraph: SavedVariant<CoRetrievalGraph>.self
    case .roarGraphs: SavedVariant<RoarGraphs>.self
    case .float16: SavedVariant<Float16Keys>.self
    case .lvq8: SavedVariant<LVQ8Keys>.self
    case .lvq4: SavedVariant<LVQ4Keys>.self
    case .pq2: SavedVariant<PQ2Keys>.self
    case .pq1: SavedVariant<PQ1Keys>.self
    }
  }
}

/// What a test needs of a kind of index to save and open it.
protocol SavedIndex: StoredIndex {
  init(dimension: Int)
  func save(to path: String) throws(IndexFileError)
  init(from path: String, verifying: Bool) throws(IndexFileError)
}

extension ClusterIndex: SavedIndex {
  convenience init(dimension: Int) {
    var build = BuildParameters()
    (build.clusterSize, build.iterations, build.seed) = (16, 3, .max - 5)
    self.init(dimension: dimension, build: build)
  }
  convenience init(from path: String, verifying: Bool) throws(IndexFileError) {
    try self.init(contentsOf: path, verifying: verifying)
  }
}

extension IVFIndex: SavedIndex {
  convenience init(dimension: Int) {
    var build = BuildParameters()
    (build.listSize, build.choices, build.iterations, build.seed) = (10, 3, 2, .max - 6)
    self.init(dimension: dimension, build: build)
    search.probes = 3
  }
  convenience init(from path: String, verifying: Bool) throws(IndexFileError) {
    var search = SearchParameters()
    search.probes = 3
    try self.init(contentsOf: path, search: search, verifying: verifying)
  }
}

extension IndexedRows where Index: SavedIndex {
  /// Rows `[rows, d]` with an index over the first `sum(segments)` of them.
  convenience init(rows: Int, dimension d: Int, segments: [Int], training: Int = 12, seed: UInt64 = 5) {
    let head = SyntheticHead(rows: rows, dimension: d, seed: seed)
    self.init(keys: head.keys, values: head.values, index: Index(dimension: d))
    for count in segments {
      insert(count, training: training > 0 ? train(head.queries(training, seed: 9)) : .none)
    }
  }
}

extension IndexedRows {
  /// The same rows with another index.
  func with(_ index: Index) -> IndexedRows<Index> {
    let copy = IndexedRows(keys: floats(keys), values: floats(values), index: index)
    copy.positions = positions
    return copy
  }
}

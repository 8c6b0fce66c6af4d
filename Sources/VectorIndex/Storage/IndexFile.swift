// What is common to reading and writing an index file. docs/index-format.md describes the format byte by byte.

/// Saved indexes: one file each, written at once and mapped when it is read.
///
/// A file holds what an index has learned and not the rows: keys and values stay with the caller, who must keep them
/// in the order that the index gave them.
public enum IndexFile {
  /// The version of the container that this library writes, and the only one that it reads.
  public static let formatVersion: UInt32 = FileLayout.formatVersion

  /// Checks every byte of a file, of whatever kind: header, checksums of the sections, and padding.
  ///
  /// Cost: one pass over the file. Loading an index checks the header, and of the sections what it needs to be safe.
  public static func verify(_ path: String) throws(IndexFileError) {
    try IndexFileReader(path: path).verify()
  }

  /// The kind of index in a file, such as `CLUS`, from its header.
  public static func kind(of path: String) throws(IndexFileError) -> String {
    try IndexFileReader(path: path).kind.description
  }

  /// Writes an index to `path`, or leaves there what was there before. An index that could not be opened again, with
  /// statistics that are not numbers say, is not saved.
  package static func save<Index: StoredIndex>(_ index: Index, to path: String) throws(IndexFileError) {
    let file = writer(of: index)
    try withExtendedLifetime(index) { () throws(IndexFileError) in
      try file.write(to: path) { file throws(IndexFileError) in _ = try Index(reading: file) }
    }
  }

  /// Opens a file that must hold an index of a given type, and checks all of it on request.
  package static func open<Index: StoredIndex>(
    _ path: String, as type: Index.Type, verifying: Bool
  ) throws(IndexFileError) -> IndexFileReader {
    let file = try IndexFileReader(path: path)
    try check(file, holds: Index.self)
    if verifying { try file.verify() }
    return file
  }

  /// What a file of this index would hold. Refers to the index's memory, which must stay as it is.
  package static func writer<Index: StoredIndex>(of index: Index) -> IndexFileWriter {
    var file = IndexFileWriter(
      kind: Index.kind, kindVersion: index.storedKindVersion, dimension: index.dimension,
      rowCount: index.rowCount)
    index.write(to: &file)
    return file
  }

  /// Throws unless the file holds an index of this type, in the layout that this library knows.
  package static func check<Index: StoredIndex>(
    _ file: IndexFileReader, holds type: Index.Type
  ) throws(IndexFileError) {
    let path = file.path
    guard file.kind == Index.kind else {
      throw .wrongKind(path: path, expected: Index.kind.description, actual: file.kind.description)
    }
    guard (Index.oldestKindVersion...Index.kindVersion).contains(file.kindVersion) else {
      throw .unsupportedKindVersion(
        path: path, kind: Index.kind.description, expected: Index.kindVersion, actual: file.kindVersion)
    }
  }
}

/// A kind of index that can be written to a file and read back.
///
/// A kind lists its fields twice, in ``write(to:)`` and ``init(reading:)``, and calls ``IndexFile/save(_:to:)`` and
/// ``IndexFile/open(_:as:verifying:)`` from a public `save(to:)` and `init(contentsOf:)`. Its sections and parameters
/// belong in docs/index-format.md, and its type in the tests' `SavedKind`.
package protocol StoredIndex: AttentionIndex {
  /// Different for each kind.
  static var kind: FileTag { get }
  /// Raised when the sections or parameters change so that an older reader would misunderstand them.
  static var kindVersion: UInt32 { get }
  /// The first version that can still be read; ``kindVersion`` unless said otherwise.
  static var oldestKindVersion: UInt32 { get }
  /// The first version that has all that this index has; ``kindVersion`` unless said otherwise.
  var storedKindVersion: UInt32 { get }

  /// Adds every parameter and array. The memory of the arrays must stay until the file is written.
  func write(to file: inout IndexFileWriter)

  /// Takes everything back, and checks what a damaged file could break: counts, offsets, ids, not-a-numbers.
  init(reading file: IndexFileReader) throws(IndexFileError)
}

extension StoredIndex {
  package static var oldestKindVersion: UInt32 { kindVersion }
  package var storedKindVersion: UInt32 { Self.kindVersion }
}

// Rows in the file of their index: more sections, which whoever wants the index alone does not read.

extension KeyValueIndex {
  /// Writes the index with its rows, their ids and the last training queries, and without search parameters, to a file
  /// that replaces what is at `path`.
  ///
  /// It is an index file (docs/index-format.md) whose rows are in sections of their own; the index alone opens from it
  /// as well. The file is complete and on the disk before it takes its place.
  ///
  /// - Throws: ``IndexFileError``; the file at `path` is then as it was.
  public func save(to path: String) throws(IndexFileError) {
    try save(core, to: path)
  }

  private func save<Core: KeyIndex>(_ core: Core, to path: String) throws(IndexFileError) {
    try core.requireStorable(at: path)
    var file = IndexFile.writer(of: core)
    rows.write(to: &file)
    try withExtendedLifetime(self) { () throws(IndexFileError) in
      try file.write(to: path) { file throws(IndexFileError) in
        _ = try Core(reading: file)
        _ = try KeyValueStore(reading: file)
      }
    }
  }
}

extension KeyValueStore {
  /// Adds the rows to an index's file. Their memory must stay until it is written.
  func write(to file: inout IndexFileWriter) {
    unsafe file.add("rkey", keys)
    unsafe file.add("rval", values)
    unsafe file.add("rids", ids)
    file.set("rnxt", Int(nextID))
    file.set("rins", ends.count - 1)
    unsafe file.add("rend", ends)
    file.set("rgrp", groupSize)
    file.set("rtrn", training.count)
    unsafe file.add("rtrn", training)
  }

  init(reading file: IndexFileReader) throws(IndexFileError) {
    self.init()
    let (count, d) = (file.rowCount, file.dimension)
    keys = try file.rows("rkey", count: count * d)
    values = try file.rows("rval", count: count * d)
    ids = try file.rows("rids", count: count)
    let next = try file.integer("rnxt", in: count...Int(UInt32.max))
    nextID = UInt32(next)
    try file.requireIDs(ids, "rids", below: next)
    try Self.requireDifferent(ids, file)
    ends = try file.offsets("rend", count: file.integer("rins", in: 0...count) + 1, last: count)
    let elements = try file.integer("rtrn", in: 0...Int.max)
    groupSize = try file.integer("rgrp", in: 1...max(1, elements))
    guard elements % d == 0, elements / d % groupSize == 0 else {
      throw .invalidField(
        path: file.path, name: "rtrn", expected: "a multiple of \(d) times \(groupSize)",
        actual: "\(elements)")
    }
    training = try file.rows("rtrn", count: elements)
    try file.requireFinite(training, "rtrn")
  }

  private static func requireDifferent(
    _ ids: borrowing RowBuffer<UInt32>, _ file: IndexFileReader
  ) throws(IndexFileError) {
    var sorted = (0..<ids.count).map { UInt64(ids[$0]) << 32 | UInt64($0) }
    sorted.sort()
    for i in 1..<max(1, sorted.count) where sorted[i] >> 32 == sorted[i - 1] >> 32 {
      throw .invalidElement(
        path: file.path, section: "rids", index: Int(sorted[i] & 0xFFFF_FFFF),
        expected: "an id of no other row",
        actual: "\(sorted[i] >> 32)")
    }
  }
}

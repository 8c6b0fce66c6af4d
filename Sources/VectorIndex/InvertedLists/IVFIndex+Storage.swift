// An IVFIndex in a file: one line for each field, in write(to:) and in init(reading:).

extension IVFIndex {
  /// Writes the index, without the rows and without ``search``, to a file that replaces what is at `path`.
  ///
  /// The rows must be kept by the caller, in the order that insertion gave them.
  /// - Throws: ``IndexFileError/system(operation:path:code:)``; the file at `path` is then as it was.
  public func save(to path: String) throws(IndexFileError) {
    try IndexFile.save(self, to: path)
  }

  /// Opens a saved index. Its arrays stay in the file until rows are inserted; the file may be replaced or removed
  /// meanwhile, but must not be changed in place.
  ///
  /// - Parameters:
  ///   - verifying: whether to read all of the file and compare checksums. Without it an index of damaged
  ///     representatives is possible, which answers wrongly but safely.
  /// - Throws: ``IndexFileError``, whatever the file contains.
  public convenience init(
    contentsOf path: String, search: SearchParameters = .init(), verifying: Bool = false
  ) throws(IndexFileError) {
    try self.init(reading: IndexFile.open(path, as: Self.self, verifying: verifying))
    self.search = search
  }
}

extension IVFIndex: StoredIndex {
  package static var kind: FileTag { "IVF " }
  package static var kindVersion: UInt32 { 1 }

  package func write(to file: inout IndexFileWriter) {
    file.set("lsiz", build.listSize)
    file.set("chcs", build.choices)
    file.set("iter", build.iterations)
    file.set("seed", build.seed)
    file.set("assg", build.assignment == .balanced ? 1 : 0)
    file.set("list", listCount)
    file.set("segm", segmentCount)
    unsafe file.add("reps", representatives)
    unsafe file.add("mass", logMass)
    unsafe file.add("strt", starts)
  }

  package convenience init(reading file: IndexFileReader) throws(IndexFileError) {
    var build = BuildParameters()
    build.listSize = try file.integer("lsiz", in: Int.min...Int.max)
    build.choices = try file.integer("chcs", in: Int.min...Int.max)
    build.iterations = try file.integer("iter", in: Int.min...10_000)
    build.seed = try file.unsigned("seed")
    build.assignment = try file.integer("assg", in: 0...1) == 1 ? .balanced : .nearest
    self.init(dimension: file.dimension, build: build)
    let lists = try file.integer("list", in: 0...file.rowCount)
    let segments = try file.integer("segm", in: 0...file.rowCount)
    representatives = try file.rows("reps", count: lists * dimension)
    logMass = try file.rows("mass", count: lists)
    starts = try file.rows("strt", count: lists + 1)
    try file.requireNumbers(logMass, "mass")
    try file.requireOffsets(starts, "strt", last: file.rowCount)
    (rowCount, listCount, segmentCount) = (file.rowCount, lists, segments)
    outlierListCount = (0..<lists).count { logMass[$0] == .infinity }
  }
}

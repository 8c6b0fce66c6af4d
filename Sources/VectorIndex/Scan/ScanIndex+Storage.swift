// A ScanIndex in a file. What the sections hold depends on its codes: KeyScorer+Storage.swift.

extension ScanIndex {
  /// Writes the index, without the rows and without ``search``, to a file that replaces what is at `path`.
  ///
  /// The rows must be kept by the caller, in the order that insertion gave them.
  /// - Throws: ``IndexFileError/system(operation:path:code:)``, or
  ///   ``IndexFileError/invalidElement(path:section:index:expected:actual:)`` when what was learned is not finite, as
  ///   from keys that are not; the file at `path` is then as it was.
  public func save(to path: String) throws(IndexFileError) {
    try IndexFile.save(self, to: path)
  }

  /// Opens a saved index. Its codes stay in the file until rows are inserted; the file may be replaced or removed
  /// meanwhile, but must not be changed in place.
  ///
  /// Cost: what was learned is read, 8 d^2 bytes and the codebooks, but no codes.
  /// - Parameters:
  ///   - verifying: whether to read all of the file and compare checksums. Without it an index of damaged codes is
  ///     possible, which answers wrongly but safely.
  /// - Throws: ``IndexFileError``, whatever the file contains.
  public convenience init(
    contentsOf path: String, search: SearchParameters = .init(), verifying: Bool = false
  ) throws(IndexFileError) {
    try self.init(reading: IndexFile.open(path, as: Self.self, verifying: verifying))
    self.search = search
  }
}

extension ScanIndex: StoredIndex {
  package static var kind: FileTag { "SCAN" }
  package static var kindVersion: UInt32 { 1 }

  package func write(to file: inout IndexFileWriter) {
    file.set("code", build.codes.storedNumber)
    file.set("seed", build.seed)
    scorer.write(to: &file)
    file.addOutliers(outliers)
  }

  package convenience init(reading file: IndexFileReader) throws(IndexFileError) {
    let codes = KeyCodes.allCases.sorted { $0.storedNumber < $1.storedNumber }
    let code = try file.integer("code", in: 0...codes.count - 1)
    let build = BuildParameters(codes: codes[code], seed: try file.unsigned("seed"))
    self.init(dimension: file.dimension, build: build)
    try scorer.read(from: file)
    outliers = try file.outliers()
  }
}

extension KeyCodes {
  /// From 0, without gaps, and never changed: files have it.
  fileprivate var storedNumber: Int {
    switch self {
    case .float16: 0
    case .lvq8: 1
    case .lvq4: 2
    case .pq2: 3
    case .pq1: 4
    }
  }
}

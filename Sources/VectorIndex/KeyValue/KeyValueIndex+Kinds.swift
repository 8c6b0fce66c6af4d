// The kinds of index that keys and values can have, and how each begins: empty, or from a file.
// An extension for each: public initializers can't be constrained by `KeyIndex`, which is not public.

extension KeyValueIndex where Index == ClusterIndex {
  /// No rows yet.
  ///
  /// - Throws: ``KeyValueIndexError/indexNotEmpty(rowCount:)`` for an index that has rows: their keys are missing.
  public convenience init(_ index: ClusterIndex) throws(KeyValueIndexError) {
    try self.init(index: index, core: index)
  }

  /// Opens what ``save(to:)`` wrote.
  ///
  /// Keys, values and the index stay in the file until rows are inserted or removed; the file may be replaced or
  /// deleted meanwhile, but must not be changed in place.
  ///
  /// - Parameter verifying: whether to read all of the file and compare checksums. Without it a file that was damaged
  ///   may open, and then answers wrongly but safely.
  /// - Throws: ``IndexFileError``, whatever the file contains.
  public convenience init(
    contentsOf path: String, search: ClusterIndex.SearchParameters = .init(), verifying: Bool = true
  ) throws(IndexFileError) {
    let file = try IndexFile.open(path, as: Index.self, verifying: verifying)
    let index = try Index(reading: file)
    index.search = search
    self.init(index: index, core: index, rows: try KeyValueStore(reading: file))
  }
}

extension KeyValueIndex where Index == GraphIndex {
  /// No rows yet.
  ///
  /// - Throws: ``KeyValueIndexError/indexNotEmpty(rowCount:)`` for an index that has rows: their keys are missing.
  public convenience init(_ index: GraphIndex) throws(KeyValueIndexError) {
    try self.init(index: index, core: index)
  }

  /// Opens what ``save(to:)`` wrote.
  ///
  /// Keys, values and the index stay in the file until rows are inserted or removed; the file may be replaced or
  /// deleted meanwhile, but must not be changed in place.
  ///
  /// - Parameter verifying: whether to read all of the file and compare checksums. Without it a file that was damaged
  ///   may open, and then answers wrongly but safely.
  /// - Throws: ``IndexFileError``, whatever the file contains.
  public convenience init(
    contentsOf path: String, search: GraphIndex.SearchParameters = .init(), verifying: Bool = true
  ) throws(IndexFileError) {
    let file = try IndexFile.open(path, as: Index.self, verifying: verifying)
    let index = try Index(reading: file)
    index.search = search
    self.init(index: index, core: index, rows: try KeyValueStore(reading: file))
  }
}

extension KeyValueIndex where Index == IVFIndex {
  /// No rows yet.
  ///
  /// - Throws: ``KeyValueIndexError/indexNotEmpty(rowCount:)`` for an index that has rows: their keys are missing.
  public convenience init(_ index: IVFIndex) throws(KeyValueIndexError) {
    try self.init(index: index, core: index)
  }

  /// Opens what ``save(to:)`` wrote.
  ///
  /// Keys, values and the index stay in the file until rows are inserted or removed; the file may be replaced or
  /// deleted meanwhile, but must not be changed in place.
  ///
  /// - Parameter verifying: whether to read all of the file and compare checksums. Without it a file that was damaged
  ///   may open, and then answers wrongly but safely.
  /// - Throws: ``IndexFileError``, whatever the file contains.
  public convenience init(
    contentsOf path: String, search: IVFIndex.SearchParameters = .init(), verifying: Bool = true
  ) throws(IndexFileError) {
    let file = try IndexFile.open(path, as: Index.self, verifying: verifying)
    let index = try Index(reading: file)
    index.search = search
    self.init(index: index, core: index, rows: try KeyValueStore(reading: file))
  }
}

extension KeyValueIndex where Index == ScanIndex {
  /// No rows yet.
  ///
  /// - Throws: ``KeyValueIndexError/indexNotEmpty(rowCount:)`` for an index that has rows: their keys are missing.
  public convenience init(_ index: ScanIndex) throws(KeyValueIndexError) {
    try self.init(index: index, core: index)
  }

  /// Opens what ``save(to:)`` wrote.
  ///
  /// Keys, values and the index stay in the file until rows are inserted or removed; the file may be replaced or
  /// deleted meanwhile, but must not be changed in place.
  ///
  /// - Parameter verifying: whether to read all of the file and compare checksums. Without it a file that was damaged
  ///   may open, and then answers wrongly but safely.
  /// - Throws: ``IndexFileError``, whatever the file contains.
  public convenience init(
    contentsOf path: String, search: ScanIndex.SearchParameters = .init(), verifying: Bool = true
  ) throws(IndexFileError) {
    let file = try IndexFile.open(path, as: Index.self, verifying: verifying)
    let index = try Index(reading: file)
    index.search = search
    self.init(index: index, core: index, rows: try KeyValueStore(reading: file))
  }
}

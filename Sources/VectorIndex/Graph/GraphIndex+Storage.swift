// A GraphIndex in a file: the links of each graph where they lie, and the geometry.

extension GraphIndex {
  /// Writes the index, without the rows and without ``search``, to a file that replaces what is at `path`.
  ///
  /// The rows must be kept by the caller, in the order that insertion gave them.
  /// - Throws: ``IndexFileError/system(operation:path:code:)``, or
  ///   ``IndexFileError/invalidElement(path:section:index:expected:actual:)`` when the geometry is not finite, as from
  ///   training queries that are not, or ``IndexFileError/invalidField(path:name:expected:actual:)`` for more than
  ///   1000 graphs; the file at `path` is then as it was.
  public func save(to path: String) throws(IndexFileError) {
    try requireStorable(at: path)
    try IndexFile.save(self, to: path)
  }

  package func requireStorable(at path: String) throws(IndexFileError) {
    guard graphs.count <= Self.storedGraphLimit else {
      throw .invalidField(
        path: path, name: "grph", expected: "0 to \(Self.storedGraphLimit)", actual: String(graphs.count))
    }
  }

  /// Opens a saved index. Its links stay in the file until rows are inserted; the file may be replaced or removed
  /// meanwhile, but must not be changed in place.
  ///
  /// Cost: one pass over the links, since one that leads outside the rows must be found before a search follows it.
  /// - Parameters:
  ///   - verifying: whether to read all of the file and compare checksums. Without it an index of damaged links is
  ///     possible, which answers wrongly but safely.
  /// - Throws: ``IndexFileError``, whatever the file contains.
  public convenience init(
    contentsOf path: String, search: SearchParameters = .init(), verifying: Bool = false
  ) throws(IndexFileError) {
    try self.init(reading: IndexFile.open(path, as: Self.self, verifying: verifying))
    self.search = search
  }

  /// A section each, named by three digits.
  private static let storedGraphLimit = 1000
}

extension GraphIndex: StoredIndex {
  package static var kind: FileTag { "GRPH" }
  package static var kindVersion: UInt32 { 2 }
  package static var oldestKindVersion: UInt32 { 1 }
  /// Outliers are all that is new in version 2.
  package var storedKindVersion: UInt32 { outliers.count > 0 ? 2 : 1 }

  package func write(to file: inout IndexFileWriter) {
    file.set("cons", build.construction.storedNumber)
    file.set("shar", build.sharing == .perQueryHead ? 1 : 0)
    file.set("near", build.nearestCount)
    file.set("mdeg", build.maxDegree)
    file.set("bbea", build.buildBeamWidth)
    file.set("grph", graphs.count)
    file.set("geom", geometry.count > 0 ? 1 : 0)
    var entries: [UInt32] = []
    var starts: [UInt32] = [0]
    for graph in graphs {
      entries += graph.entryPoints
      starts.append(UInt32(entries.count))
    }
    file.set("entr", entries.count)
    file.add("entr", copying: entries)
    file.add("strt", copying: starts)
    unsafe file.add("geom", geometry)
    for (number, graph) in graphs.enumerated() { unsafe file.add(FileTag("l", number), graph.places) }
    file.addOutliers(outliers)
  }

  package convenience init(reading file: IndexFileReader) throws(IndexFileError) {
    let constructions = Construction.allCases.sorted { $0.storedNumber < $1.storedNumber }
    let construction = try file.integer("cons", in: 0...constructions.count - 1)
    var build = BuildParameters(constructions[construction])
    build.sharing = try file.integer("shar", in: 0...1) == 1 ? .perQueryHead : .shared
    build.nearestCount = try file.integer("near", in: Int.min...Int.max)
    build.maxDegree = try file.integer("mdeg", in: Int.min...Int.max)
    build.buildBeamWidth = try file.integer("bbea", in: Int.min...Int.max)
    do throws(GraphIndexError) {
      try self.init(dimension: file.dimension, build: build)
    } catch {
      throw IndexFileError(error, path: file.path)
    }
    // Graphs are made with the first row.
    let rows = file.rowCount
    let most = rows == 0 ? 0 : build.sharing == .shared ? 1 : Self.storedGraphLimit
    let count = try file.integer("grph", in: min(rows, 1)...most)
    let hasGeometry = try file.integer("geom", in: 0...(build.construction == .coRetrieval ? 1 : 0)) == 1
    geometry = try file.rows("geom", count: hasGeometry ? dimension * dimension : 0)
    try file.requireFinite(geometry, "geom")
    let entryCount = try file.integer("entr", in: 0...count * rows)
    let entries = try file.rows("entr", of: UInt32.self, count: entryCount)
    let starts = try file.rows("strt", of: UInt32.self, count: count + 1)
    try file.requireIDs(entries, "entr", below: rows)
    try file.requireOffsets(starts, "strt", last: entryCount)
    let (maxDegree, capacity) = Self.degrees(of: build)
    for number in 0..<count {
      let tag = FileTag("l", number)
      let places = try file.rows(tag, of: UInt32.self, count: rows * (1 + capacity))
      try file.requireLinks(places, tag, capacity: capacity, rowCount: rows)
      let (begin, end) = unsafe (Int(starts.base[number]), Int(starts.base[number + 1]))
      graphs.append(
        LinkTable(
          maxDegree: maxDegree, capacity: capacity, rowCount: rows, places: places,
          entryPoints: (begin..<end).map { entries[$0] }))
    }
    outliers = try file.outliers()
    rowCount = rows
  }
}

extension IndexFileError {
  /// What makes a graph index impossible, as a fault of the file that asks for it.
  fileprivate init(_ error: GraphIndexError, path: String) {
    switch error {
    case .parameterOutOfRange(let name, let value, let allowed):
      self = .invalidField(
        path: path, name: name, expected: "\(allowed.lowerBound) to \(allowed.upperBound)",
        actual: String(value))
    }
  }
}

extension IndexFileReader {
  /// Each row of `places` `[rowCount, 1 + capacity]` is a number of links, at most `capacity`, then as many rows.
  /// What lies behind them is never read.
  fileprivate func requireLinks(
    _ places: borrowing RowBuffer<UInt32>, _ tag: FileTag, capacity: Int, rowCount: Int
  ) throws(IndexFileError) {
    for row in 0..<rowCount {
      let first = row * (1 + capacity)
      let count = unsafe places.base[first]
      guard count <= capacity else {
        throw .invalidElement(
          path: path, section: tag.description, index: first, expected: "0 to \(capacity)",
          actual: String(count))
      }
      var highest: UInt32 = 0
      for i in 0..<Int(count) { highest = unsafe max(highest, places.base[first + 1 + i]) }
      // A maximum takes no branch for each link; which of them it was is only asked of a damaged file.
      guard highest < rowCount else {
        let wrong = (first + 1...first + Int(count)).first { unsafe places.base[$0] >= rowCount } ?? first
        throw .invalidElement(
          path: path, section: tag.description, index: wrong, expected: "below \(rowCount)",
          actual: unsafe String(places.base[wrong]))
      }
    }
  }
}

extension GraphIndex.Construction {
  /// From 0, without gaps, and never changed: files have it.
  fileprivate var storedNumber: Int {
    switch self {
    case .roarGraph: 0
    case .coRetrieval: 1
    case .keysOnly: 2
    }
  }
}

// A ClusterIndex in a file: one line for each field, in write(to:) and in init(reading:).

extension ClusterIndex {
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
  ///     centroids is possible, which answers wrongly but safely.
  /// - Throws: ``IndexFileError``, whatever the file contains.
  public convenience init(
    contentsOf path: String, search: SearchParameters = .init(), verifying: Bool = false
  ) throws(IndexFileError) {
    try self.init(reading: IndexFile.open(path, as: Self.self, verifying: verifying))
    self.search = search
  }
}

extension ClusterIndex: StoredIndex {
  package static var kind: FileTag { "CLUS" }
  package static var kindVersion: UInt32 { 4 }
  package static var oldestKindVersion: UInt32 { 3 }
  /// Outliers are all that is new in version 4.
  package var storedKindVersion: UInt32 { outliers.count > 0 ? 4 : 3 }

  package func write(to file: inout IndexFileWriter) {
    file.set("csiz", build.clusterSize)
    file.set("iter", build.iterations)
    file.set("seed", build.seed)
    file.set("clus", clusterCount)
    file.set("segm", segmentCount)
    unsafe file.add("cent", centroids)
    unsafe file.add("mval", meanValues)
    unsafe file.add("mass", logMass)
    unsafe file.add("sprd", spread)
    unsafe file.add("gain", gain)
    unsafe file.add("vspr", valueSpread)
    unsafe file.add("strt", starts)
    file.set("grps", groups.count)
    unsafe file.add("gcen", groups.centroids)
    unsafe file.add("gmva", groups.meanValues)
    unsafe file.add("gmas", groups.logMass)
    unsafe file.add("gspr", groups.spread)
    unsafe file.add("ggai", groups.gain)
    unsafe file.add("gstr", groups.starts)
    file.set("code", build.usesCodes ? 1 : 0)
    unsafe file.add("cblk", codes.blocks)
    unsafe file.add("ckey", codes.keyMap)
    unsafe file.add("cqry", codes.queryMap)
    unsafe file.add("cwrd", codes.words)
    if exactTolerance > 0 { file.set("extl", exactTolerance) }
    if outliers.count > 0 {
      file.set("outl", outliers.count)
      unsafe file.add("outl", outliers.places)
    }
  }

  package convenience init(reading file: IndexFileReader) throws(IndexFileError) {
    var build = BuildParameters()
    build.clusterSize = try file.integer("csiz", in: 1...Int.max)
    build.iterations = try file.integer("iter", in: Int.min...10_000)
    build.seed = try file.unsigned("seed")
    build.usesCodes = try file.integer("code", in: 0...1) == 1
    self.init(dimension: file.dimension, build: build)
    let clusters = try file.integer("clus", in: 0...file.rowCount)
    let segments = try file.integer("segm", in: 0...file.rowCount)
    centroids = try file.rows("cent", count: clusters * dimension)
    meanValues = try file.rows("mval", count: clusters * dimension)
    logMass = try file.rows("mass", count: clusters)
    spread = try file.rows("sprd", count: clusters)
    gain = try file.rows("gain", count: clusters)
    valueSpread = try file.rows("vspr", count: clusters)
    starts = try file.offsets("strt", count: clusters + 1, last: file.rowCount)
    try file.requireNumbers(logMass, "mass")
    try file.requireNumbers(spread, "sprd")
    try file.requireNumbers(gain, "gain")
    try file.requireNumbers(valueSpread, "vspr")
    try readGroups(file, clusters: clusters)
    if file.hasParameter("extl") { exactTolerance = try file.float("extl") }
    if file.kindVersion >= 4 { try readOutliers(file, segments: segments) }
    // Codes are there from the first row on.
    if build.usesCodes, file.rowCount > 0 {
      let maps = dimension * dimension
      codes.restore(
        rowCount: file.rowCount,
        blocks: try file.rows(
          "cblk", count: ResidualCodes.blockByteCount(rows: file.rowCount, codes.subquantizers)),
        keyMap: try file.rows("ckey", count: maps), queryMap: try file.rows("cqry", count: maps),
        words: try file.rows("cwrd", count: codes.subquantizers * 2 * ResidualCodes.wordCount))
      try file.requireNumbers(codes.words, "cwrd")
    }
    (rowCount, clusterCount, segmentCount) = (file.rowCount, clusters, segments)
    updateDerived()
  }

  /// Where each run begins within its cluster's rows.
  private func readOutliers(_ file: IndexFileReader, segments: Int) throws(IndexFileError) {
    let count = try file.integer("outl", in: 0...segments)
    outliers.places = try file.rows("outl", count: 2 * count)
    var next = 0
    for run in 0..<count {
      let (cluster, begin) = (outliers.cluster(run), outliers.begin(run))
      guard cluster >= next, cluster < starts.count - 1 else {
        throw .invalidElement(
          path: file.path, section: "outl", index: 2 * run, expected: "\(next) to \(starts.count - 2)",
          actual: "\(cluster)")
      }
      next = cluster + 1
      guard starts[cluster] <= begin, begin <= starts[next] else {
        throw .invalidElement(
          path: file.path, section: "outl", index: 2 * run + 1,
          expected: "\(starts[cluster]) to \(starts[next])", actual: "\(begin)")
      }
    }
  }

  private func readGroups(_ file: IndexFileReader, clusters: Int) throws(IndexFileError) {
    let count = try file.integer("grps", in: 0...clusters)
    groups.centroids = try file.rows("gcen", count: count * dimension)
    groups.meanValues = try file.rows("gmva", count: count * dimension)
    groups.logMass = try file.rows("gmas", count: count)
    groups.spread = try file.rows("gspr", count: count)
    groups.gain = try file.rows("ggai", count: count)
    groups.starts = try file.offsets("gstr", count: count + 1, last: clusters)
    try file.requireNumbers(groups.logMass, "gmas")
    try file.requireNumbers(groups.spread, "gspr")
    try file.requireNumbers(groups.gain, "ggai")
  }
}

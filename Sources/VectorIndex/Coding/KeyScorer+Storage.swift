// Codes in a file, with what they were made by.
//
// Codes may be any bytes: every code has an entry, and scores only decide which rows are read. Places that lead
// somewhere (coordinates, starts, the order of codebooks) and factors are checked.

extension ExactKeys {
  func write(to file: inout IndexFileWriter) {}

  func read(from file: IndexFileReader) throws(IndexFileError) {
    rowCount = file.rowCount
  }
}

extension CodeGeometry {
  func write(to file: inout IndexFileWriter) {
    unsafe file.add("mean", mean)
    unsafe file.add("fwrd", forward)
    unsafe file.add("bwrd", backward)
    unsafe file.add("spec", spectrum)
  }

  /// Cost: the maps are read, 8 d^2 bytes.
  convenience init(reading file: IndexFileReader) throws(IndexFileError) {
    let d = file.dimension
    let mean = try file.rows("mean", of: Float.self, count: d)
    let forward = try file.rows("fwrd", of: Float.self, count: d * d)
    let backward = try file.rows("bwrd", of: Float.self, count: d * d)
    let spectrum = try file.rows("spec", of: Float.self, count: d)
    try file.requireFinite(mean, "mean")
    try file.requireFinite(forward, "fwrd")
    try file.requireFinite(backward, "bwrd")
    try file.requireFinite(spectrum, "spec")
    self.init(dimension: d, mean: mean, forward: forward, backward: backward, spectrum: spectrum)
  }
}

extension LocallyAdaptiveCodes {
  func write(to file: inout IndexFileWriter) {
    guard let geometry else { return }
    geometry.write(to: &file)
    unsafe file.add("lvqb", lines)
  }

  func read(from file: IndexFileReader) throws(IndexFileError) {
    guard file.rowCount > 0 else { return }
    geometry = try CodeGeometry(reading: file)
    lines = try file.rows("lvqb", count: Self.blockCount(rows: file.rowCount) * blockLines)
    rowCount = file.rowCount
  }
}

extension ProductCodes {
  func write(to file: inout IndexFileWriter) {
    guard let geometry else { return }
    file.set("cbks", starts.count - 1)
    file.set("crds", coordinates.count)
    geometry.write(to: &file)
    unsafe file.add("crdi", coordinates)
    unsafe file.add("strt", starts)
    unsafe file.add("entr", entries)
    file.add("ordr", copying: encodingOrder.map { UInt32($0) })
    unsafe file.add("pqbl", lines)
  }

  func read(from file: IndexFileReader) throws(IndexFileError) {
    guard file.rowCount > 0 else { return }
    // A coordinate may be in several codebooks, but only once in each.
    let codebooks = try file.integer("cbks", in: 1...codebookCount)
    let places = try file.integer("crds", in: codebooks...codebooks * dimension)
    geometry = try CodeGeometry(reading: file)
    coordinates = try file.rows("crdi", count: places)
    starts = try file.rows("strt", count: codebooks + 1)
    entries = try file.rows("entr", count: 16 * places)
    let order: [UInt32] = try file.array("ordr", count: codebooks)
    lines = try file.rows("pqbl", count: Self.blockCount(rows: file.rowCount) * codebookCount / 4)
    try file.requireIDs(coordinates, "crdi", below: dimension)
    try file.requireOffsets(starts, "strt", last: places)
    for i in 0..<codebooks where unsafe starts.base[i] == starts.base[i + 1] {
      throw .invalidElement(
        path: file.path, section: "strt", index: i + 1, expected: unsafe "above \(starts.base[i])",
        actual: unsafe String(starts.base[i + 1]))
    }
    try file.requireFinite(entries, "entr")
    try file.requirePermutation(order, "ordr")
    encodingOrder = order.map { Int($0) }
    rowCount = file.rowCount
  }
}

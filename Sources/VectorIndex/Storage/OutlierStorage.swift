// Rows that are kept apart, in a file: a list that is not there when it is empty.

extension IndexFileWriter {
  /// Adds the rows that an index keeps apart, if there are any.
  mutating func addOutliers(_ rows: borrowing RowBuffer<UInt32>) {
    guard rows.count > 0 else { return }
    set("outl", rows.count)
    unsafe add("outl", rows)
  }
}

extension IndexFileReader {
  /// The rows that an index keeps apart, rising; none in files that say nothing of them.
  func outliers() throws(IndexFileError) -> RowBuffer<UInt32> {
    guard hasParameter("outl") else { return RowBuffer() }
    let rows = try rows("outl", of: UInt32.self, count: integer("outl", in: 0...rowCount))
    try requireIDs(rows, "outl", below: rowCount)
    for i in 1..<max(1, rows.count) where unsafe rows.base[i] <= rows.base[i - 1] {
      throw .invalidElement(
        path: path, section: "outl", index: i, expected: unsafe "above \(rows.base[i - 1])",
        actual: unsafe "\(rows.base[i])")
    }
    return rows
  }
}

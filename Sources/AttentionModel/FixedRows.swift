// Rows that every generated token attends to, and attention to them from elsewhere, by a GPU say.

/// Rows of a layer that every step attends to: the first and the last ones, in no index.
package struct FixedRows: Sendable, Hashable {
  /// Rows at the beginning.
  package var sinkCount: Int
  /// Rows at the end, behind the index.
  package var windowCount: Int
  /// All rows, those of the index among them.
  package var rowCount: Int
  /// Changes when rows that were there have changed, other than by a step's row that was added.
  package var version: Int

  package init(sinkCount: Int, windowCount: Int, rowCount: Int, version: Int) {
    self.sinkCount = sinkCount
    self.windowCount = windowCount
    self.rowCount = rowCount
    self.version = version
  }

  package var count: Int { sinkCount + windowCount }
}

/// Normalized outputs `[heads, d]` and natural log-sum-exps `[heads]` of one token.
@safe package struct AttendedHeads {
  package var outputs: UnsafePointer<Float>
  package var logSumExps: UnsafePointer<Float>

  package init(outputs: UnsafePointer<Float>, logSumExps: UnsafePointer<Float>) {
    unsafe self.outputs = outputs
    unsafe self.logSumExps = logSumExps
  }
}

/// What a decode step gets from elsewhere: attention to the rows of a layer that are in no index, the new one included.
package protocol FixedAttention: AnyObject {
  /// Waits for it; valid until the next step. Called once, when everything else is done.
  func result() -> AttendedHeads
}

/// Keys and values `[count, width]` of some rows of one KV head, bits of half-precision numbers, without gaps where
/// nothing else is said.
@safe package struct HalfPrecisionRows {
  package var keys: UnsafePointer<UInt16>
  package var values: UnsafePointer<UInt16>

  package init(keys: UnsafePointer<UInt16>, values: UnsafePointer<UInt16>) {
    unsafe self.keys = keys
    unsafe self.values = values
  }
}

/// Keys and values that were read before, for devices that do not have them.
package protocol StoredRows: AnyObject {
  /// Calls `body` with the last `count` rows of one KV head but for the very last `skipped` ones, as they are before
  /// the batch, in the order of the text but for those of an index. Where rows are stored in half precision,
  /// nothing is copied.
  func withHalfPrecisionRows(
    layer: Int, kvHead: Int, count: Int, skipping skipped: Int, _ body: (HalfPrecisionRows) throws -> Void
  ) throws

  /// Rows that a generated token attends to in any case; nil where it attends to all.
  func fixedRows(layer: Int) -> FixedRows?
}

// Checked dot products over spans, for programs with rows of their own.

extension Kernels {
  /// Scores of queries with f16 rows: `scores[h * rowShape.count + i] = queries[h] . rows[i]`.
  ///
  /// Sums are f32: the relative error to the sum of the products' magnitudes is below `dimension * 2^-24`. A
  /// score does not depend on the other queries and rows of the call.
  ///
  /// - Parameters:
  ///   - queries: `[queryShape.count, dimension]`
  ///   - rows: `[rowShape.count, dimension]`, bits of f16
  ///   - scores: `[queryShape.count, rowShape.count]`
  /// - Throws: ``KernelError``, before anything is written.
  public func dot(
    queries: Span<Float>, _ queryShape: RowShape, rows: Span<UInt16>, _ rowShape: RowShape,
    scores: inout MutableSpan<Float>
  ) throws(KernelError) {
    try checkDot(queries: queries.count, queryShape, rows: rows.count, rowShape)
    try checkScores(scores.count, queryCount: queryShape.count, rowCount: rowShape.count)
    dot(queries, queryShape, rows, rowShape, .first(rowShape.count), &scores)
  }

  /// Scores of queries with chosen f16 rows: `scores[h * indices.count + i] = queries[h] . rows[indices[i]]`.
  ///
  /// - Throws: ``KernelError``; ``KernelError/indexOutOfRange(name:index:limit:)`` for an index without a row.
  public func dot(
    queries: Span<Float>, _ queryShape: RowShape, rows: Span<UInt16>, _ rowShape: RowShape,
    indices: Span<UInt32>, scores: inout MutableSpan<Float>
  ) throws(KernelError) {
    try checkDot(queries: queries.count, queryShape, rows: rows.count, rowShape)
    try checkScores(scores.count, queryCount: queryShape.count, rowCount: indices.count)
    try checkIndices(indices, limit: rowShape.count)
    unsafe indices.withPointer {
      unsafe dot(queries, queryShape, rows, rowShape, .listed($0, count: indices.count), &scores)
    }
  }

  private func dot(
    _ queries: Span<Float>, _ queryShape: RowShape, _ rows: Span<UInt16>, _ rowShape: RowShape,
    _ selection: RowSelection, _ scores: inout MutableSpan<Float>
  ) {
    unsafe scores.withPointer { scores in
      unsafe queries.withPointer { queries in
        unsafe rows.withPointer { rows in
          unsafe unsafeDot(
            FloatRows(
              queries, count: queryShape.count, dimension: queryShape.dimension, stride: queryShape.stride),
            with: PackedRows(rows, stride: rowShape.stride), selection, scores: scores)
        }
      }
    }
  }
}

private func checkDot(
  queries: Int, _ queryShape: RowShape, rows: Int, _ rowShape: RowShape
) throws(KernelError) {
  try queryShape.require("queries", in: queries)
  try rowShape.require("rows", in: rows)
  try rowShape.require("rows", dimension: queryShape.dimension)
}

private func checkScores(_ available: Int, queryCount: Int, rowCount: Int) throws(KernelError) {
  // Without scores there is no shape to check.
  guard rowCount > 0 else { return }
  try RowShape(count: queryCount, dimension: rowCount).require("scores", in: available)
}

func checkIndices(_ indices: Span<UInt32>, limit: Int) throws(KernelError) {
  for i in 0..<indices.count where Int(indices[i]) >= limit {
    throw .indexOutOfRange(name: "indices", index: Int(indices[i]), limit: limit)
  }
}

// Checked dot products and softmax-weighted sums.

extension Kernels {
  /// Scores of queries with f16 rows: `scores[h * scoreStride + i] = queries[h] . rows[i]`.
  ///
  /// Sums are f32: the relative error to the sum of the products' magnitudes is below `dimension * 2^-24`. A
  /// score does not depend on the other queries and rows of the call.
  ///
  /// - Parameters:
  ///   - queries: `[queryCount, dimension]`
  ///   - rows: `[rowCount, dimension]`, bits of f16
  ///   - scores: `[queryCount, rowCount]`
  ///   - scoreStride: at least `rowCount`, which is also the default.
  /// - Throws: ``KernelError``, before anything is written.
  public func dot(
    queries: Span<Float>, _ queryShape: RowShape, rows: Span<UInt16>, _ rowShape: RowShape,
    scores: inout MutableSpan<Float>, scoreStride: Int? = nil
  ) throws(KernelError) {
    let stride = try checkDot(
      queries: queries.count, queryShape, rows: rows.count, rowShape, scores: scores.count, scoreStride,
      scoreCount: rowShape.count)
    scores.withPointer { scores in
      queries.withPointer { queries in
        rows.withPointer { rows in
          unsafeDot(
            queries: queries, queryStride: queryShape.stride, queryCount: queryShape.count,
            rows: rows, rowStride: rowShape.stride, rowCount: rowShape.count, dimension: rowShape.dimension,
            scores: scores, scoreStride: stride)
        }
      }
    }
  }

  /// Scores of queries with f32 rows; otherwise like the function for f16 rows.
  public func dot(
    queries: Span<Float>, _ queryShape: RowShape, rows: Span<Float>, _ rowShape: RowShape,
    scores: inout MutableSpan<Float>, scoreStride: Int? = nil
  ) throws(KernelError) {
    let stride = try checkDot(
      queries: queries.count, queryShape, rows: rows.count, rowShape, scores: scores.count, scoreStride,
      scoreCount: rowShape.count)
    scores.withPointer { scores in
      queries.withPointer { queries in
        rows.withPointer { rows in
          unsafeDot(
            queries: queries, queryStride: queryShape.stride, queryCount: queryShape.count,
            rows: rows, rowStride: rowShape.stride, rowCount: rowShape.count, dimension: rowShape.dimension,
            scores: scores, scoreStride: stride)
        }
      }
    }
  }

  /// Scores of queries with chosen f16 rows: `scores[h * scoreStride + i] = queries[h] . rows[indices[i]]`.
  ///
  /// - Throws: ``KernelError``; ``KernelError/indexOutOfRange(name:index:limit:)`` for an index without a row.
  public func dot(
    queries: Span<Float>, _ queryShape: RowShape, rows: Span<UInt16>, _ rowShape: RowShape,
    indices: Span<UInt32>, scores: inout MutableSpan<Float>, scoreStride: Int? = nil
  ) throws(KernelError) {
    let stride = try checkDot(
      queries: queries.count, queryShape, rows: rows.count, rowShape, scores: scores.count, scoreStride,
      scoreCount: indices.count)
    try checkIndices(indices, limit: rowShape.count)
    scores.withPointer { scores in
      queries.withPointer { queries in
        rows.withPointer { rows in
          indices.withPointer { list in
            unsafeDotGather(
              queries: queries, queryStride: queryShape.stride, queryCount: queryShape.count,
              rows: rows, rowStride: rowShape.stride, indices: list, indexCount: indices.count,
              dimension: rowShape.dimension, scores: scores, scoreStride: stride)
          }
        }
      }
    }
  }

  /// Adds f16 values, weighted by the exponentials of their scores, to running states.
  ///
  /// A score of -infinity weighs zero, and so does one 40 or more below the running maximum (relative effect
  /// below `4.3e-18` a key). Scores must not be NaN or +infinity.
  ///
  /// - Parameters:
  ///   - scores: `[states.count, valueShape.count]`, scaled and biased.
  ///   - scoreStride: at least the number of values, which is also the default.
  ///   - values: `[valueShape.count, states.dimension]`, bits of f16
  /// - Throws: ``KernelError``, before anything is written.
  public func softmaxAccumulate(
    scores: Span<Float>, scoreStride: Int? = nil, values: Span<UInt16>, _ valueShape: RowShape,
    states: inout SoftmaxStates
  ) throws(KernelError) {
    let stride = try checkScores(
      scores.count, scoreStride, queryCount: states.count, scoreCount: valueShape.count)
    try valueShape.require("values", in: values.count)
    try valueShape.require("values", dimension: states.dimension)
    let (count, dimension) = (states.count, states.dimension)
    scores.withPointer { scores in
      values.withPointer { values in
        states.withPointers {
          unsafeSoftmaxAccumulate(
            scores: scores, scoreStride: stride, queryCount: count,
            values: values, valueStride: valueShape.stride, rowCount: valueShape.count, dimension: dimension,
            maxima: $0.maxima, sums: $0.sums, accumulators: $0.accumulators, accumulatorStride: dimension)
        }
      }
    }
  }
}

private func checkDot(
  queries: Int, _ queryShape: RowShape, rows: Int, _ rowShape: RowShape, scores: Int, _ scoreStride: Int?,
  scoreCount: Int
) throws(KernelError) -> Int {
  try queryShape.require("queries", in: queries)
  try rowShape.require("rows", in: rows)
  try rowShape.require("rows", dimension: queryShape.dimension)
  return try checkScores(scores, scoreStride, queryCount: queryShape.count, scoreCount: scoreCount)
}

/// The stride of scores `[queryCount, scoreCount]`.
private func checkScores(
  _ available: Int, _ stride: Int?, queryCount: Int, scoreCount: Int
) throws(KernelError) -> Int {
  let stride = stride ?? scoreCount
  // Without scores there is no shape to check.
  guard scoreCount > 0 else { return stride }
  guard stride >= scoreCount else {
    throw .strideTooSmall(name: "scores", stride: stride, dimension: scoreCount)
  }
  let shape = try RowShape(count: queryCount, dimension: scoreCount, stride: stride)
  try shape.require("scores", in: available)
  return stride
}

func checkIndices(_ indices: Span<UInt32>, limit: Int) throws(KernelError) {
  for i in 0..<indices.count where Int(indices[i]) >= limit {
    throw .indexOutOfRange(name: "indices", index: Int(indices[i]), limit: limit)
  }
}

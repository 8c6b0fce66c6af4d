// Attention kernels over raw memory, for callers that have checked their shapes once and call often: nothing is
// checked here. Strides are in elements. Shapes are those of the checked functions of the same names.

internal import CAttentionKernels

extension Kernels {
  /// `scores[h * scoreStride + i] = queries[h] . rows[i]`, or `rows[indices[i]]`; scores `[queryCount, rowCount]`.
  package func unsafeDot(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int,
    rows: PackedRows, indices: UnsafePointer<UInt32>? = nil, rowCount: Int, dimension: Int,
    scores: UnsafeMutablePointer<Float>, scoreStride: Int
  ) {
    table.pointee.dot(
      ak_rows_f32(data: queries, stride: queryStride), queryCount, rows.rows, indices, rowCount, dimension,
      scores,
      scoreStride)
  }

  /// The same with f16 rows.
  package func unsafeDot(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int,
    rows: UnsafePointer<UInt16>, rowStride: Int, rowCount: Int, dimension: Int,
    scores: UnsafeMutablePointer<Float>, scoreStride: Int
  ) {
    unsafeDot(
      queries: queries, queryStride: queryStride, queryCount: queryCount,
      rows: PackedRows(rows, stride: rowStride), rowCount: rowCount, dimension: dimension, scores: scores,
      scoreStride: scoreStride)
  }

  /// The same with f32 rows.
  package func unsafeDot(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int,
    rows: UnsafePointer<Float>, rowStride: Int, rowCount: Int, dimension: Int,
    scores: UnsafeMutablePointer<Float>, scoreStride: Int
  ) {
    table.pointee.dot(
      ak_rows_f32(data: queries, stride: queryStride), queryCount,
      ak_rows(data: rows, stride: rowStride * 4, type: AK_F32), nil, rowCount, dimension, scores, scoreStride)
  }

  /// `scores[h * scoreStride + i] = queries[h] . rows[indices[i]]`, f16 rows; scores `[queryCount, indexCount]`.
  package func unsafeDotGather(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int,
    rows: UnsafePointer<UInt16>, rowStride: Int, indices: UnsafePointer<UInt32>, indexCount: Int,
    dimension: Int,
    scores: UnsafeMutablePointer<Float>, scoreStride: Int
  ) {
    unsafeDot(
      queries: queries, queryStride: queryStride, queryCount: queryCount,
      rows: PackedRows(rows, stride: rowStride), indices: indices, rowCount: indexCount, dimension: dimension,
      scores: scores, scoreStride: scoreStride)
  }

  /// Adds values, or those of the indices, weighted by the exponentials of their scores to running states.
  ///
  /// States start as maxima of -infinity `[queryCount]`, sums 0 `[queryCount]` and accumulators 0
  /// `[queryCount, dimension]`.
  package func unsafeSoftmaxAccumulate(
    scores: UnsafePointer<Float>, scoreStride: Int, queryCount: Int,
    values: PackedRows, indices: UnsafePointer<UInt32>? = nil, rowCount: Int, dimension: Int,
    maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, accumulatorStride: Int
  ) {
    table.pointee.softmax_accumulate(
      scores, scoreStride, queryCount, values.rows, indices, rowCount, dimension,
      ak_states(max: maxima, sum: sums, acc: accumulators, acc_stride: accumulatorStride))
  }

  /// The same with f16 values.
  package func unsafeSoftmaxAccumulate(
    scores: UnsafePointer<Float>, scoreStride: Int, queryCount: Int,
    values: UnsafePointer<UInt16>, valueStride: Int, rowCount: Int, dimension: Int,
    maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, accumulatorStride: Int
  ) {
    unsafeSoftmaxAccumulate(
      scores: scores, scoreStride: scoreStride, queryCount: queryCount,
      values: PackedRows(values, stride: valueStride), rowCount: rowCount, dimension: dimension,
      maxima: maxima,
      sums: sums, accumulators: accumulators, accumulatorStride: accumulatorStride)
  }

  /// The same with the f16 value `values[indices[i]]` for score `i`.
  package func unsafeSoftmaxAccumulateGather(
    scores: UnsafePointer<Float>, scoreStride: Int, queryCount: Int,
    values: UnsafePointer<UInt16>, valueStride: Int, indices: UnsafePointer<UInt32>, indexCount: Int,
    dimension: Int,
    maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, accumulatorStride: Int
  ) {
    unsafeSoftmaxAccumulate(
      scores: scores, scoreStride: scoreStride, queryCount: queryCount,
      values: PackedRows(values, stride: valueStride), indices: indices, rowCount: indexCount,
      dimension: dimension, maxima: maxima, sums: sums, accumulators: accumulators,
      accumulatorStride: accumulatorStride)
  }

  /// Adds weights of any sign, `[queryCount, weightStride]`, to `sums` `[queryCount]`, and rows, or those of the
  /// indices, times these weights to `accumulators` `[queryCount, accumulatorStride]`.
  package func unsafeAddRows(
    _ rows: PackedRows, indices: UnsafePointer<UInt32>? = nil, rowCount: Int, dimension: Int,
    weights: UnsafePointer<Float>, weightStride: Int, queryCount: Int, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, accumulatorStride: Int
  ) {
    table.pointee.add_rows(
      weights, weightStride, queryCount, rows.rows, indices, rowCount, dimension, sums, accumulators,
      accumulatorStride)
  }

  /// Attention of a group of queries (scaled by the caller) over keys and values, or those of the indices, each read
  /// once; `biases[i]`, if given, is added to all scores of row i.
  ///
  /// Scratch: ``attendScratchCount(queryCount:)``.
  package func unsafeAttend(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int,
    keys: PackedRows, values: PackedRows, indices: UnsafePointer<UInt32>? = nil,
    biases: UnsafePointer<Float>? = nil, rowCount: Int, dimension: Int,
    maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, accumulatorStride: Int,
    scratch: UnsafeMutablePointer<Float>
  ) {
    table.pointee.attend(
      ak_rows_f32(data: queries, stride: queryStride), queryCount, keys.rows, values.rows, indices, biases,
      rowCount, dimension,
      ak_states(max: maxima, sum: sums, acc: accumulators, acc_stride: accumulatorStride), scratch)
  }

  /// The same over f16 keys and values.
  package func unsafeAttend(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int,
    keys: UnsafePointer<UInt16>, keyStride: Int, values: UnsafePointer<UInt16>, valueStride: Int,
    rowCount: Int, dimension: Int,
    maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, accumulatorStride: Int,
    scratch: UnsafeMutablePointer<Float>
  ) {
    unsafeAttend(
      queries: queries, queryStride: queryStride, queryCount: queryCount,
      keys: PackedRows(keys, stride: keyStride), values: PackedRows(values, stride: valueStride),
      rowCount: rowCount, dimension: dimension, maxima: maxima, sums: sums, accumulators: accumulators,
      accumulatorStride: accumulatorStride, scratch: scratch)
  }

  /// The same over the f16 rows `keys[indices[i]]` and `values[indices[i]]`.
  package func unsafeAttendGather(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int,
    keys: UnsafePointer<UInt16>, keyStride: Int, values: UnsafePointer<UInt16>, valueStride: Int,
    indices: UnsafePointer<UInt32>, indexCount: Int, dimension: Int,
    maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, accumulatorStride: Int,
    scratch: UnsafeMutablePointer<Float>
  ) {
    unsafeAttend(
      queries: queries, queryStride: queryStride, queryCount: queryCount,
      keys: PackedRows(keys, stride: keyStride), values: PackedRows(values, stride: valueStride),
      indices: indices, rowCount: indexCount, dimension: dimension, maxima: maxima, sums: sums,
      accumulators: accumulators, accumulatorStride: accumulatorStride, scratch: scratch)
  }

  /// Attention of many queries, each multiplied by `scale`, query `r` over the keys
  /// `visibleBegin[r] ..< visibleEnd[r]` (clamped to `keyCount`; may be empty).
  ///
  /// States continue, so keys may come in several calls. Scratch: ``prefillScratchCount(dimension:)``.
  package func unsafePrefill(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int, scale: Float,
    keys: PackedRows, values: PackedRows, keyCount: Int, dimension: Int,
    visibleBegin: UnsafePointer<UInt32>, visibleEnd: UnsafePointer<UInt32>,
    maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, accumulatorStride: Int,
    scratch: UnsafeMutablePointer<Float>
  ) {
    table.pointee.prefill(
      ak_rows_f32(data: queries, stride: queryStride), queryCount, scale, keys.rows, values.rows, keyCount,
      dimension, visibleBegin, visibleEnd,
      ak_states(max: maxima, sum: sums, acc: accumulators, acc_stride: accumulatorStride), scratch)
  }

  /// The same over f16 keys and values.
  package func unsafePrefill(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int, scale: Float,
    keys: UnsafePointer<UInt16>, keyStride: Int, values: UnsafePointer<UInt16>, valueStride: Int,
    keyCount: Int, dimension: Int,
    visibleBegin: UnsafePointer<UInt32>, visibleEnd: UnsafePointer<UInt32>,
    maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, accumulatorStride: Int,
    scratch: UnsafeMutablePointer<Float>
  ) {
    unsafePrefill(
      queries: queries, queryStride: queryStride, queryCount: queryCount, scale: scale,
      keys: PackedRows(keys, stride: keyStride), values: PackedRows(values, stride: valueStride),
      keyCount: keyCount, dimension: dimension, visibleBegin: visibleBegin, visibleEnd: visibleEnd,
      maxima: maxima, sums: sums, accumulators: accumulators, accumulatorStride: accumulatorStride,
      scratch: scratch)
  }
}

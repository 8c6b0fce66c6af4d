// Attention kernels over raw memory, for callers that have checked their shapes once and call often: nothing is
// checked here. Strides are in elements. Shapes are those of the checked functions of the same names.

internal import CAttentionKernels

extension Kernels {
  /// `scores[h * scoreStride + i] = queries[h] . rows[i]`, f16 rows; scores `[queryCount, rowCount]`.
  package func unsafeDot(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int,
    rows: UnsafePointer<UInt16>, rowStride: Int, rowCount: Int, dimension: Int,
    scores: UnsafeMutablePointer<Float>, scoreStride: Int
  ) {
    table.pointee.dot_f16(
      ak_rows_f32(data: queries, stride: queryStride), queryCount, ak_rows_f16(data: rows, stride: rowStride),
      rowCount, dimension, scores, scoreStride)
  }

  /// `scores[h * scoreStride + i] = queries[h] . rows[i]`, f32 rows; scores `[queryCount, rowCount]`.
  package func unsafeDot(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int,
    rows: UnsafePointer<Float>, rowStride: Int, rowCount: Int, dimension: Int,
    scores: UnsafeMutablePointer<Float>, scoreStride: Int
  ) {
    table.pointee.dot_f32(
      ak_rows_f32(data: queries, stride: queryStride), queryCount, ak_rows_f32(data: rows, stride: rowStride),
      rowCount, dimension, scores, scoreStride)
  }

  /// `scores[h * scoreStride + i] = queries[h] . rows[indices[i]]`, f16 rows; scores `[queryCount, indexCount]`.
  package func unsafeDotGather(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int,
    rows: UnsafePointer<UInt16>, rowStride: Int, indices: UnsafePointer<UInt32>, indexCount: Int,
    dimension: Int,
    scores: UnsafeMutablePointer<Float>, scoreStride: Int
  ) {
    table.pointee.dot_gather_f16(
      ak_rows_f32(data: queries, stride: queryStride), queryCount, ak_rows_f16(data: rows, stride: rowStride),
      indices, indexCount, dimension, scores, scoreStride)
  }

  /// Adds values weighted by the exponentials of their scores to running states.
  ///
  /// States start as maxima of -infinity `[queryCount]`, sums 0 `[queryCount]` and accumulators 0
  /// `[queryCount, dimension]`.
  package func unsafeSoftmaxAccumulate(
    scores: UnsafePointer<Float>, scoreStride: Int, queryCount: Int,
    values: UnsafePointer<UInt16>, valueStride: Int, rowCount: Int, dimension: Int,
    maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, accumulatorStride: Int
  ) {
    table.pointee.softmax_accumulate_f16(
      scores, scoreStride, queryCount, ak_rows_f16(data: values, stride: valueStride), rowCount, dimension,
      ak_states(max: maxima, sum: sums, acc: accumulators, acc_stride: accumulatorStride))
  }

  /// The same with `values[indices[i]]` for score `i`.
  package func unsafeSoftmaxAccumulateGather(
    scores: UnsafePointer<Float>, scoreStride: Int, queryCount: Int,
    values: UnsafePointer<UInt16>, valueStride: Int, indices: UnsafePointer<UInt32>, indexCount: Int,
    dimension: Int,
    maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, accumulatorStride: Int
  ) {
    table.pointee.softmax_accumulate_gather_f16(
      scores, scoreStride, queryCount, ak_rows_f16(data: values, stride: valueStride), indices, indexCount,
      dimension, ak_states(max: maxima, sum: sums, acc: accumulators, acc_stride: accumulatorStride))
  }

  /// Attention of a group of queries (scaled by the caller) over contiguous keys and values, each read once.
  ///
  /// Scratch: ``attendScratchCount(queryCount:)``.
  package func unsafeAttend(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int,
    keys: UnsafePointer<UInt16>, keyStride: Int, values: UnsafePointer<UInt16>, valueStride: Int,
    rowCount: Int, dimension: Int,
    maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, accumulatorStride: Int,
    scratch: UnsafeMutablePointer<Float>
  ) {
    table.pointee.attend_f16(
      ak_rows_f32(data: queries, stride: queryStride), queryCount, ak_rows_f16(data: keys, stride: keyStride),
      ak_rows_f16(data: values, stride: valueStride), rowCount, dimension,
      ak_states(max: maxima, sum: sums, acc: accumulators, acc_stride: accumulatorStride), scratch)
  }

  /// The same over `keys[indices[i]]` and `values[indices[i]]`.
  package func unsafeAttendGather(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int,
    keys: UnsafePointer<UInt16>, keyStride: Int, values: UnsafePointer<UInt16>, valueStride: Int,
    indices: UnsafePointer<UInt32>, indexCount: Int, dimension: Int,
    maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, accumulatorStride: Int,
    scratch: UnsafeMutablePointer<Float>
  ) {
    table.pointee.attend_gather_f16(
      ak_rows_f32(data: queries, stride: queryStride), queryCount, ak_rows_f16(data: keys, stride: keyStride),
      ak_rows_f16(data: values, stride: valueStride), indices, indexCount, dimension,
      ak_states(max: maxima, sum: sums, acc: accumulators, acc_stride: accumulatorStride), scratch)
  }

  /// Attention of many queries, each multiplied by `scale`, query `r` over the keys
  /// `visibleBegin[r] ..< visibleEnd[r]` (clamped to `keyCount`; may be empty).
  ///
  /// States continue, so keys may come in several calls. Scratch: ``prefillScratchCount(dimension:)``.
  package func unsafePrefill(
    queries: UnsafePointer<Float>, queryStride: Int, queryCount: Int, scale: Float,
    keys: UnsafePointer<UInt16>, keyStride: Int, values: UnsafePointer<UInt16>, valueStride: Int,
    keyCount: Int, dimension: Int,
    visibleBegin: UnsafePointer<UInt32>, visibleEnd: UnsafePointer<UInt32>,
    maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, accumulatorStride: Int,
    scratch: UnsafeMutablePointer<Float>
  ) {
    table.pointee.prefill_f16(
      ak_rows_f32(data: queries, stride: queryStride), queryCount, scale,
      ak_rows_f16(data: keys, stride: keyStride), ak_rows_f16(data: values, stride: valueStride), keyCount,
      dimension, visibleBegin, visibleEnd,
      ak_states(max: maxima, sum: sums, acc: accumulators, acc_stride: accumulatorStride), scratch)
  }

  /// Running states to normalized outputs `[stateCount, dimension]` and natural log-sum-exps `[stateCount]`;
  /// zeros and -infinity for a state without keys. Outputs may be the accumulators, with the same stride.
  package func unsafeFinishStates(
    maxima: UnsafePointer<Float>, sums: UnsafePointer<Float>,
    accumulators: UnsafePointer<Float>, accumulatorStride: Int, stateCount: Int, dimension: Int,
    outputs: UnsafeMutablePointer<Float>, outputStride: Int, logSumExps: UnsafeMutablePointer<Float>
  ) {
    // The states are only read; the C struct is shared with the functions that write them.
    let states = ak_states(
      max: UnsafeMutablePointer(mutating: maxima), sum: UnsafeMutablePointer(mutating: sums),
      acc: UnsafeMutablePointer(mutating: accumulators), acc_stride: accumulatorStride)
    ak_finish_states(states, stateCount, dimension, outputs, outputStride, logSumExps)
  }

  /// Replaces outputs and log-sum-exps by their merges with others.
  package func unsafeMergeStates(
    outputs: UnsafeMutablePointer<Float>, outputStride: Int, logSumExps: UnsafeMutablePointer<Float>,
    otherOutputs: UnsafePointer<Float>, otherStride: Int, otherLogSumExps: UnsafePointer<Float>,
    stateCount: Int, dimension: Int
  ) {
    ak_merge_states(
      outputs, outputStride, logSumExps, ak_rows_f32(data: otherOutputs, stride: otherStride),
      otherLogSumExps,
      stateCount, dimension)
  }
}

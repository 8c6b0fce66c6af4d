// Attention kernels over raw memory, for callers that have checked their shapes once and call often: nothing is
// checked here. Strides are in elements.

internal import CAttentionKernels

extension Kernels {
  /// `scores[h * scoreStride + i] = queries[h] . row i` of the selected rows; scores `[queries, selected rows]`.
  ///
  /// Sums are f32: the relative error to the sum of the products' magnitudes is below `dimension * 2^-24`. A score
  /// does not depend on the other queries and rows of the call.
  ///
  /// - Parameter scoreStride: that of scores without gaps for nil.
  @unsafe package func unsafeDot(
    _ queries: FloatRows, with rows: PackedRows, _ selection: RowSelection,
    scores: UnsafeMutablePointer<Float>, scoreStride: Int? = nil
  ) {
    unsafe table.pointee.dot(
      queries.rows, queries.count, rows.rows, selection.indices, selection.count, queries.dimension, scores,
      scoreStride ?? selection.count)
  }

  /// The same with f32 rows, all of them.
  @unsafe package func unsafeDot(
    _ queries: FloatRows, with rows: FloatRows, scores: UnsafeMutablePointer<Float>, scoreStride: Int? = nil
  ) {
    unsafe table.pointee.dot(
      queries.rows, queries.count, ak_rows(data: rows.base, stride: rows.stride * 4, type: AK_F32), nil,
      rows.count, queries.dimension, scores, scoreStride ?? rows.count)
  }

  /// Adds the selected values, weighted by the exponentials of their scores, to running states.
  ///
  /// A score of -infinity weighs zero, and so does one 40 or more below the running maximum (relative effect below
  /// `4.3e-18` a key). Scores must not be NaN or +infinity.
  ///
  /// - Parameters:
  ///   - scores: `[states.count, selected rows]`, scaled and biased.
  ///   - scoreStride: that of scores without gaps for nil.
  @unsafe package func unsafeSoftmaxAccumulate(
    scores: UnsafePointer<Float>, scoreStride: Int? = nil, values: PackedRows, _ selection: RowSelection,
    to states: StatePointers
  ) {
    unsafe table.pointee.softmax_accumulate(
      scores, scoreStride ?? selection.count, states.count, values.rows, selection.indices, selection.count,
      states.dimension, states.states)
  }

  /// Adds weights of any sign, `[states.count, selected rows]`, to the sums of states, and the selected rows times
  /// these weights to their accumulators. Maxima remain: weights are in their scale.
  ///
  /// - Parameter weightStride: that of weights without gaps for nil.
  @unsafe package func unsafeAddRows(
    _ rows: PackedRows, _ selection: RowSelection, weights: UnsafePointer<Float>, weightStride: Int? = nil,
    to states: StatePointers
  ) {
    unsafe table.pointee.add_rows(
      weights, weightStride ?? selection.count, states.count, rows.rows, selection.indices, selection.count,
      states.dimension, states.sums, states.accumulators, states.stride)
  }

  /// Attention of a group of queries `[states.count, dimension]` (scaled by the caller) to the selected keys and
  /// values, each read once.
  ///
  /// - Parameters:
  ///   - biases: `[selected rows]`: added to all scores of each, if given.
  ///   - states: continued, so rows may come in several calls.
  ///   - scratch: ``attendScratchCount(queryCount:)`` floats.
  @unsafe package func unsafeAttend(
    _ queries: FloatRows, to rows: KeyValueRows, _ selection: RowSelection,
    biases: UnsafePointer<Float>? = nil, states: StatePointers, scratch: UnsafeMutablePointer<Float>
  ) {
    unsafe table.pointee.attend(
      queries.rows, queries.count, rows.keys.rows, rows.values.rows, selection.indices, biases,
      selection.count, queries.dimension, states.states, scratch)
  }

  /// Attention of many queries `[states.count, dimension]`, each multiplied by `scale`, to the keys that it sees:
  /// blocked, for prompts.
  ///
  /// Cost is that of the visible keys, in blocks; best with queries a multiple of 48, up to ``preferredPrefillRows``.
  ///
  /// - Parameters:
  ///   - states: continued, so keys may come in several calls.
  ///   - scratch: ``prefillScratchCount(dimension:)`` floats.
  @unsafe package func unsafePrefill(
    _ queries: FloatRows, scale: Float, to rows: KeyValueRows, visible: VisibleKeys, states: StatePointers,
    scratch: UnsafeMutablePointer<Float>
  ) {
    unsafe table.pointee.prefill(
      queries.rows, queries.count, scale, rows.keys.rows, rows.values.rows, visible.selection.indices,
      visible.biases, visible.selection.count, queries.dimension, visible.begins, visible.ends, states.states,
      scratch)
  }
}

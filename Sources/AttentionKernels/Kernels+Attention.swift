// Checked attention over spans, for programs with rows of their own.

extension Kernels {
  /// Attention of a group of queries over f16 keys and values, each read once.
  ///
  /// - Parameters:
  ///   - queries: `[states.count, states.dimension]`, already scaled (by `1 / sqrt(dimension)`, say)
  ///   - keys: `[shape.count, states.dimension]`, bits of f16
  ///   - values: the same
  ///   - shape: of keys and of values
  ///   - states: continued; see ``SoftmaxStates``
  /// - Throws: ``KernelError``, before anything is written.
  public func attend(
    queries: Span<Float>, keys: Span<UInt16>, values: Span<UInt16>, _ shape: RowShape,
    states: inout SoftmaxStates
  ) throws(KernelError) {
    try checkAttention(queries.count, keys: keys.count, values: values.count, shape, states)
    attend(queries, keys: keys, values: values, shape, .first(shape.count), &states)
  }

  /// Attention of a group of queries over the keys and values of the given indices.
  ///
  /// - Throws: ``KernelError``; ``KernelError/indexOutOfRange(name:index:limit:)`` for an index without a row.
  public func attend(
    queries: Span<Float>, keys: Span<UInt16>, values: Span<UInt16>, _ shape: RowShape, indices: Span<UInt32>,
    states: inout SoftmaxStates
  ) throws(KernelError) {
    try checkAttention(queries.count, keys: keys.count, values: values.count, shape, states)
    try checkIndices(indices, limit: shape.count)
    unsafe indices.withPointer {
      unsafe attend(queries, keys: keys, values: values, shape, .listed($0, count: indices.count), &states)
    }
  }

  private func attend(
    _ queries: Span<Float>, keys: Span<UInt16>, values: Span<UInt16>, _ shape: RowShape,
    _ selection: RowSelection, _ states: inout SoftmaxStates
  ) {
    guard states.count > 0, selection.count > 0 else { return }
    states.withPointers { states in
      unsafe queries.withPointer { queries in
        unsafe keys.withPointer { keys in
          unsafe values.withPointer { values in
            unsafe withScratch(Self.attendScratchCount(queryCount: states.count)) { scratch in
              unsafe unsafeAttend(
                FloatRows(queries, count: states.count, dimension: states.dimension),
                to: KeyValueRows(
                  keys: PackedRows(keys, stride: shape.stride),
                  values: PackedRows(values, stride: shape.stride)),
                selection, states: states, scratch: scratch)
            }
          }
        }
      }
    }
  }
}

private func checkAttention(
  _ queries: Int, keys: Int, values: Int, _ shape: RowShape, _ states: SoftmaxStates
) throws(KernelError) {
  try require("queries", states.count * states.dimension, in: queries)
  try shape.require("keys", in: keys)
  try shape.require("keys", dimension: states.dimension)
  try shape.require("values", in: values)
}

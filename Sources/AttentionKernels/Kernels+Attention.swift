// Checked attention: decode, prefill, and merging finished states.

extension Kernels {
  /// Attention of a group of queries over f16 keys and values, each read once.
  ///
  /// - Parameters:
  ///   - queries: `[states.count, dimension]`, already scaled (by `1 / sqrt(dimension)`, say)
  ///   - keys: `[keyCount, dimension]`, bits of f16
  ///   - values: the same, in rows of their own stride
  ///   - states: continued; see ``SoftmaxStates``
  /// - Throws: ``KernelError``, before anything is written.
  public func attend(
    queries: Span<Float>, _ queryShape: RowShape, keys: Span<UInt16>, _ keyShape: RowShape,
    values: Span<UInt16>, _ valueShape: RowShape, states: inout SoftmaxStates
  ) throws(KernelError) {
    try checkAttention(
      queries: queries.count, queryShape, keys: keys.count, keyShape, values: values.count, valueShape, states
    )
    guard queryShape.count > 0, keyShape.count > 0 else { return }
    states.withPointers { states in
      queries.withPointer { queries in
        keys.withPointer { keys in
          values.withPointer { values in
            withScratch(Self.attendScratchCount(queryCount: queryShape.count)) { scratch in
              unsafeAttend(
                queries: queries, queryStride: queryShape.stride, queryCount: queryShape.count,
                keys: keys, keyStride: keyShape.stride, values: values, valueStride: valueShape.stride,
                rowCount: keyShape.count, dimension: keyShape.dimension,
                maxima: states.maxima, sums: states.sums, accumulators: states.accumulators,
                accumulatorStride: keyShape.dimension, scratch: scratch)
            }
          }
        }
      }
    }
  }

  /// Attention of a group of queries over the keys and values of the given indices.
  ///
  /// - Throws: ``KernelError``; ``KernelError/indexOutOfRange(name:index:limit:)`` for an index without a row.
  public func attend(
    queries: Span<Float>, _ queryShape: RowShape, keys: Span<UInt16>, _ keyShape: RowShape,
    values: Span<UInt16>, _ valueShape: RowShape, indices: Span<UInt32>, states: inout SoftmaxStates
  ) throws(KernelError) {
    try checkAttention(
      queries: queries.count, queryShape, keys: keys.count, keyShape, values: values.count, valueShape, states
    )
    try checkIndices(indices, limit: keyShape.count)
    guard queryShape.count > 0, indices.count > 0 else { return }
    states.withPointers { states in
      queries.withPointer { queries in
        keys.withPointer { keys in
          values.withPointer { values in
            indices.withPointer { list in
              withScratch(Self.attendScratchCount(queryCount: queryShape.count)) { scratch in
                unsafeAttendGather(
                  queries: queries, queryStride: queryShape.stride, queryCount: queryShape.count,
                  keys: keys, keyStride: keyShape.stride, values: values, valueStride: valueShape.stride,
                  indices: list, indexCount: indices.count, dimension: keyShape.dimension,
                  maxima: states.maxima, sums: states.sums, accumulators: states.accumulators,
                  accumulatorStride: keyShape.dimension, scratch: scratch)
              }
            }
          }
        }
      }
    }
  }

  /// Attention of many queries, each over its own range of keys: blocked, for prompts.
  ///
  /// Cost is that of the visible keys, in blocks; best with rows a multiple of 48, up to
  /// ``preferredPrefillRows``.
  ///
  /// - Parameters:
  ///   - queries: `[states.count, dimension]`
  ///   - scale: multiplies every query
  ///   - keys: `[keyCount, dimension]`, bits of f16
  ///   - values: the same, in rows of their own stride
  ///   - visibleBegin: first key that each query sees
  ///   - visibleEnd: one past the last; more than `keyCount` means all, no more than the begin means none
  ///   - states: continued, so keys may come in several calls; see ``SoftmaxStates``
  /// - Throws: ``KernelError``, before anything is written.
  public func prefill(
    queries: Span<Float>, _ queryShape: RowShape, scale: Float, keys: Span<UInt16>, _ keyShape: RowShape,
    values: Span<UInt16>, _ valueShape: RowShape, visibleBegin: Span<UInt32>, visibleEnd: Span<UInt32>,
    states: inout SoftmaxStates
  ) throws(KernelError) {
    try checkAttention(
      queries: queries.count, queryShape, keys: keys.count, keyShape, values: values.count, valueShape, states
    )
    try require("visibleBegin", queryShape.count, in: visibleBegin.count)
    try require("visibleEnd", queryShape.count, in: visibleEnd.count)
    guard queryShape.count > 0, keyShape.count > 0 else { return }
    states.withPointers { states in
      queries.withPointer { queries in
        keys.withPointer { keys in
          values.withPointer { values in
            visibleBegin.withPointer { begin in
              visibleEnd.withPointer { end in
                withScratch(Self.prefillScratchCount(dimension: keyShape.dimension)) { scratch in
                  unsafePrefill(
                    queries: queries, queryStride: queryShape.stride, queryCount: queryShape.count,
                    scale: scale,
                    keys: keys, keyStride: keyShape.stride, values: values, valueStride: valueShape.stride,
                    keyCount: keyShape.count, dimension: keyShape.dimension,
                    visibleBegin: begin, visibleEnd: end,
                    maxima: states.maxima, sums: states.sums, accumulators: states.accumulators,
                    accumulatorStride: keyShape.dimension, scratch: scratch)
                }
              }
            }
          }
        }
      }
    }
  }

  /// Replaces normalized outputs and their natural log-sum-exps by their merges with others: attention over the
  /// union of both key sets.
  ///
  /// Associative and commutative up to rounding. A log-sum-exp of -infinity marks an empty state, whose output is
  /// ignored; two empty ones give zeros.
  ///
  /// - Parameters:
  ///   - outputs: `[count, dimension]`
  ///   - logSumExps: `[count]`
  ///   - others: the same shape in rows of their own stride
  ///   - otherLogSumExps: `[count]`
  /// - Throws: ``KernelError``, before anything is written.
  public func mergeStates(
    outputs: inout MutableSpan<Float>, _ outputShape: RowShape, logSumExps: inout MutableSpan<Float>,
    others: Span<Float>, _ otherShape: RowShape, otherLogSumExps: Span<Float>
  ) throws(KernelError) {
    try outputShape.require("outputs", in: outputs.count)
    try otherShape.require("others", in: others.count)
    try otherShape.require("others", dimension: outputShape.dimension)
    try otherShape.require("others", count: outputShape.count)
    try require("logSumExps", outputShape.count, in: logSumExps.count)
    try require("otherLogSumExps", outputShape.count, in: otherLogSumExps.count)
    outputs.withPointer { outputs in
      logSumExps.withPointer { logSumExps in
        others.withPointer { others in
          otherLogSumExps.withPointer { otherLogSumExps in
            unsafeMergeStates(
              outputs: outputs, outputStride: outputShape.stride, logSumExps: logSumExps,
              otherOutputs: others, otherStride: otherShape.stride, otherLogSumExps: otherLogSumExps,
              stateCount: outputShape.count, dimension: outputShape.dimension)
          }
        }
      }
    }
  }
}

private func checkAttention(
  queries: Int, _ queryShape: RowShape, keys: Int, _ keyShape: RowShape, values: Int, _ valueShape: RowShape,
  _ states: SoftmaxStates
) throws(KernelError) {
  try queryShape.require("queries", in: queries)
  try queryShape.require("queries", count: states.count)
  try queryShape.require("queries", dimension: states.dimension)
  try keyShape.require("keys", in: keys)
  try keyShape.require("keys", dimension: states.dimension)
  try valueShape.require("values", in: values)
  try valueShape.require("values", dimension: states.dimension)
  try valueShape.require("values", count: keyShape.count)
}

// Finishing and merging of softmax states over raw memory: nothing is checked here. Strides are in elements.

internal import CAttentionKernels

extension Kernels {
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

// Softmax states while they are being accumulated, as the kernels keep them.

package import AttentionKernels
package import VectorIndex

/// Unnormalized softmax states of `count` queries: maxima and sums `[count]`, accumulators `[count, d]`.
///
/// A view of memory of a ``VectorIndex/Scratch``.
package struct RunningStates {
  package let maxima: UnsafeMutablePointer<Float>
  package let sums: UnsafeMutablePointer<Float>
  package let accumulators: UnsafeMutablePointer<Float>
  package let count: Int
  package let dimension: Int

  /// Empty states.
  package init(count: Int, dimension: Int, in scratch: borrowing Scratch) {
    maxima = scratch.floats(count)
    sums = scratch.floats(count)
    accumulators = scratch.floats(count * dimension)
    self.count = count
    self.dimension = dimension
    maxima.update(repeating: -.infinity, count: count)
    sums.update(repeating: 0, count: count)
    accumulators.update(repeating: 0, count: count * dimension)
  }

  package var pointers: StatePointers {
    StatePointers(maxima: maxima, sums: sums, accumulators: accumulators)
  }

  /// Adds the attention of `queries` `[count, d]` to `rows` consecutive rows.
  package func attend(
    _ queries: UnsafePointer<Float>, keys: PackedRows, values: PackedRows, rows: Int,
    workspace: Workspace
  ) {
    let scratch = workspace.scope()
    guard rows > 0 else { return }
    let kernelScratch = scratch.floats(Kernels.attendScratchCount(queryCount: count))
    workspace.kernels.unsafeAttend(
      queries: queries, queryStride: dimension, queryCount: count, keys: keys,
      values: values, rowCount: rows, dimension: dimension, maxima: maxima,
      sums: sums,
      accumulators: accumulators, accumulatorStride: dimension, scratch: kernelScratch)
  }

  /// Normalizes into `outputs` `[count, outputStride]` and `logSumExps` `[count]`.
  package func finish(
    outputs: UnsafeMutablePointer<Float>, outputStride: Int, logSumExps: UnsafeMutablePointer<Float>,
    kernels: Kernels
  ) {
    kernels.unsafeFinishStates(
      maxima: maxima, sums: sums, accumulators: accumulators, accumulatorStride: dimension, stateCount: count,
      dimension: dimension, outputs: outputs, outputStride: outputStride, logSumExps: logSumExps)
  }
}

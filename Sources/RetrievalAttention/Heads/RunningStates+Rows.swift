// Attention to some rows of a head: runs of neighbors, or single ones.

import AttentionKernels
package import VectorIndex

extension RunningStates {
  /// Adds the attention of `queries` `[count, d]` to a run of rows.
  package func attend(
    _ queries: UnsafePointer<Float>, to range: Range<Int>, of rows: HeadRows, workspace: Workspace
  ) {
    attend(
      queries, keys: rows.keys.from(range.lowerBound), values: rows.values.from(range.lowerBound),
      rows: range.count, workspace: workspace)
  }

  /// Adds the attention of `queries` `[count, d]` to single rows, counted from row `first`.
  package func attend(
    _ queries: UnsafePointer<Float>, to selected: UnsafeBufferPointer<UInt32>, of rows: HeadRows,
    from first: Int = 0, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    guard let indices = selected.baseAddress, !selected.isEmpty else { return }
    workspace.kernels.unsafeAttend(
      queries: queries, queryStride: dimension, queryCount: count, keys: rows.keys.from(first),
      values: rows.values.from(first), indices: indices, rowCount: selected.count, dimension: dimension,
      maxima: maxima, sums: sums,
      accumulators: accumulators, accumulatorStride: dimension,
      scratch: scratch.floats(Kernels.attendScratchCount(queryCount: count)))
  }

  /// The same, with the scores `[count, selected.count]` left for the caller to judge rows by.
  package func attend(
    _ queries: UnsafePointer<Float>, to selected: UnsafeBufferPointer<UInt32>, of rows: HeadRows,
    scores: UnsafeMutablePointer<Float>, workspace: Workspace
  ) {
    guard let indices = selected.baseAddress, !selected.isEmpty else { return }
    workspace.kernels.unsafeDot(
      queries: queries, queryStride: dimension, queryCount: count, rows: rows.keys,
      indices: indices, rowCount: selected.count, dimension: dimension, scores: scores,
      scoreStride: selected.count)
    workspace.kernels.unsafeSoftmaxAccumulate(
      scores: scores, scoreStride: selected.count, queryCount: count, values: rows.values,
      indices: indices, rowCount: selected.count, dimension: dimension,
      maxima: maxima, sums: sums, accumulators: accumulators, accumulatorStride: dimension)
  }

  /// Adds the attention to blocks of `size` rows whose mark is not zero, neighbors in one go. Block 0 starts at row
  /// `first`; rows from `end` on belong to no block.
  ///
  /// - Returns: the rows that were read.
  package func attend(
    _ queries: UnsafePointer<Float>, toBlocks marks: UnsafePointer<UInt32>, count blockCount: Int, size: Int,
    first: Int = 0, end: Int, of rows: HeadRows, workspace: Workspace
  ) -> Int {
    var read = 0
    var block = 0
    while block < blockCount {
      guard marks[block] != 0 else {
        block += 1
        continue
      }
      let begin = first + block * size
      while block < blockCount, marks[block] != 0 { block += 1 }
      let range = begin..<min(first + block * size, end)
      attend(queries, to: range, of: rows, workspace: workspace)
      read += range.count
    }
    return read
  }
}

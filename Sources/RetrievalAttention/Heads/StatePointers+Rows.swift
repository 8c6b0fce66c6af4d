// Attention to some rows of a head: runs of neighbors, or single ones.

package import AttentionKernels
package import VectorIndex

extension StatePointers {
  /// Adds the attention of `queries` `[count, d]` to the first rows of some.
  package func attend(
    _ queries: UnsafePointer<Float>, to rows: KeyValueRows, count rowCount: Int, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    guard rowCount > 0 else { return }
    workspace.kernels.unsafeAttend(
      FloatRows(queries, count: count, dimension: dimension), to: rows, .first(rowCount), states: self,
      scratch: scratch.floats(Kernels.attendScratchCount(queryCount: count)))
  }

  /// Adds the attention of `queries` `[count, d]` to a run of rows.
  package func attend(
    _ queries: UnsafePointer<Float>, to range: Range<Int>, of rows: HeadRows, workspace: Workspace
  ) {
    attend(
      queries, to: rows.keyValues.from(range.lowerBound), count: range.count, workspace: workspace)
  }

  /// Adds the attention of `queries` `[count, d]` to single rows, counted from row `first`.
  package func attend(
    _ queries: UnsafePointer<Float>, to selected: UnsafeBufferPointer<UInt32>, of rows: HeadRows,
    from first: Int = 0, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    guard let indices = selected.baseAddress, !selected.isEmpty else { return }
    workspace.kernels.unsafeAttend(
      FloatRows(queries, count: count, dimension: dimension), to: rows.keyValues.from(first),
      .listed(indices, count: selected.count), states: self,
      scratch: scratch.floats(Kernels.attendScratchCount(queryCount: count)))
  }

  /// The same, with the scores `[count, selected.count]` left for the caller to judge rows by.
  package func attend(
    _ queries: UnsafePointer<Float>, to selected: UnsafeBufferPointer<UInt32>, of rows: HeadRows,
    scores: UnsafeMutablePointer<Float>, workspace: Workspace
  ) {
    guard let indices = selected.baseAddress, !selected.isEmpty else { return }
    workspace.kernels.unsafeDot(
      FloatRows(queries, count: count, dimension: dimension), with: rows.keys,
      .listed(indices, count: selected.count), scores: scores)
    workspace.kernels.unsafeSoftmaxAccumulate(
      scores: scores, values: rows.values, .listed(indices, count: selected.count), to: self)
  }

  /// Adds the attention to marked blocks of rows, neighbors in one go.
  ///
  /// - Returns: the rows that were read.
  package func attend(
    _ queries: UnsafePointer<Float>, to blocks: MarkedBlocks, of rows: HeadRows, workspace: Workspace
  ) -> Int {
    var read = 0
    var block = 0
    while block < blocks.count {
      guard blocks.marks[block] != 0 else {
        block += 1
        continue
      }
      let begin = blocks.first + block * blocks.size
      while block < blocks.count, blocks.marks[block] != 0 { block += 1 }
      let range = begin..<min(blocks.first + block * blocks.size, blocks.end)
      attend(queries, to: range, of: rows, workspace: workspace)
      read += range.count
    }
    return read
  }
}

/// Blocks of `size` rows, of which those are meant whose mark is not zero.
package struct MarkedBlocks {
  /// `[count]`.
  package var marks: UnsafePointer<UInt32>
  package var count: Int
  package var size: Int
  /// The row that block 0 starts at.
  package var first: Int
  /// Rows from here on belong to no block.
  package var end: Int

  package init(marks: UnsafePointer<UInt32>, count: Int, size: Int, first: Int = 0, end: Int) {
    self.marks = marks
    self.count = count
    self.size = size
    self.first = first
    self.end = end
  }
}

// Attention to some rows of a head: runs of neighbors, or single ones.

package import AttentionKernels
package import VectorIndex

extension StatePointers {
  /// Adds the attention of `queries` `[count, d]` to the first rows of some.
  @unsafe package func attend(
    _ queries: FloatRows, to rows: KeyValueRows, count rowCount: Int, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    guard rowCount > 0 else { return }
    unsafe workspace.kernels.unsafeAttend(
      queries, to: rows, .first(rowCount), states: self,
      scratch: scratch.floats(Kernels.attendScratchCount(queryCount: count)))
  }

  /// Adds the attention of `queries` `[count, d]` to a run of rows.
  package func attend(
    _ queries: FloatRows, to range: Range<Int>, of rows: HeadRows, workspace: Workspace
  ) {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows.count, "rows \(range) of \(rows.count)")
    check(queries, rows)
    unsafe attend(
      queries, to: rows.keyValues.from(range.lowerBound), count: range.count, workspace: workspace)
  }

  /// Adds the attention of `queries` `[count, d]` to single rows, counted from row `first`.
  @unsafe package func attend(
    _ queries: FloatRows, to selected: ListView<UInt32>, of rows: HeadRows,
    from first: Int = 0, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    guard !selected.isEmpty else { return }
    unsafe workspace.kernels.unsafeAttend(
      queries, to: rows.keyValues.from(first),
      .listed(selected), states: self,
      scratch: scratch.floats(Kernels.attendScratchCount(queryCount: count)))
  }

  /// The same, with the scores `[count, selected.count]` left for the caller to judge rows by.
  @unsafe package func attend(
    _ queries: FloatRows, to selected: ListView<UInt32>, of rows: HeadRows,
    scores: ListView<Float>, workspace: Workspace
  ) {
    guard !selected.isEmpty else { return }
    unsafe workspace.kernels.unsafeDot(
      queries, with: rows.keys,
      .listed(selected), scores: scores.base)
    unsafe workspace.kernels.unsafeSoftmaxAccumulate(
      scores: scores.base, values: rows.values, .listed(selected), to: self)
  }

  /// Adds the attention to marked blocks of rows, neighbors in one go.
  ///
  /// - Returns: the rows that were read.
  package func attend(
    _ queries: FloatRows, to blocks: MarkedBlocks, of rows: HeadRows, workspace: Workspace
  ) -> Int {
    let (marks, count) = unsafe (blocks.marks.base, blocks.marks.count)
    var read = 0
    var block = 0
    while block < count {
      guard unsafe marks[block] != 0 else {
        block += 1
        continue
      }
      let begin = blocks.first + block * blocks.size
      while block < count, unsafe marks[block] != 0 { block += 1 }
      let range = begin..<min(blocks.first + block * blocks.size, blocks.end)
      attend(queries, to: range, of: rows, workspace: workspace)
      read += range.count
    }
    return read
  }
}

extension StatePointers {
  /// That there is a state for each query, and that both are as wide as the rows.
  private func check(_ queries: FloatRows, _ rows: HeadRows) {
    precondition(
      queries.count == count && queries.dimension == dimension && rows.dimension == dimension,
      "\(queries.count) queries of width \(queries.dimension), \(count) states of width \(dimension)")
  }
}

/// Blocks of `size` rows, of which those are meant whose mark is not zero.
package struct MarkedBlocks {
  /// One a block.
  package var marks: ListView<UInt32>
  package var size: Int
  /// The row that block 0 starts at.
  package var first: Int
  /// Rows from here on belong to no block.
  package var end: Int

  package init(marks: ListView<UInt32>, size: Int, first: Int = 0, end: Int) {
    self.marks = marks
    self.size = size
    self.first = first
    self.end = end
  }
}

// What heads that choose keys for prompts do with a tile: attend to rows that all of it sees, or causally, and take one
// query head after the other.

package import AttentionKernels
import VectorIndex

extension PromptTile {
  /// Rows that all queries see.
  package var commonRows: Int { Int(visibleEnds[0]) }

  /// Adds causal attention to the rows from `first` on.
  ///
  /// - Returns: products of a query with a key.
  package func attendCausally(from first: Int, of rows: HeadRows) -> Int {
    let scratch = workspace.scope()
    let ends = unsafe scratch.rows(queries.count)
    var products = 0
    for query in 0..<queries.count {
      ends[query] = UInt32(max(first, Int(visibleEnds[query])) - first)
      products += Int(ends[query])
    }
    // Rising, so that the last query sees most.
    let selected = RowSelection.first(Int(ends[queries.count - 1]))
    attend(to: selected, until: ends, of: rows.keyValues.from(first))
    return products
  }

  /// Adds attention to rows that all queries see.
  ///
  /// - Returns: products of a query with a key.
  package func attend(to selected: RowSelection, of rows: HeadRows) -> Int {
    guard selected.count > 0 else { return 0 }
    let scratch = workspace.scope()
    let ends = unsafe scratch.rows(queries.count)
    ends.fill(.max)
    attend(to: selected, until: ends, of: rows.keyValues)
    return queries.count * selected.count
  }

  private func attend(to selected: RowSelection, until ends: ListView<UInt32>, of rows: KeyValueRows) {
    let scratch = workspace.scope()
    let begins = unsafe scratch.rows(queries.count)
    begins.fill(0)
    unsafe workspace.kernels.unsafePrefill(
      queries, scale: scale, to: rows,
      visible: VisibleKeys(begins: begins.base, ends: ends.base, of: selected), states: states,
      scratch: scratch.floats(Kernels.prefillScratchCount(dimension: queries.dimension)))
  }

  /// Attends for one query head after the other, and for at most `blockTokens` tokens at a time.
  ///
  /// - Parameter body: adds the attention of a tile of one query head to its states, which are empty, and tells the
  ///   products that it took.
  /// - Returns: the products of all.
  package func attendByHead(blockTokens: Int, _ body: (PromptTile) -> Int) -> Int {
    var products = 0
    for head in 0..<groupSize {
      for first in stride(from: 0, to: tokenCount, by: blockTokens) {
        products += attend(head: head, tokens: first..<min(first + blockTokens, tokenCount), body)
      }
    }
    return products
  }

  private func attend(head: Int, tokens: Range<Int>, _ body: (PromptTile) -> Int) -> Int {
    let scratch = workspace.scope()
    let (count, d) = (tokens.count, queries.dimension)
    let own = unsafe scratch.floats(count * d)
    let ends = unsafe scratch.rows(count)
    let block = unsafe StatePointers(count: count, dimension: d, in: scratch)
    for (number, token) in tokens.enumerated() {
      let query = token * groupSize + head
      unsafe (own + number * d).update(from: queries[query], count: d)
      ends[number] = visibleEnds[query]
    }
    let products = unsafe body(
      PromptTile(
        queries: FloatRows(own, count: count, dimension: d), scale: scale, visibleEnds: ends, groupSize: 1,
        states: block, workspace: workspace))
    for (number, token) in tokens.enumerated() {
      let query = token * groupSize + head
      unsafe states.maxima[query] = block.maxima[number]
      unsafe states.sums[query] = block.sums[number]
      unsafe (states.accumulators + query * states.stride).update(
        from: block.accumulators + number * block.stride, count: d)
    }
    return products
  }
}

// A tile of a prompt's tokens as one query head has it, for methods that choose for each query head by itself.

import AttentionKernels
import RetrievalAttention
import VectorIndex

/// Some tokens' queries of one query head, or of a group of them, with states that take their attention.
///
/// A view of memory that is valid during the call.
struct HeadTile {
  /// `[tokens, d]`, not scaled.
  let queries: FloatRows
  let scale: Float
  /// `[tokens]`: the row behind the last one that each token sees, rising.
  let ends: ListView<UInt32>
  /// `[tokens]`.
  let states: StatePointers
  let workspace: Workspace

  /// Queries are those of one query head.
  var tokenCount: Int { queries.count }
  /// Rows that all tokens see.
  var commonRows: Int { Int(ends[0]) }

  /// Adds causal attention to the rows from `first` on.
  ///
  /// - Returns: products of a query with a key.
  func attendCausally(from first: Int, of rows: HeadRows) -> Int {
    let scratch = workspace.scope()
    let begins = unsafe scratch.rows(tokenCount)
    let visible = unsafe scratch.rows(tokenCount)
    begins.fill(0)
    var products = 0
    for token in 0..<tokenCount {
      visible[token] = UInt32(max(first, Int(ends[token])) - first)
      products += Int(visible[token])
    }
    unsafe workspace.kernels.unsafePrefill(
      queries, scale: scale, to: rows.keyValues.from(first),
      visible: VisibleKeys(
        begins: begins.base, ends: visible.base, keyCount: Int(visible[tokenCount - 1])), states: states,
      scratch: scratch.floats(Kernels.prefillScratchCount(dimension: rows.dimension)))
    return products
  }

  /// Adds attention to rows that all tokens see.
  ///
  /// - Returns: products of a query with a key.
  func attend(to selected: RowSelection, of rows: HeadRows) -> Int {
    guard selected.count > 0 else { return 0 }
    let scratch = workspace.scope()
    let begins = unsafe scratch.rows(tokenCount)
    let visible = unsafe scratch.rows(tokenCount)
    begins.fill(0)
    visible.fill(.max)
    unsafe workspace.kernels.unsafePrefill(
      queries, scale: scale, to: rows.keyValues,
      visible: VisibleKeys(begins: begins.base, ends: visible.base, of: selected), states: states,
      scratch: scratch.floats(Kernels.prefillScratchCount(dimension: rows.dimension)))
    return tokenCount * selected.count
  }
}

extension HeadTile {
  /// The queries of all heads of a tile, as if each were a token of its own.
  init(_ tile: PromptTile) {
    self.init(
      queries: tile.queries, scale: tile.scale, ends: tile.visibleEnds, states: tile.states,
      workspace: tile.workspace)
  }
}

extension PromptTile {
  /// Attends for one query head after the other, and for at most `blockTokens` tokens at a time.
  ///
  /// - Parameter body: adds a block's attention to its states, which are empty, and tells the products that it took.
  /// - Returns: the products of all.
  func attendByHead(blockTokens: Int, _ body: (HeadTile) -> Int) -> Int {
    var products = 0
    for head in 0..<groupSize {
      for first in Swift.stride(from: 0, to: tokenCount, by: blockTokens) {
        products += attend(head: head, tokens: first..<min(first + blockTokens, tokenCount), body)
      }
    }
    return products
  }

  private func attend(head: Int, tokens: Range<Int>, _ body: (HeadTile) -> Int) -> Int {
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
      HeadTile(
        queries: FloatRows(own, count: count, dimension: d), scale: scale, ends: ends, states: block,
        workspace: workspace))
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

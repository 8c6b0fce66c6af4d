// What a head works with in a decode step.

package import AttentionKernels
package import VectorIndex

/// One decode step of one KV head, or one part of it: the queries of the newest token, or of a few where the head takes
/// them, and the states that take the answer.
///
/// A view of memory that is valid during the call.
public struct HeadStep {
  /// `[tokens, groupSize, d]`, scaled as for attention.
  package let queries: FloatRows
  package let states: StatePointers
  package let workspace: Workspace
  /// Which part of the step this is, of how many; 0 of 1 unless the head said that it can be divided.
  package let part: Int
  package let parts: Int
  /// Which block of the KV head's query heads; 0 unless the head said that it takes blocks.
  package let block: Int
  /// The newest rows, which not all of the queries see: those of drafts. 0 but for heads that take several tokens.
  package let hiddenRows: Int

  package init(
    queries: FloatRows, states: StatePointers, workspace: Workspace, part: Int = 0, parts: Int = 1,
    block: Int = 0, hiddenRows: Int = 0
  ) {
    self.queries = queries
    self.states = states
    self.workspace = workspace
    self.part = part
    self.parts = parts
    self.block = block
    self.hiddenRows = hiddenRows
  }

  /// Query heads that share the KV head.
  public var groupSize: Int { states.count }
  /// Width of queries, keys and values.
  public var dimension: Int { states.dimension }

  /// A query of the group, multiplied by the layer's scale: its dot products with keys are the exponents of softmax.
  public func query(_ head: Int) -> [Float] {
    QueryGroup(queries).query(head, dimension: dimension)
  }

  /// Dot products of all queries of the group with the keys of some rows, `[groupSize, range.count]`.
  public func scores(of range: Range<Int>, in rows: HeadRows) -> [Float] {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows.count, "rows \(range) of \(rows.count)")
    guard !range.isEmpty else { return [] }
    return unsafe [Float](unsafeUninitializedCapacity: groupSize * range.count) { target, count in
      unsafe workspace.kernels.unsafeDot(
        queries, with: rows.keys.from(range.lowerBound),
        .first(range.count), scores: target.baseAddress!)
      count = target.count
    }
  }

  /// Adds the attention of all queries of the group to consecutive rows.
  ///
  /// No row may be attended to twice in a step.
  public func attend(to range: Range<Int>, of rows: HeadRows) {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows.count, "rows \(range) of \(rows.count)")
    states.attend(queries, to: range, of: rows, workspace: workspace)
  }

  /// Adds the attention of all queries of the group to some rows, in rising order.
  public func attend(to list: [Int], of rows: HeadRows) {
    precondition(list.allSatisfy { (0..<rows.count).contains($0) }, "rows beyond \(rows.count)")
    let scratch = workspace.scope()
    unsafe states.attend(queries, to: scratch.rows(list), of: rows, workspace: workspace)
  }

  /// The same step on other memory, or another part of it.
  func with(_ states: StatePointers, _ workspace: Workspace, part: Int = 0, parts: Int = 1) -> HeadStep {
    HeadStep(
      queries: queries, states: states, workspace: workspace, part: part, parts: parts, block: block,
      hiddenRows: hiddenRows)
  }
}

// Which rows a query scores highest, for programs that want the rows and not their attention.

import AttentionKernels

/// A row that was found, with its score.
public struct ScoredRow: Sendable, Hashable {
  /// What ``KeyValueIndex`` calls it.
  public var id: UInt32
  /// Inner product of the query with the row's key.
  public var score: Float

  public init(id: UInt32, score: Float) {
    self.id = id
    self.score = score
  }
}

extension KeyValueIndex {
  /// The rows whose keys have the highest inner products with each query, as far as the index finds them.
  ///
  /// The index says which rows are worth a look; those are scored by their keys, so scores are exact to f32 rounding,
  /// and only which rows are found is not. On queries unlike the keys, as those of attention are, and with default
  /// parameters, all kinds find more than .9 of the best 10, ``ClusterIndex`` more than .95 and ``ScanIndex`` more than
  /// .99. A query's scale does not matter.
  ///
  /// What the parameters of ``index`` change: `beamWidth` of a graph and `probes` of lists find more and cost more.
  /// Clusters are looked into in the order of what they promise, until the next one promises less than what was found.
  ///
  /// - Parameters:
  ///   - queries: `[queries, dimension]`.
  ///   - count: rows wanted for each query.
  /// - Returns: for each query at most `count` rows, and as many if there are, best first, of equal scores the lower id
  ///   first; and what was read for all queries.
  /// - Throws: ``KeyValueIndexError`` for a size that does not fit, a count that is not positive, and queries that are
  ///   not finite.
  public func search(
    queries: Span<Float>, count limit: Int
  ) throws(KeyValueIndexError) -> (rows: [[ScoredRow]], read: ReadCount) {
    let queryCount = try rowCount("queries", queries.count)
    guard limit > 0 else { throw .invalidCount(name: "count", value: limit) }
    try requireFinite("queries", queries)
    var read = ReadCount()
    guard count > 0 else { return ([[ScoredRow]](repeating: [], count: queryCount), read) }
    let wanted = min(limit, count)
    let scratch = workspace.scope()
    let base = unsafe copy(queries, in: scratch)
    var results: [[ScoredRow]] = []
    results.reserveCapacity(queryCount)
    for query in 0..<queryCount {
      let one = unsafe QueryGroup(queries: base + query * dimension, count: 1)
      results.append(best(wanted, for: one, read: &read))
    }
    return (results, read)
  }

  private func best(_ wanted: Int, for query: QueryGroup, read: inout ReadCount) -> [ScoredRow] {
    let d = dimension
    let all = rows.view(count: count, dimension: d)
    var (candidates, cost) = core.candidates(wanted, for: query, rows: all, workspace: workspace)
    // Fewer only where what the index looks at is bounded by its parameters.
    if candidates.count < wanted { candidates = (0..<UInt32(count)).map { $0 } }
    let scratch = workspace.scope()
    let list = unsafe scratch.rows(candidates.count)
    for (i, row) in candidates.enumerated() { list[i] = row }
    let scores = unsafe scratch.list(candidates.count)
    unsafe workspace.kernels.unsafeDot(
      query.rows(dimension: d), with: all.keys, .listed(list), scores: scores.base)
    cost.retrieved += candidates.count
    cost.scored += candidates.count
    cost.bytes += candidates.count * all.keys.stride
    read += cost
    // Of equal scores the lower id is better, and ranks are higher for lower numbers.
    var ranks = (0..<candidates.count).map {
      Kernels.rank(score: scores[$0] + 0, index: rows.ids[Int(list[$0])])
    }
    ranks.sort(by: >)
    return ranks.prefix(wanted).map {
      ScoredRow(id: Kernels.index(ofRank: $0), score: Kernels.score(ofRank: $0))
    }
  }
}

// The walk over a graph, for queries and, during a build, for keys.

import AttentionKernels

/// The rows that a search scores, and how.
struct ScoredRows {
  /// `[rows, d]`.
  let rows: PackedRows
  let dimension: Int
  /// `[rows]`: half the squared length of each row, subtracted from its inner product with the query. What then
  /// scores highest is nearest. Nil for plain inner products.
  var halfNorms: ListView<Float>?
}

/// What a search did.
struct SearchCost {
  /// Rows scored; once for all queries of the search.
  var scored = 0
  /// Rows whose links were read.
  var hops = 0
  /// Links read.
  var links = 0
}

struct BeamSearch {
  let graph: LinkTable
  let scoring: ScoredRows
  /// Takes what is found.
  let beams: Beams
  let workspace: Workspace

  /// Best-first search for queries `[count, d]`, which fill the beams from `firstBeam` on.
  ///
  /// The queries take turns to expand their best row, and every row seen is scored for all of them: queries of a
  /// group want much the same rows, and reading a row costs more than one more product with it. With one query it
  /// is the search of Vamana and RoarGraph. It ends when the best `beamWidth` rows of each query are expanded; the
  /// beams may keep more. Rows seen before are left out. Beams, and links, are not checked.
  @unsafe func run(_ queries: FloatRows, beamWidth: Int, firstBeam: Int = 0) -> SearchCost {
    let scratch = workspace.scope()
    let count = queries.count
    let (beams, links) = unsafe (beams, graph.links)
    var cost = SearchCost()
    let room = max(graph.capacity, graph.entryPoints.count)
    let unseen = unsafe scratch.rows(room)
    let scores = unsafe scratch.list(count * room)
    func visit(_ rows: some Sequence<UInt32>) {
      let unseenCount = unsafe beams.marks.see(rows, unseen: unseen)
      guard unseenCount > 0 else { return }
      cost.scored += unseenCount
      score(queries, rows: unseen.first(unseenCount), scores: scores)
      for query in 0..<count {
        unsafe beams.offer(
          unseen.base, scores: scores.base + query * unseenCount, count: unseenCount, query: firstBeam + query
        )
      }
    }
    visit(graph.entryPoints)
    var isActive = true
    while isActive {
      isActive = false
      for query in 0..<count {
        guard let row = unsafe beams.expandNext(query: firstBeam + query, limit: beamWidth) else { continue }
        isActive = true
        let next = unsafe links[row]
        cost.hops += 1
        cost.links += next.count
        visit(next)
      }
    }
    return cost
  }

  private func score(
    _ queries: FloatRows, rows: ListView<UInt32>, scores: ListView<Float>
  ) {
    unsafe workspace.kernels.unsafeDot(queries, with: scoring.rows, .listed(rows), scores: scores.base)
    guard let halfNorms = unsafe scoring.halfNorms?.base else { return }
    let (rows, rowCount, scores) = unsafe (rows.base, rows.count, scores.base)
    for query in 0..<queries.count {
      for i in 0..<rowCount { unsafe scores[query * rowCount + i] -= halfNorms[Int(rows[i])] }
    }
  }
}

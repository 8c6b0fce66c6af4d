// Making links: which candidates a row keeps, links back, and that every row can be reached.

import AttentionKernels

/// Writes links of one graph over points of a key space.
struct GraphBuilder {
  let graph: LinkTable
  let space: KeySpace
  /// Links that a row chooses for itself, M.
  let degree: Int
  let beamWidth: Int
  let workspace: Workspace

  /// Links a row to what a search from it finds, and to the best of `extra` rows, with links back.
  ///
  /// This is how HNSW and Vamana insert, on one layer. Outliers stay without links.
  func link(_ row: Int, extra: ListView<UInt32> = .empty) {
    guard !space.isOutlier(row) else { return }
    guard !graph.entryPoints.isEmpty else {
      graph.entryPoints = [UInt32(row)]
      return
    }
    let scratch = workspace.scope()
    let found = nearRows(row, extra: extra, in: scratch)
    let kept = prune(found, limit: degree, in: scratch)
    graph.set(row, to: kept)
    addReverseLinks(of: row)
  }

  /// Rows near `row` that a search over `graph` finds, and `extra` rows, nearest first, without the row itself.
  func nearRows(
    _ row: Int, extra: ListView<UInt32> = .empty,
    in result: borrowing Scratch
  ) -> ListView<RankedRow> {
    let width = min(beamWidth + 1, space.count)
    let candidates = unsafe result.ranked(width + extra.count)
    let scratch = workspace.scope()
    let beams = Beams(queries: 1, width: width, rows: space.count, in: scratch)
    let query = space.point(row, in: scratch)
    _ = unsafe BeamSearch(graph: graph, scoring: space.scoring, beams: beams, workspace: workspace).run(
      query, beamWidth: beamWidth + 1)
    var count = 0
    for candidate in unsafe beams[0] where Int(candidate.row) != row {
      let distance = space.squaredDistance(score: candidate.value, from: row)
      candidates[count] = RankedRow(distance, row: candidate.row)
      count += 1
    }
    guard !extra.isEmpty else { return candidates.first(count) }
    let marks = unseenRows()
    _ = marks.see(UInt32(row))
    for i in 0..<count { _ = marks.see(candidates[i].row) }
    let added = unsafe scratch.rows(extra.count)
    let addedCount = unsafe marks.see(extra, unseen: added)
    rank(row, added.first(addedCount), into: candidates.from(count))
    let all = candidates.first(count + addedCount)
    all.sort()
    return all
  }

  /// Ranks `rows` by their distance from a row, nearest first.
  func ranked(
    _ row: Int, _ rows: ListView<UInt32>, in result: borrowing Scratch
  ) -> ListView<RankedRow> {
    let all = unsafe result.ranked(rows.count)
    rank(row, rows, into: all)
    all.sort()
    return all
  }

  private func rank(
    _ row: Int, _ rows: ListView<UInt32>, into result: ListView<RankedRow>
  ) {
    let scratch = workspace.scope()
    let distances = unsafe scratch.list(rows.count)
    space.squaredDistances(from: row, to: rows, result: distances)
    for i in 0..<rows.count { result[i] = RankedRow(distances[i], row: rows[i]) }
  }

  /// Marks for rows, none of which is set. Those made before must no longer be used.
  func unseenRows() -> RowMarks.Marks { workspace.rowMarks.unseen(rows: space.count) }

  /// Chooses at most `limit` of the candidates, which come nearest first.
  ///
  /// A candidate is occluded, and left out, when a kept one is nearer to it than the row is (the rule of a relative
  /// neighborhood graph, as in RoarGraph and HNSW), and also when it equals a kept one: many equal keys would
  /// otherwise fill all links. `fill` takes the nearest occluded candidates into places that are left.
  func prune(
    _ candidates: ListView<RankedRow>, limit: Int, fill: Bool = false,
    in result: borrowing Scratch
  ) -> ListView<UInt32> {
    let kept = unsafe result.rows(limit)
    let scratch = workspace.scope()
    let remaining = unsafe scratch.rows(candidates.count)
    let between = unsafe scratch.list(candidates.count)
    let (open, distances, steps) = unsafe (remaining.base, scratch.floats(candidates.count), between.base)
    for i in 0..<candidates.count {
      unsafe open[i] = candidates[i].row
      unsafe distances[i] = candidates[i].value
    }
    var openCount = candidates.count
    var keptCount = 0
    while openCount > 0, keptCount < limit {
      let nearest = unsafe open[0]
      kept[keptCount] = nearest
      keptCount += 1
      openCount -= 1
      // Each kept row is compared with all that are still open in one go.
      space.squaredDistances(from: Int(nearest), to: remaining.from(1).first(openCount), result: between)
      var next = 0
      for i in 0..<openCount where unsafe steps[i] >= distances[i + 1] && steps[i] > 0 {
        unsafe open[next] = open[i + 1]
        unsafe distances[next] = distances[i + 1]
        next += 1
      }
      openCount = next
    }
    if fill {
      let chosen = keptCount
      for candidate in candidates where keptCount < limit {
        if kept.first(chosen).contains(candidate.row) { continue }
        kept[keptCount] = candidate.row
        keptCount += 1
      }
    }
    return kept.first(keptCount)
  }

  /// Links back to a row from those that it links to.
  func addReverseLinks(of row: Int) {
    for neighbor in graph[row] {
      if graph.add(UInt32(row), to: Int(neighbor)) { continue }
      shrink(Int(neighbor), adding: UInt32(row))
    }
  }

  /// Prunes the links of rows that have more than the graph's degree.
  func shrinkAll() {
    for row in 0..<graph.rowCount where graph[row].count > graph.maxDegree { shrink(row) }
  }

  /// Prunes the links of a row, and of one more.
  private func shrink(_ row: Int, adding link: UInt32? = nil) {
    let scratch = workspace.scope()
    let links = graph[row]
    let rows = unsafe scratch.rows(links.count + 1)
    for (place, link) in links.enumerated() { rows[place] = link }
    var count = links.count
    if let link {
      rows[count] = link
      count += 1
    }
    graph.set(
      row, to: prune(ranked(row, rows.first(count), in: scratch), limit: graph.maxDegree, in: scratch))
  }

  /// Adds links until every row but outliers can be reached from the entry points.
  ///
  /// A row that cannot gets a link from the nearest reached row with room; where a search finds none, it becomes
  /// an entry point. Cost: one visit of every link, and a search for each row that is added.
  func connect() {
    let scratch = workspace.scope()
    let rows = graph.rowCount
    let isReached = unsafe scratch.indices(rows)
    let queue = unsafe scratch.indices(rows)
    unsafe isReached.update(repeating: 0, count: rows)
    var queued = 0
    var next = 0
    func reach(_ row: UInt32) {
      guard unsafe isReached[Int(row)] == 0 else { return }
      unsafe isReached[Int(row)] = 1
      unsafe queue[queued] = row
      queued += 1
    }
    for row in graph.entryPoints { reach(row) }
    for row in 0..<rows {
      while next < queued {
        for link in unsafe graph[Int(queue[next])] { reach(link) }
        next += 1
      }
      guard unsafe isReached[row] == 0, !space.isOutlier(row) else { continue }
      let scratch = workspace.scope()
      let near = nearRows(row, in: scratch)
      if !near.contains(where: { graph.add(UInt32(row), to: Int($0.row)) }) {
        graph.entryPoints.append(UInt32(row))
      }
      reach(UInt32(row))
    }
  }
}

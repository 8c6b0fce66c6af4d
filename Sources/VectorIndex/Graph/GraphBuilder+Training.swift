// The two constructions that learn from queries.

import AttentionKernels

extension GraphBuilder {
  /// RoarGraph's neighborhood-aware projection of queries on keys (arXiv 2408.08933): the nearest key of a query, its
  /// pivot, is linked to the query's other keys, pruned by occlusion and filled up with the nearest, and these link
  /// back.
  ///
  /// Queries of attention often share their nearest key, and one pivot cannot hold the keys of many. So a pivot is
  /// the nearest key that is not one yet.
  func projectQueries(_ retrieved: borrowing RetrievedKeys) {
    let scratch = workspace.scope()
    let isPivot = unsafe scratch.indices(space.count)
    unsafe isPivot.update(repeating: 0, count: space.count)
    for query in 0..<retrieved.queryCount {
      let keys = retrieved.keys(of: query)
      guard let pivot = (keys.first { unsafe isPivot[Int($0)] == 0 } ?? keys.first).map({ Int($0) }) else {
        continue
      }
      unsafe isPivot[pivot] = 1
      let marks = unseenRows()
      _ = marks.see(UInt32(pivot))
      // What the pivot has, from links back or from another query, competes with what comes.
      let scratch = workspace.scope()
      let others = unsafe scratch.rows(keys.count + graph[pivot].count)
      var count = 0
      for rows in [keys, graph[pivot]] {
        unsafe count += marks.see(rows, unseen: others.from(count))
      }
      let near = ranked(pivot, others.first(count), in: scratch)
      graph.set(pivot, to: prune(near, limit: degree, fill: true, in: scratch))
      addReverseLinks(of: pivot)
    }
    shrinkAll()
  }

  /// RoarGraph's connectivity enhancement of `graph`, the projection: every key searches it for
  /// itself, keeps the best that occlusion leaves, these link back, and `result` gets the projection's links with
  /// both as additional ones: at most three times as many for a row.
  func enhance(_ result: LinkTable) {
    let near = LinkTable(maxDegree: degree, capacity: 2 * degree)
    near.append(rows: space.count)
    for row in 0..<space.count where !space.isOutlier(row) {
      let scratch = workspace.scope()
      let kept = prune(nearRows(row, in: scratch), limit: degree, in: scratch)
      // Rows before this one may have taken places for links back.
      for link in kept {
        _ = near.add(link, to: row)
        _ = near.add(UInt32(row), to: Int(link))
      }
    }
    for row in 0..<space.count {
      for links in [graph[row], near[row]] {
        for link in links { _ = result.add(link, to: row) }
      }
    }
  }

  /// The row with links that is nearest to a row.
  func nearestLinked(to row: UInt32) -> UInt32 {
    let scratch = workspace.scope()
    let rows = unsafe scratch.rows(space.count)
    var count = 0
    for other in 0..<space.count where !graph[other].isEmpty {
      rows[count] = UInt32(other)
      count += 1
    }
    return ranked(Int(row), rows.first(count), in: scratch).first?.row ?? row
  }

  /// Links each retrieved key to the keys that come with it in the same queries' lists, as occlusion leaves them,
  /// and the others to those.
  ///
  /// In contrast to RoarGraph a query needs no nearest key as a hub: lists overlap, and every key of a list is
  /// linked within it.
  func linkRetrievedTogether(_ retrieved: borrowing RetrievedKeys) {
    let rows = space.count
    for row in 0..<rows where !retrieved.queries(of: row).isEmpty {
      let scratch = workspace.scope()
      let together = keysRetrieved(with: row, retrieved, in: scratch)
      let near = ranked(row, together, in: scratch)
      graph.set(row, to: prune(near, limit: graph.maxDegree, in: scratch))
    }
    for row in 0..<rows { addReverseLinks(of: row) }
    for row in 0..<rows where retrieved.queries(of: row).isEmpty { link(row) }
  }

  /// The keys in the lists of all queries that retrieve a key, without duplicates and the key itself.
  func keysRetrieved(
    with row: Int, _ retrieved: borrowing RetrievedKeys, in scratch: borrowing Scratch
  ) -> ListView<UInt32> {
    let marks = unseenRows()
    _ = marks.see(UInt32(row))
    let queries = retrieved.queries(of: row)
    let result = unsafe scratch.rows(
      min(space.count, queries.count * retrieved.width) + retrieved.width)
    var count = 0
    for query in queries {
      unsafe count += marks.see(retrieved.keys(of: Int(query)), unseen: result.from(count))
    }
    return result.first(count)
  }

  /// What RoarGraph would link to a key: the other keys of queries that it is nearest to, and the nearest keys of
  /// the other queries that retrieve it.
  func keysProjected(
    on row: Int, _ retrieved: borrowing RetrievedKeys, in scratch: borrowing Scratch
  ) -> ListView<UInt32> {
    let marks = unseenRows()
    _ = marks.see(UInt32(row))
    let queries = retrieved.queries(of: row)
    let result = unsafe scratch.rows(
      min(space.count, queries.count * retrieved.width) + retrieved.width)
    var count = 0
    for query in queries {
      let keys = retrieved.keys(of: Int(query))
      let linked = Int(keys[0]) == row ? keys : keys.first(1)
      unsafe count += marks.see(linked, unseen: result.from(count))
    }
    return result.first(count)
  }
}

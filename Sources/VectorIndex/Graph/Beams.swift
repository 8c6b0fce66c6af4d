// What a search over a graph keeps: the best rows of each query, and which rows were seen.

/// Candidate lists of the queries of a search, and the state of each row. Owned by a workspace, so a search
/// allocates nothing once buffers have grown.
final class Beams {
  private var states = RowBuffer<UInt8>()  // [rows]
  private var candidates = RowBuffer<RankedRow>()  // [queries, width], best first
  private var counts = RowBuffer<Int>()  // [queries]
  private var cursors = RowBuffer<Int>()  // [queries]: all candidates before it are expanded
  private var scratchRows = RowBuffer<RankedRow>()
  private(set) var width = 0
  /// The state of rows seen since ``forget()``; one more means that their neighbors were seen too. Advancing it
  /// spares clearing `states` for each query, except for every 126th.
  private var seen: UInt8 = 0

  /// Makes empty lists.
  func reset(queries: Int, width: Int, rows: Int) {
    self.width = width
    candidates.reserve(queries * width)
    counts.reserve(queries)
    cursors.reserve(queries)
    counts.base.update(repeating: 0, count: queries)
    cursors.base.update(repeating: 0, count: queries)
    if states.count < rows {
      let added = rows - states.count
      states.grow(by: added).initialize(repeating: 0, count: added)
    }
    forget()
  }

  /// Makes all rows unseen.
  func forget() {
    if seen >= 253 {
      states.base.update(repeating: 0, count: states.count)
      seen = 1
    } else {
      seen = seen == 0 ? 1 : seen + 2
    }
  }

  /// Marks rows as seen and writes those that were not. `result` has room for all.
  func see(_ rows: UnsafeBufferPointer<UInt32>, unseen result: UnsafeMutablePointer<UInt32>) -> Int {
    let (states, seen) = (states.base, seen)
    var count = 0
    for row in rows {
      // Written in any case, kept if the row is new: there is no branch to mispredict.
      result[count] = row
      let isNew = states[Int(row)] < seen || states[Int(row)] > seen + 1
      count += isNew ? 1 : 0
      if isNew { states[Int(row)] = seen }
    }
    return count
  }

  /// Marks one row as seen; false if it was.
  func see(_ row: UInt32) -> Bool {
    let state = states.base[Int(row)]
    guard state != seen, state != seen + 1 else { return false }
    states.base[Int(row)] = seen
    return true
  }

  /// The candidates of a query, best first.
  subscript(query: Int) -> UnsafeBufferPointer<RankedRow> {
    UnsafeBufferPointer(start: candidates.base + query * width, count: counts.base[query])
  }

  /// Puts the rows among a query's candidates as far as they are good enough.
  func offer(_ rows: UnsafePointer<UInt32>, scores: UnsafePointer<Float>, count: Int, query: Int) {
    let list = candidates.base + query * width
    let width = width
    var size = counts.base[query]
    var first = cursors.base[query]
    for i in 0..<count {
      let candidate = RankedRow(scores[i], row: rows[i])
      if size == width {
        if candidate < list[width - 1] { continue }
        size -= 1
      }
      var (low, high) = (0, size)
      while low < high {
        let middle = (low + high) / 2
        if list[middle] > candidate { low = middle + 1 } else { high = middle }
      }
      (list + low + 1).update(from: list + low, count: size - low)
      list[low] = candidate
      size += 1
      first = min(first, low)
    }
    counts.base[query] = size
    cursors.base[query] = first
  }

  /// A query's best row whose neighbors nobody has seen, which is then marked.
  ///
  /// - Parameter limit: how many of the best candidates may be expanded.
  func expandNext(query: Int, limit: Int) -> Int? {
    let list = candidates.base + query * width
    let expanded = seen + 1
    let end = min(limit, counts.base[query])
    for i in min(cursors.base[query], end)..<end {
      let row = Int(list[i].row)
      guard states.base[row] != expanded else { continue }
      states.base[row] = expanded
      cursors.base[query] = i + 1
      return row
    }
    cursors.base[query] = end
    return nil
  }

  /// Room for `count` ranked rows besides the candidates, of which the first `kept` are those of the last call.
  func scratch(_ count: Int, keeping kept: Int = 0) -> UnsafeMutablePointer<RankedRow> {
    scratchRows.removeAll()
    scratchRows.grow(by: kept)
    scratchRows.reserve(count)
    return scratchRows.base
  }
}

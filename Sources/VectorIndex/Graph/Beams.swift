// What a search over a graph keeps: the best rows of each query, and which rows were seen.

/// Memory for ``Beams``. Owned by a workspace, so a search allocates nothing once buffers have grown.
final class BeamMemory {
  private var states = RowBuffer<UInt8>()  // [rows]
  private var candidates = RowBuffer<RankedRow>()  // [queries, width]
  private var counts = RowBuffer<Int>()  // [queries]
  private var cursors = RowBuffer<Int>()  // [queries]
  private var scratchRows = RowBuffer<RankedRow>()
  private var seen: UInt8 = 0

  /// Empty lists for some queries, with all rows unseen. Those made before must no longer be used.
  func beams(queries: Int, width: Int, rows: Int) -> Beams {
    candidates.reserve(queries * width)
    counts.reserve(queries)
    cursors.reserve(queries)
    counts.base.update(repeating: 0, count: queries)
    cursors.base.update(repeating: 0, count: queries)
    if states.count < rows {
      let added = rows - states.count
      states.grow(by: added).initialize(repeating: 0, count: added)
    }
    advance()
    return Beams(
      states: states.base, candidates: candidates.base, counts: counts.base, cursors: cursors.base,
      width: width,
      seen: seen)
  }

  /// The same lists, with all rows unseen.
  func forgetting(_ beams: Beams) -> Beams {
    advance()
    return Beams(
      states: beams.states, candidates: beams.candidates, counts: beams.counts, cursors: beams.cursors,
      width: beams.width, seen: seen)
  }

  /// Takes the next two marks, which spares clearing the states of all rows, except for every 127th search.
  private func advance() {
    seen &+= 2
    if seen <= 1 {
      states.base.update(repeating: 0, count: states.count)
      seen = 2
    }
  }

  /// Room for `count` ranked rows besides the candidates, of which the first `kept` are those of the last call.
  func scratch(_ count: Int, keeping kept: Int = 0) -> UnsafeMutablePointer<RankedRow> {
    scratchRows.removeAll()
    scratchRows.grow(by: kept)
    scratchRows.reserve(count)
    return scratchRows.base
  }
}

/// Candidate lists of the queries of a search, best first, and the state of each row. Refers to a ``BeamMemory``:
/// the inner loop of a search works on plain pointers.
struct Beams {
  fileprivate let states: UnsafeMutablePointer<UInt8>
  fileprivate let candidates: UnsafeMutablePointer<RankedRow>
  fileprivate let counts: UnsafeMutablePointer<Int>
  /// For each query: all candidates before it are expanded.
  fileprivate let cursors: UnsafeMutablePointer<Int>
  fileprivate let width: Int
  /// The state of rows that were seen; one more means that their neighbors were seen too. Any other: unseen.
  fileprivate let seen: UInt8

  /// Marks rows as seen and writes those that were not to `result`, which has room for all.
  func see(_ rows: UnsafeBufferPointer<UInt32>, unseen result: UnsafeMutablePointer<UInt32>) -> Int {
    var count = 0
    for row in rows {
      // Written in any case and kept if it is new: whether it is cannot be predicted.
      let state = states[Int(row)]
      let isNew = state &- seen > 1
      result[count] = row
      count &+= isNew ? 1 : 0
      states[Int(row)] = isNew ? seen : state
    }
    return count
  }

  /// Marks one row as seen; false if it was.
  func see(_ row: UInt32) -> Bool {
    guard states[Int(row)] &- seen > 1 else { return false }
    states[Int(row)] = seen
    return true
  }

  /// The candidates of a query, best first.
  subscript(query: Int) -> UnsafeBufferPointer<RankedRow> {
    UnsafeBufferPointer(start: candidates + query * width, count: counts[query])
  }

  /// Puts rows among a query's candidates as far as they are good enough.
  func offer(_ rows: UnsafePointer<UInt32>, scores: UnsafePointer<Float>, count: Int, query: Int) {
    let list = candidates + query * width
    var size = counts[query]
    var first = cursors[query]
    var worst = size == width ? list[width - 1].value : -.infinity
    for i in 0..<count where scores[i] >= worst {
      let candidate = RankedRow(scores[i], row: rows[i])
      if size == width {
        guard list[width - 1] < candidate else { continue }
        size &-= 1
      }
      let place = Self.place(of: candidate, in: list, count: size)
      (list + place + 1).update(from: list + place, count: size &- place)
      list[place] = candidate
      size &+= 1
      if size == width { worst = list[width - 1].value }
      first = min(first, place)
    }
    counts[query] = size
    cursors[query] = first
  }

  /// How many of the candidates are better. Halves the range without branches on what is compared.
  private static func place(
    of candidate: RankedRow, in list: UnsafePointer<RankedRow>, count: Int
  ) -> Int {
    var begin = 0
    var length = count
    while length > 1 {
      let half = length &>> 1
      begin &+= half & (candidate < list[begin &+ half &- 1] ? -1 : 0)
      length &-= half
    }
    return length == 1 && candidate < list[begin] ? begin &+ 1 : begin
  }

  /// A query's best row whose neighbors nobody has seen, which is then marked.
  ///
  /// - Parameter limit: how many of the best candidates may be expanded.
  func expandNext(query: Int, limit: Int) -> Int? {
    let list = candidates + query * width
    let expanded = seen + 1
    let end = min(limit, counts[query])
    var i = min(cursors[query], end)
    while i < end {
      let row = Int(list[i].row)
      i &+= 1
      guard states[row] != expanded else { continue }
      states[row] = expanded
      cursors[query] = i
      return row
    }
    cursors[query] = end
    return nil
  }
}

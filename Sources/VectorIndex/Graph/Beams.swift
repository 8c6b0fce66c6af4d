// What a search over a graph keeps: the best rows of each query, and which rows were seen.

/// Candidate lists of the queries of a search, best first, and the state of each row. Plain pointers, for the inner
/// loop of a search; good for as long as the scope that they were made in.
@safe struct Beams {
  var marks: RowMarks.Marks
  fileprivate let candidates: UnsafeMutablePointer<RankedRow>
  fileprivate let counts: UnsafeMutablePointer<UInt32>
  /// For each query: all candidates before it are expanded.
  fileprivate let cursors: UnsafeMutablePointer<UInt32>
  fileprivate let width: Int

  /// Empty lists for some queries, with all rows unseen.
  init(queries: Int, width: Int, rows: Int, in scratch: borrowing Scratch) {
    marks = scratch.workspace.rowMarks.unseen(rows: rows)
    unsafe candidates = scratch.rankedRows(queries * width)
    unsafe counts = scratch.indices(queries)
    unsafe cursors = scratch.indices(queries)
    unsafe counts.update(repeating: 0, count: queries)
    unsafe cursors.update(repeating: 0, count: queries)
    self.width = width
  }

  /// The candidates of a query, best first.
  @unsafe subscript(query: Int) -> ListView<RankedRow> {
    unsafe ListView(candidates + query * width, count: Int(counts[query]))
  }

  /// Puts rows among a query's candidates as far as they are good enough.
  func offer(_ rows: UnsafePointer<UInt32>, scores: UnsafePointer<Float>, count: Int, query: Int) {
    let list = unsafe candidates + query * width
    var size = unsafe Int(counts[query])
    var first = unsafe Int(cursors[query])
    var worst = unsafe size == width ? list[width - 1].value : -.infinity
    for i in 0..<count where unsafe scores[i] >= worst {
      let candidate = unsafe RankedRow(scores[i], row: rows[i])
      if size == width {
        guard unsafe list[width - 1] < candidate else { continue }
        size &-= 1
      }
      let place = unsafe Self.place(of: candidate, in: list, count: size)
      unsafe (list + place + 1).update(from: list + place, count: size &- place)
      unsafe list[place] = candidate
      size &+= 1
      if size == width { worst = unsafe list[width - 1].value }
      first = min(first, place)
    }
    unsafe counts[query] = UInt32(size)
    unsafe cursors[query] = UInt32(first)
  }

  /// How many of the candidates are better. Halves the range without branches on what is compared.
  private static func place(
    of candidate: RankedRow, in list: UnsafePointer<RankedRow>, count: Int
  ) -> Int {
    var begin = 0
    var length = count
    while length > 1 {
      let half = length &>> 1
      unsafe begin &+= half & (candidate < list[begin &+ half &- 1] ? -1 : 0)
      length &-= half
    }
    return unsafe length == 1 && candidate < list[begin] ? begin &+ 1 : begin
  }

  /// A query's best row whose neighbors nobody has seen, which is then marked.
  ///
  /// - Parameter limit: how many of the best candidates may be expanded.
  @unsafe func expandNext(query: Int, limit: Int) -> Int? {
    let list = unsafe candidates + query * width
    let (states, expanded) = unsafe (marks.states.base, marks.seen + 1)
    let end = unsafe min(limit, Int(counts[query]))
    var i = unsafe min(Int(cursors[query]), end)
    while i < end {
      let row = unsafe Int(list[i].row)
      i &+= 1
      guard unsafe states[row] != expanded else { continue }
      unsafe states[row] = expanded
      unsafe cursors[query] = UInt32(i)
      return row
    }
    unsafe cursors[query] = UInt32(end)
    return nil
  }
}

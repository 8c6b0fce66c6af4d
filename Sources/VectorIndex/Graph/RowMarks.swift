// Which rows a search over a graph has seen.

/// Which rows a search has seen, as numbers that spare clearing them for the next one. Owned by a workspace, so a
/// search allocates nothing once it has grown.
final class RowMarks {
  private var states = RowBuffer<UInt8>()  // [rows]
  private var seen: UInt8 = 0

  /// Marks of `rows` rows, none of which was seen. Those made before must no longer be used.
  func unseen(rows: Int) -> Marks {
    if states.count < rows {
      let added = rows - states.count
      unsafe states.grow(by: added).initialize(repeating: 0, count: added)
    }
    // The next two marks spare clearing the states of all rows, except for every 127th search.
    seen &+= 2
    if seen <= 1 {
      unsafe states.base.update(repeating: 0, count: states.count)
      seen = 2
    }
    return unsafe Marks(states: states.list, seen: seen)
  }

  struct Marks {
    let states: ListView<UInt8>
    /// The state of rows that were seen; one more means that their neighbors were seen too. Any other: unseen.
    let seen: UInt8

    /// Marks rows as seen and writes those that were not to `result`, which has room for all.
    @unsafe func see(_ rows: some Sequence<UInt32>, unseen result: ListView<UInt32>) -> Int {
      let (states, result) = unsafe (states.base, result.base)
      var count = 0
      for row in rows {
        // Written in any case and kept if it is new: whether it is cannot be predicted.
        let state = unsafe states[Int(row)]
        let isNew = state &- seen > 1
        unsafe result[count] = row
        count &+= isNew ? 1 : 0
        unsafe states[Int(row)] = isNew ? seen : state
      }
      return count
    }

    /// Marks one row as seen; false if it was.
    func see(_ row: UInt32) -> Bool {
      guard states[Int(row)] &- seen > 1 else { return false }
      states[Int(row)] = seen
      return true
    }
  }
}

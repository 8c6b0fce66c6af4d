// Rows that several queries want, each once.

/// A set of rows as bits: a union of short lists over many rows, ascending, without a sort.
package struct RowUnion {
  private let words: ListView<UInt64>

  @unsafe package init(rowCount: Int, in scratch: borrowing Scratch) {
    let wordCount = (rowCount + 63) / 64
    words = unsafe ListView(scratch.ranks(wordCount), count: wordCount)
    words.fill(0)
  }

  @unsafe package func insert(_ row: UInt32) { unsafe words.base[Int(row >> 6)] |= 1 << UInt64(row & 63) }

  package var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

  /// Writes the rows, ascending, which fit into `room`, and returns them.
  package func list(into room: ListView<UInt32>) -> ListView<UInt32> {
    let (rows, words) = unsafe (room.base, words)
    var count = 0
    for (number, bits) in words.enumerated() {
      var word = bits
      while word != 0 {
        unsafe rows[count] = UInt32(number * 64 + word.trailingZeroBitCount)
        count += 1
        word &= word - 1
      }
    }
    return room.first(count)
  }
}

// Rows that several queries want, each once.

/// A set of rows as bits: a union of short lists over many rows, ascending, without a sort.
package struct RowUnion {
  private let words: UnsafeMutablePointer<UInt64>
  private let wordCount: Int

  package init(rowCount: Int, in scratch: borrowing Scratch) {
    wordCount = (rowCount + 63) / 64
    words = scratch.ranks(wordCount)
    words.update(repeating: 0, count: wordCount)
  }

  package func insert(_ row: UInt32) { words[Int(row >> 6)] |= 1 << UInt64(row & 63) }

  package var count: Int { (0..<wordCount).reduce(0) { $0 + words[$1].nonzeroBitCount } }

  /// Writes the rows, ascending, and returns how many.
  package func list(into result: UnsafeMutablePointer<UInt32>) -> Int {
    var count = 0
    for number in 0..<wordCount {
      var word = words[number]
      while word != 0 {
        result[count] = UInt32(number * 64 + word.trailingZeroBitCount)
        count += 1
        word &= word - 1
      }
    }
    return count
  }
}

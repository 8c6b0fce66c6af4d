// Scores and distances with their rows, in one word that sorts.

/// A number with a row, ordered by the number and then by the row: sorting and inserting move one word.
package struct RankedRow: BitwiseCopyable, Comparable {
  private let word: UInt64

  package init(_ value: Float, row: UInt32) {
    // Positive floats sort as their bits do, negative ones the other way round.
    let bits = value.bitPattern
    let ordered = bits >> 31 == 0 ? bits | 0x8000_0000 : ~bits
    word = UInt64(ordered) << 32 | UInt64(row)
  }

  package var row: UInt32 { UInt32(truncatingIfNeeded: word) }

  package var value: Float {
    let ordered = UInt32(truncatingIfNeeded: word >> 32)
    return Float(bitPattern: ordered >> 31 == 1 ? ordered & 0x7FFF_FFFF : ~ordered)
  }

  package static func < (a: RankedRow, b: RankedRow) -> Bool { a.word < b.word }
}

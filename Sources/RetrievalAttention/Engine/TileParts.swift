// Exact attention of a few tokens to many rows, whose tiles are fewer than the workers, or share out badly among them.

import AttentionKernels
import VectorIndex

/// How the rows of such tiles are divided, and the states of the parts.
///
/// Attention over parts of the rows, merged behind (Flash-Decoding, Dao et al., 2023).
struct TileParts: ~Copyable {
  /// Of each tile.
  private(set) var count = 1
  private var floats = RowBuffer<Float>()
  private var queryCount = 0
  private var dimension = 0

  /// A part with fewer rows takes longer to begin and to merge than it saves.
  static let fewestRows = 1024

  /// - Parameters:
  ///   - tiles: of all KV heads, of at most `queryCount` queries each.
  ///   - rows: that a tile reads.
  mutating func prepare(tiles: Int, rows: Int, workers: Int, queryCount: Int, dimension: Int) {
    (self.queryCount, self.dimension) = (queryCount, dimension)
    // Twice as many tasks as workers, so that the last ones end together.
    count = workers > 1 ? max(1, min(rows / Self.fewestRows, (2 * workers + tiles - 1) / max(1, tiles))) : 1
    floats.reserve(count > 1 ? tiles * count * stateSize : 0)
  }

  private var stateSize: Int { queryCount * (dimension + 2) }

  /// Memory for the states of a part of a tile, as they were left.
  func states(tile: Int, part: Int, count: Int) -> StatePointers {
    precondition(count <= queryCount, "\(count) queries in tiles of \(queryCount)")
    let memory = unsafe floats.room.from((tile * self.count + part) * stateSize).first(stateSize)
    return unsafe StatePointers(
      maxima: memory.base, sums: memory.base + count, accumulators: memory.base + 2 * count, count: count,
      dimension: dimension)
  }

  /// The rows of a part of `rowCount`.
  func rows(of part: Int, _ rowCount: Int) -> Range<Int> {
    rowCount * part / count..<rowCount * (part + 1) / count
  }
}

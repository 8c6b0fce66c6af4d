// What kinds of codes have in common.

/// Keys in a form that can be scored with fewer bytes than the keys themselves.
///
/// Codebooks and coordinates are learned from the first rows that are inserted, and from the queries that come with
/// them. Later rows are encoded with the same.
package protocol KeyScorer: AnyObject {
  /// Rows inserted so far.
  var rowCount: Int { get }
  /// Bytes of codes, codebooks and coordinates.
  var byteCount: Int { get }
  /// Bytes that are read to score one row; nil when it is the key that is read.
  var bytesPerRow: Int? { get }

  /// Adds keys `[count, d]`.
  ///
  /// - Parameter outliers: rows of these, rising, of which nothing is to be learned.
  func insert(
    keys: PackedRows, count: Int, outliers: [UInt32], training: TrainingQueries, workspace: Workspace)

  /// What ``score(_:of:rows:scores:kernels:)`` needs of a group's queries, in `scratch`. Rows have been
  /// inserted.
  func prepare(_ group: QueryGroup, in scratch: borrowing Scratch) -> PreparedQueries

  /// Writes approximate scores: element i of row h is that of query h with row `range.lowerBound + i`.
  ///
  /// A range may begin and end anywhere; multiples of 32 rows are scored fastest.
  func score(
    _ range: Range<Int>, of prepared: PreparedQueries, rows: IndexRows,
    scores: ScoreRows, kernels: Kernels)

  /// Adds what was learned and the codes to a file; nothing as long as there are no rows.
  func write(to file: inout IndexFileWriter)

  /// Takes back what ``write(to:)`` added for the file's rows. Only for a scorer without rows.
  func read(from file: IndexFileReader) throws(IndexFileError)
}

package import AttentionKernels

/// 64 bytes of codes, at a multiple of 64 in memory: what kernels load at once.
package typealias CodeLine = SIMD64<UInt8>

/// Where scores go: rows of a list, one a query, `stride` elements apart.
package struct ScoreRows {
  package let list: ListView<Float>
  package let stride: Int

  package init(_ list: ListView<Float>, stride: Int) {
    self.list = list
    self.stride = stride
  }
}

/// A group's queries as a kind of codes takes them.
package struct PreparedQueries {
  package let group: QueryGroup
  /// Integers or tables.
  let codes: CodeQueries
}

/// No codes: scores are exact, from the keys of the store.
final class ExactKeys: KeyScorer {
  private let dimension: Int
  var rowCount = 0

  init(dimension: Int) { self.dimension = dimension }

  var byteCount: Int { 0 }
  var bytesPerRow: Int? { nil }

  func insert(
    keys: PackedRows, count: Int, outliers: [UInt32], training: TrainingQueries, workspace: Workspace
  ) {
    rowCount += count
  }

  func prepare(_ group: QueryGroup, in scratch: borrowing Scratch) -> PreparedQueries {
    let none = unsafe scratch.floats(1)
    return unsafe PreparedQueries(
      group: group,
      codes: CodeQueries(group.queries, stride: 0, count: group.count, scales: none, sums: none, bases: none))
  }

  func score(
    _ range: Range<Int>, of prepared: PreparedQueries, rows: IndexRows,
    scores: ScoreRows, kernels: Kernels
  ) {
    unsafe kernels.unsafeDot(
      FloatRows(prepared.group.queries, count: prepared.group.count, dimension: dimension),
      with: rows.keys.from(range.lowerBound), .first(range.count), scores: scores.list.base,
      scoreStride: scores.stride)
  }
}

// Checked scans of coded rows.

/// Blocks of coded rows in a flat buffer, and the rows of them that are wanted.
public struct CodedRows: Hashable, Sendable {
  /// Elements of a coded row for LVQ, subquantizers for PQ.
  public let width: Int
  /// Rows to score; may begin and end anywhere in a block.
  public let rows: Range<Int>

  /// - Throws: ``KernelError/invalidCount(name:value:)`` for a width below 1 or a negative first row.
  public init(width: Int, rows: Range<Int>) throws(KernelError) {
    guard width >= 1 else { throw .invalidCount(name: "width", value: width) }
    guard rows.lowerBound >= 0 else { throw .invalidCount(name: "first row", value: rows.lowerBound) }
    self.width = width
    self.rows = rows
  }

  /// Throws unless the blocks that hold the rows are there.
  func require(blocks available: Int, blockRows: Int, blockBytes: Int) throws(KernelError) {
    let count = (rows.upperBound + blockRows - 1) / blockRows
    let (bytes, overflow) = count.multipliedReportingOverflow(by: blockBytes)
    guard !overflow else { throw .sizeOverflow(name: "blocks", count: count, stride: blockBytes) }
    guard rows.isEmpty || bytes <= available else {
      throw .bufferTooSmall(name: "blocks", required: bytes, actual: available)
    }
  }
}

extension Kernels {
  /// Scores of integer queries with 8-bit LVQ codes (arXiv 2304.04759): for row r with its scale and offset,
  /// `scores[h, i] = bases[h] + scales[h] * scale_r * (queries[h] . codes_r) + sums[h] * offset_r`.
  ///
  /// The integer sum is exact and the same at every level; the rest is three f32 roundings.
  ///
  /// - Parameters:
  ///   - queries: `[queryCount, width rounded up to 4]`, groups of four in the order 0, 2, 1, 3, magnitudes up to
  ///     ``lvq8QueryLimit(dimension:)``, zeros behind the width
  ///   - scales: `[queryCount]`, as are `sums` and `bases`
  ///   - blocks: ``lvq8BlockByteCount(dimension:)`` bytes for 16 rows; layout in attention_kernels.h
  ///   - scores: `[queryCount, codes.rows.count]`
  /// - Throws: ``KernelError``, before anything is written.
  public func scoreLVQ8(
    queries: Span<Int16>, scales: Span<Float>, sums: Span<Float>, bases: Span<Float>, blocks: Span<UInt8>,
    _ codes: CodedRows, scores: inout MutableSpan<Float>
  ) throws(KernelError) {
    let (m, padded, n) = (scales.count, (codes.width + 3) / 4 * 4, codes.rows.count)
    try checkQueries(m, sums.count, bases.count, length: padded, in: queries.count, n, scores.count)
    let limit = Self.lvq8QueryLimit(dimension: codes.width)
    for i in 0..<m * padded where Int(queries[i].magnitude) > limit {
      throw .indexOutOfRange(name: "query integers", index: Int(queries[i]), limit: limit + 1)
    }
    try codes.require(
      blocks: blocks.count, blockRows: Self.lvqBlockRows,
      blockBytes: Self.lvq8BlockByteCount(dimension: codes.width))
    queries.withPointer { queries in
      scales.withPointer { scales in
        sums.withPointer { sums in
          bases.withPointer { bases in
            blocks.withPointer { blocks in
              scores.withPointer {
                unsafeDotLVQ8(
                  queries: queries, queryStride: padded, queryCount: m, scales: scales, sums: sums,
                  bases: bases, blocks: blocks, dimension: codes.width, firstRow: codes.rows.lowerBound,
                  rowCount: n, scores: $0, scoreStride: n)
              }
            }
          }
        }
      }
    }
  }

  /// The same with 4-bit codes: integers from -127, in their own order, zeros up to a multiple of 8.
  public func scoreLVQ4(
    queries: Span<Int8>, scales: Span<Float>, sums: Span<Float>, bases: Span<Float>, blocks: Span<UInt8>,
    _ codes: CodedRows, scores: inout MutableSpan<Float>
  ) throws(KernelError) {
    let (m, padded, n) = (scales.count, (codes.width + 7) / 8 * 8, codes.rows.count)
    try checkQueries(m, sums.count, bases.count, length: padded, in: queries.count, n, scores.count)
    for i in 0..<m * padded where queries[i] == .min {
      throw .indexOutOfRange(name: "query integers", index: Int(queries[i]), limit: 128)
    }
    try codes.require(
      blocks: blocks.count, blockRows: Self.lvqBlockRows,
      blockBytes: Self.lvq4BlockByteCount(dimension: codes.width))
    queries.withPointer { queries in
      scales.withPointer { scales in
        sums.withPointer { sums in
          bases.withPointer { bases in
            blocks.withPointer { blocks in
              scores.withPointer {
                unsafeDotLVQ4(
                  queries: queries, queryStride: padded, queryCount: m, scales: scales, sums: sums,
                  bases: bases, blocks: blocks, dimension: codes.width, firstRow: codes.rows.lowerBound,
                  rowCount: n, scores: $0, scoreStride: n)
              }
            }
          }
        }
      }
    }
  }

  /// Sums of table entries chosen by 4-bit PQ codes (arXiv 1812.09162):
  /// `scores[h, i] = bases[h] + scales[h] * (sum over s of tables[h, s, code])`. Integer sums are exact.
  ///
  /// - Parameters:
  ///   - tables: `[queryCount, codes.width, 16]`, of which entries of the subquantizers 16 i + j, + 4, + 8 and + 12,
  ///     j < 4, add up to at most 255
  ///   - scales: `[queryCount]`, as are `bases`
  ///   - blocks: ``pq4BlockByteCount(subquantizers:)`` bytes for 32 rows; layout in attention_kernels.h
  ///   - codes: a width that is a multiple of 4, at most 256
  ///   - scores: `[queryCount, codes.rows.count]`
  /// - Throws: ``KernelError``, before anything is written.
  public func scorePQ4(
    tables: Span<UInt8>, scales: Span<Float>, bases: Span<Float>, blocks: Span<UInt8>, _ codes: CodedRows,
    scores: inout MutableSpan<Float>
  ) throws(KernelError) {
    guard codes.width % 4 == 0, codes.width <= 256 else {
      throw .invalidCount(name: "subquantizers", value: codes.width)
    }
    let (m, n) = (scales.count, codes.rows.count)
    try checkQueries(m, m, bases.count, length: codes.width * 16, in: tables.count, n, scores.count)
    try checkTables(tables, subquantizers: codes.width, count: m)
    try codes.require(
      blocks: blocks.count, blockRows: Self.pqBlockRows,
      blockBytes: Self.pq4BlockByteCount(subquantizers: codes.width))
    tables.withPointer { tables in
      scales.withPointer { scales in
        bases.withPointer { bases in
          blocks.withPointer { blocks in
            scores.withPointer {
              unsafeDotPQ4(
                tables: tables, tableStride: codes.width * 16, queryCount: m, scales: scales, bases: bases,
                blocks: blocks, subquantizers: codes.width, firstRow: codes.rows.lowerBound, rowCount: n,
                scores: $0, scoreStride: n)
            }
          }
        }
      }
    }
  }
}

private func checkQueries(
  _ count: Int, _ sums: Int, _ bases: Int, length: Int, in available: Int, _ rows: Int, _ scores: Int
) throws(KernelError) {
  try require("sums", count, in: sums)
  try require("bases", count, in: bases)
  try RowShape(count: count, dimension: length).require("queries", in: available)
  if rows > 0 { try RowShape(count: count, dimension: rows).require("scores", in: scores) }
}

/// Throws for entries that would overflow when four lines are added in 8 bits.
private func checkTables(_ tables: Span<UInt8>, subquantizers: Int, count: Int) throws(KernelError) {
  for first in stride(from: 0, to: count * subquantizers, by: subquantizers) {
    for s in 0..<subquantizers where s % 16 < 4 {
      var sum = 0
      for t in stride(from: s, to: min(s + 16, subquantizers), by: 4) {
        sum += (0..<16).reduce(0) { max($0, Int(tables[(first + t) * 16 + $1])) }
      }
      guard sum <= 255 else { throw .indexOutOfRange(name: "tables", index: sum, limit: 256) }
    }
  }
}

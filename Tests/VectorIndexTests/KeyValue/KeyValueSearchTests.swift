// Ids and scores: against brute force, and what they are whatever is found.

import Testing
import VectorIndex

@Suite struct KeyValueSearchTests {
  private static let rows = HeadRows(rows: 3000, dimension: 64, seed: 5)
  private static let queries = rows.head.queries(40, seed: 3)
  /// `[queries][10]`.
  private static let best = (0..<40).map { rows.best(10, for: Array(queries[$0 * 64..<($0 + 1) * 64])) }

  /// What the documentation of `search` promises, with room for other heads than this one. Measured: clusters 1,
  /// without codes .97, lists .99, scan 1, scan of keys 1, graph 1.
  @Test(arguments: zip(KeyValueKind.allCases, [0.95, 0.95, 0.9, 0.99, 1, 0.9]))
  func recall(kind: KeyValueKind, least: Double) throws {
    let (head, d, wanted) = (Self.rows, 64, 10)
    let index = try kind.make(dimension: d)
    try head.insert(0..<2000, into: index)
    try head.insert(2000..<3000, into: index)
    let queries = Self.queries
    let (found, read) = try index.search(queries: queries.span, count: wanted)
    let keys = floats(head.keys)
    var hits = 0
    for (number, rows) in found.enumerated() {
      #expect(rows.count == wanted)
      #expect(Set(rows.map(\.id)).count == wanted)
      #expect(zip(rows, rows.dropFirst()).allSatisfy { $0.score >= $1.score })
      let query = queries[number * d..<(number + 1) * d]
      for row in rows {
        let key = keys[Int(row.id) * d..<(Int(row.id) + 1) * d]
        let exact = zip(query, key).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        #expect(abs(exact - Double(row.score)) < 1e-4)
      }
      hits += Set(rows.map(\.id)).intersection(Self.best[number]).count
    }
    let recall = Double(hits) / Double(40 * wanted)
    #expect(recall >= least)
    #expect(read.bytes > 0)
  }

  @Test(arguments: KeyValueKind.allCases)
  func edges(kind: KeyValueKind) throws {
    let head = HeadRows(rows: 100, dimension: 8)
    let index = try kind.make(dimension: 8)
    let queries = head.head.queries(2, seed: 2)
    #expect(try index.search(queries: queries.span, count: 5).rows == [[], []])
    try head.insert(0..<100, into: index)
    #expect(try index.search(queries: queries.span, count: 100_000).rows.map(\.count) == [100, 100])
    #expect(try index.search(queries: [Float]().span, count: 1).rows.isEmpty)
    // No scores are too large for an answer.
    let huge = [Float](repeating: 3e38, count: 8) + [Float](repeating: -.leastNonzeroMagnitude, count: 8)
    #expect(try index.search(queries: huge.span, count: 3).rows.map(\.count) == [3, 3])
    // A query of zeros scores all rows alike.
    let zeros = try index.search(queries: [Float](repeating: 0, count: 8).span, count: 100).rows[0]
    #expect(zeros.map(\.id) == Array(0..<100))
    #expect(throws: KeyValueIndexError.invalidCount(name: "count", value: 0)) {
      _ = try index.search(queries: queries.span, count: 0)
    }
    #expect(
      throws: KeyValueIndexError.mismatch(
        name: "elements of queries modulo dimension", expected: 0, actual: 7)
    ) { _ = try index.search(queries: Array(queries[..<7]).span, count: 1) }
    var bad = queries
    bad[9] = .nan
    #expect(throws: KeyValueIndexError.notFinite(name: "queries", element: 9)) {
      _ = try index.search(queries: bad.span, count: 1)
    }
  }
}

// Rows that go: what remains is what would be there had they never been.

import Testing
import VectorIndex

@Suite struct KeyValueRemoveTests {
  private static let rows = HeadRows(rows: 900, dimension: 32)

  @Test(arguments: KeyValueKind.allCases)
  func nothingOfThemRemains(kind: KeyValueKind) throws {
    let (head, d) = (Self.rows, 32)
    let index = try kind.make(dimension: d)
    try head.insert(0..<600, into: index)
    try head.insert(600..<900, into: index)
    let queries = head.head.queries(3, seed: 2)
    // The best of each query among them, and some of both insertions.
    let best = try index.search(queries: queries.span, count: 2).rows.joined().map(\.id)
    let removed = Set(best + stride(from: 3, to: 900, by: 7))
    try index.remove(ids: removed)
    #expect(index.count == 900 - removed.count)
    #expect(Set(index.ids).isDisjoint(with: removed))

    let fresh = try kind.make(dimension: d)
    try head.insert(0..<600, into: fresh) { !removed.contains(UInt32($0)) }
    try head.insert(600..<900, into: fresh) { !removed.contains(UInt32($0)) }
    let kept = (0..<UInt32(900)).filter { !removed.contains($0) }
    var expected = try fresh.answer(queries, dimension: d)
    expected.ids = expected.ids.map { kept[Int($0)] }
    expected.found = expected.found.map { $0.map { ScoredRow(id: kept[Int($0.id)], score: $0.score) } }
    #expect(try index.answer(queries, dimension: d) == expected)

    // Ids are not used again.
    #expect(try head.insert(0..<10, into: index) == 900..<910)
    #expect(Set(index.ids) == Set(kept + (900..<910)))
  }

  @Test(arguments: KeyValueKind.allCases)
  func unknownIDsChangeNothing(kind: KeyValueKind) throws {
    let head = HeadRows(rows: 100, dimension: 8)
    let index = try kind.make(dimension: 8)
    try head.insert(0..<100, into: index)
    let queries = head.head.queries(3, seed: 2)
    try index.remove(ids: [7, 7])
    let before = try index.answer(queries, dimension: 8)
    for ids in [[1, 7], [100, 3], [.max]] as [[UInt32]] {
      #expect(throws: KeyValueIndexError.noSuchRow(id: ids.contains(7) ? 7 : ids[0])) {
        try index.remove(ids: ids)
      }
    }
    try index.remove(ids: [])
    #expect(try index.answer(queries, dimension: 8) == before)
    try index.remove(ids: index.ids)
    #expect(index.count == 0)
    #expect(try index.search(queries: queries.span, count: 3).rows == [[], [], []])
    #expect(try head.insert(0..<100, into: index) == 100..<200)
    #expect(index.count == 100)
  }
}

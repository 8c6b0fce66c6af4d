import Testing
import VectorIndex

@Suite struct HighestScoresTests {
  private func select(_ limit: Int, of scores: [Float]) -> [UInt32] {
    var heap = [UInt32](repeating: .max, count: max(1, min(limit, scores.count)))
    let found = HighestScores.select(limit, of: scores, count: scores.count, into: &heap)
    return Array(heap[..<found])
  }

  @Test func findsWhatSortingFinds() {
    var generator = SeededGenerator(seed: 3)
    for count in [1, 2, 7, 64, 333] {
      // Few different values, so that there are ties.
      let scores = (0..<count).map { _ in Float(Int.random(in: -9...9, using: &generator)) }
      let sorted = (0..<count).sorted { (scores[$1], $0) < (scores[$0], $1) }
      for limit in [1, 2, 3, count / 2, count, count + 5] {
        let expected = sorted.prefix(limit).map { UInt32($0) }
        #expect(select(limit, of: scores).sorted() == expected.sorted(), "\(limit) of \(count)")
      }
    }
  }

  @Test func takesOddScores() {
    #expect(select(0, of: [1, 2]) == [])
    #expect(select(-1, of: [1, 2]) == [])
    #expect(select(3, of: []) == [])
    #expect(select(1, of: [-.infinity, -.infinity]) == [0])
    #expect(select(2, of: [1, .infinity, -.infinity, 2]).sorted() == [1, 3])
    // Not-a-numbers take a place or not, but each index is there once.
    let found = select(3, of: [.nan, 1, .nan, 2, .nan])
    #expect(found.count == 3)
    #expect(Set(found).count == 3)
    #expect(found.allSatisfy { $0 < 5 })
  }
}

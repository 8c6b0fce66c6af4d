// What training queries retrieve, against sorting all scores.

import AttentionKernels
import Testing
import VectorIndex

@Suite struct RetrievedKeysTests {
  @Test(arguments: [(1, 1, 5), (40, 7, 40), (500, 50, 100), (300, 3, 1)])
  func listsAreTheBestKeysInOrder(keyCount: Int, queryCount: Int, width: Int) {
    // Small whole numbers: products are exact, and many are equal.
    var generator = SeededGenerator(seed: 111)
    let d = 6
    let keys = (0..<keyCount * d).map { _ in Float(Int.random(in: -9...9, using: &generator)) }
    // Every query is followed by one of another head.
    let queries = (0..<2 * queryCount * d).map { _ in Float(Int.random(in: -9...9, using: &generator)) }
    let bits = halves(keys)
    queries.withUnsafeBufferPointer { queryRows in
      bits.withUnsafeBufferPointer { keyRows in
        let retrieved = RetrievedKeys(
          of: FloatRows(queryRows.baseAddress!, count: queryCount, dimension: d, stride: 2 * d),
          keys: PackedRows(keyRows.baseAddress!, stride: d), keyCount: keyCount, width: width,
          workspace: Workspace())
        let expectedWidth = min(width, keyCount)
        #expect(retrieved.width == expectedWidth)
        var retrievedBy = [[UInt32]](repeating: [], count: keyCount)
        for query in 0..<queryCount {
          let scores = (0..<keyCount).map { key in
            (0..<d).reduce(Float(0)) { $0 + queries[2 * query * d + $1] * keys[key * d + $1] }
          }
          let list = Array(retrieved.keys(of: query))
          #expect(Set(list).count == expectedWidth)
          #expect(list.map { scores[Int($0)] } == Array(scores.sorted(by: >).prefix(expectedWidth)))
          for key in list { retrievedBy[Int(key)].append(UInt32(query)) }
        }
        for key in 0..<keyCount { #expect(Array(retrieved.queries(of: key)) == retrievedBy[key]) }
      }
    }
  }

  @Test func ranksAsNumbersDo() {
    let values: [Float] = [-.infinity, -3e38, -1.5, -2e-38, 0, 2e-38, 0.5, 1.5, 3e38, .infinity]
    let ranked = values.map { RankedRow($0, row: 7) }
    #expect(ranked == ranked.shuffled().sorted())
    #expect(ranked.map(\.value) == values)
    #expect(RankedRow(2, row: .max).row == .max)
    #expect(RankedRow(2, row: 3) < RankedRow(2, row: 4))
    #expect(RankedRow(2, row: 9) < RankedRow(2.0000002, row: 4))
  }
}

import Foundation
import RetrievalAttention
import Testing
import VectorIndex

@Suite struct RotaryEmbeddingTests {
  /// 12 rotated dimensions of 16.
  private let pairs = 6
  private let d = 16

  private func embedding(_ layout: RotaryEmbedding.Layout) -> RotaryEmbedding {
    RotaryEmbedding(
      layout: layout, inverseFrequencies: (0..<pairs).map { Float(pow(10_000, -Double($0) / Double(pairs))) })
  }

  /// The definition: a pair is a complex number, multiplied by e^(i angle).
  private func rotated(_ row: [Float], _ rotary: RotaryEmbedding, by delta: Int) -> [Double] {
    var result = row.map(Double.init)
    for pair in 0..<pairs {
      let (first, second) =
        rotary.layout == .adjacentPairs ? (2 * pair, 2 * pair + 1) : (pair, pair + pairs)
      let angle = Double(delta) * Double(rotary.inverseFrequencies[pair])
      let (a, b) = (Double(row[first]), Double(row[second]))
      result[first] = a * cos(angle) - b * sin(angle)
      result[second] = a * sin(angle) + b * cos(angle)
    }
    return result
  }

  private func randomRow(_ seed: UInt64) -> [Float] {
    var generator = SeededGenerator(seed: seed)
    return (0..<d).map { _ in Float.random(in: -1...1, using: &generator) }
  }

  @Test(arguments: [RotaryEmbedding.Layout.adjacentPairs, .rotateHalf], [0, 1, -1, 37, -4095, 131_072])
  func shiftFollowsTheDefinition(layout: RotaryEmbedding.Layout, delta: Int) {
    let rotary = embedding(layout)
    // Three rows, five elements apart, which must stay as they are.
    let stride = d + 5
    var rows = [Float](repeating: 77, count: 3 * stride)
    for row in 0..<3 { rows.replaceSubrange(row * stride..<row * stride + d, with: randomRow(UInt64(row))) }
    rotary.shift(&rows, count: 3, stride: stride, by: delta)
    for row in 0..<3 {
      let expected = rotated(randomRow(UInt64(row)), rotary, by: delta)
      let errors = expected.indices.map { abs(Double(rows[row * stride + $0]) - expected[$0]) }
      #expect(errors.allSatisfy { $0 < Tolerance.rotation })
      #expect(rows[row * stride + d..<(row + 1) * stride].allSatisfy { $0 == 77 })
      // Dimensions behind the rotated ones are copied exactly.
      #expect(
        Array(rows[row * stride + 2 * pairs..<row * stride + d])
          == Array(randomRow(UInt64(row))[(2 * pairs)...]))
    }
  }

  @Test(arguments: [RotaryEmbedding.Layout.adjacentPairs, .rotateHalf])
  func dotProductDependsOnDistanceOnly(layout: RotaryEmbedding.Layout) {
    let rotary = embedding(layout)
    func dot(_ queryPosition: Int, _ keyPosition: Int) -> Double {
      var (query, key) = (randomRow(5), randomRow(6))
      rotary.shift(&query, count: 1, stride: d, by: queryPosition)
      rotary.shift(&key, count: 1, stride: d, by: keyPosition)
      return zip(query, key).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    }
    for distance in [0, 1, 100, 5000] {
      let expected = dot(distance, 0)
      for start in [1, 77, 100_000] {
        #expect(abs(dot(start + distance, start) - expected) < 10 * Tolerance.rotation)
      }
    }
    #expect(abs(dot(1, 0) - dot(0, 0)) > 0.01, "rotation does something")
  }

  @Test func shiftsAdd() {
    let rotary = embedding(.rotateHalf)
    var once = randomRow(8)
    var twice = once
    rotary.shift(&once, count: 1, stride: d, by: 300)
    rotary.shift(&twice, count: 1, stride: d, by: 1000)
    rotary.shift(&twice, count: 1, stride: d, by: -700)
    let errors = zip(once, twice).map { Double(abs($0 - $1)) }
    #expect(errors.allSatisfy { $0 < 4 * Tolerance.rotation })
  }
}

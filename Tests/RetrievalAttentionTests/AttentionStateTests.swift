import RetrievalAttention
import Testing
import VectorIndex

@Suite struct AttentionStateTests {
  private let d = 24

  /// Attention of one query to three disjoint ranges of rows, and to all of them.
  private func parts(seed: UInt64) -> (parts: [AttentionState], whole: (output: [Double], logSumExp: Double))
  {
    var generator = SeededGenerator(seed: seed)
    let query = (0..<d).map { _ in Float.random(in: -2...2, using: &generator) }
    let keys = (0..<90 * d).map { _ in Float.random(in: -1...1, using: &generator) }
    let values = (0..<90 * d).map { _ in Float.random(in: -1...1, using: &generator) }
    func attend(_ rows: Range<Int>) -> (output: [Double], logSumExp: Double) {
      referenceAttention(query: query[...], keys: keys, values: values, dimension: d, rows: rows, scale: 1)
    }
    let parts = [0..<3, 3..<50, 50..<90].map { range in
      let part = attend(range)
      return AttentionState(output: part.output.map { Float($0) }, logSumExp: Float(part.logSumExp))
    }
    return (parts, attend(0..<90))
  }

  private func merged(_ states: AttentionState...) throws -> AttentionState {
    var result = states[0]
    for state in states.dropFirst() { try result.merge(state) }
    return result
  }

  private func distance(_ a: AttentionState, _ b: AttentionState) -> Double {
    let outputs = zip(a.output, b.output).map { Double(abs($0 - $1)) }.max() ?? 0
    return max(outputs, a.logSumExp == b.logSumExp ? 0 : Double(abs(a.logSumExp - b.logSumExp)))
  }

  @Test(arguments: UInt64(1)...5)
  func mergingIsAttentionOverTheUnion(seed: UInt64) throws {
    let (parts, whole) = parts(seed: seed)
    let union = AttentionState(output: whole.output.map { Float($0) }, logSumExp: Float(whole.logSumExp))
    let (a, b, c) = (parts[0], parts[1], parts[2])
    #expect(distance(try merged(a, b, c), union) < Tolerance.merge)
    #expect(distance(try merged(c, a, b), union) < Tolerance.merge)
    #expect(distance(try merged(a, merged(b, c)), try merged(merged(a, b), c)) < Tolerance.merge)
    #expect(distance(try merged(a, b), try merged(b, a)) < Tolerance.merge)
  }

  @Test func emptyIsNeutral() throws {
    let state = parts(seed: 9).parts[1]
    let empty = AttentionState.empty(dimension: d)
    #expect(try merged(state, empty) == state)
    #expect(try merged(empty, state) == state)
    let nothing = try merged(empty, empty)
    #expect(nothing == empty)
    #expect(nothing.logSumExp == -.infinity)
    #expect(AttentionState.empty(dimension: -1).output.isEmpty)
  }

  @Test func farApartStatesDoNotOverflow() throws {
    let large = AttentionState(output: [1, 2], logSumExp: 1000)
    let small = AttentionState(output: [5, 5], logSumExp: -1000)
    #expect(try merged(large, small) == large)
    #expect(try merged(small, large) == large)
  }

  @Test func refusesOtherDimensions() {
    var state = AttentionState(output: [1, 2], logSumExp: 3)
    let before = state
    #expect(throws: AttentionError.dimensionMismatch(expected: 2, actual: 3)) {
      try state.merge(AttentionState(output: [1, 2, 3], logSumExp: 4))
    }
    #expect(state == before)
  }
}

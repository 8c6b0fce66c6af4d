import AttentionKernels
import Foundation
import Testing

@Suite struct StateTests {
  @Test func statesWithoutKeysAreZero() throws {
    let (outputs, logSumExps) = try SoftmaxStates(count: 2, dimension: 5).finished()
    #expect(outputs == Array(repeating: 0, count: 10))
    #expect(logSumExps == [-.infinity, -.infinity])
  }

  private func merged(
    _ a: ([Float], [Float]), _ b: ([Float], [Float]), _ shape: RowShape
  ) throws -> ([Float], [Float]) {
    var (outputs, logSumExps) = a
    var (others, otherLogSumExps) = b
    func state(_ outputs: UnsafeMutablePointer<Float>, _ logSumExps: UnsafeMutablePointer<Float>)
      -> OutputPointers
    {
      OutputPointers(
        outputs: outputs, logSumExps: logSumExps, count: shape.count, dimension: shape.dimension,
        stride: shape.stride)
    }
    outputs.withUnsafeMutableBufferPointer { outputs in
      logSumExps.withUnsafeMutableBufferPointer { logSumExps in
        others.withUnsafeMutableBufferPointer { others in
          otherLogSumExps.withUnsafeMutableBufferPointer { otherLogSumExps in
            state(outputs.baseAddress!, logSumExps.baseAddress!)
              .merge(state(others.baseAddress!, otherLogSumExps.baseAddress!))
          }
        }
      }
    }
    return (outputs, logSumExps)
  }

  @Test func mergeIsAttentionOverTheUnion() throws {
    let (m, d) = (3, 64)
    let queries = try Matrix<Float>.random(m, d, seed: 22)
    let keys = try Matrix<UInt16>.random(300, d, seed: 23)
    func attend(_ range: Range<Int>) throws -> ([Float], [Float]) {
      let part = Array(keys.elements[(range.lowerBound * d)..<(range.upperBound * d)])
      let shape = try RowShape(count: range.count, dimension: d)
      var states = try SoftmaxStates(count: m, dimension: d)
      try Kernels.active.attend(
        queries: queries.elements.span, keys: part.span, values: part.span, shape, states: &states)
      return states.finished()
    }
    let parts = try [0..<100, 100..<101, 101..<300].map(attend)
    let whole = try attend(0..<300)
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
      let first = try merged(parts[order[0]], parts[order[1]], queries.shape)
      let result = try merged(first, parts[order[2]], queries.shape)
      for (a, b) in zip(result.0 + result.1, whole.0 + whole.1) {
        #expect(abs(Double(a) - Double(b)) < Tolerance.attention)
      }
    }
  }

  /// Running states of parts merge to those of the whole; weights alone to the same log-sum-exp.
  @Test func runningStatesMerge() throws {
    let (m, d) = (3, 64)
    let queries = try Matrix<Float>.random(m, d, seed: 24)
    let keys = try Matrix<UInt16>.random(300, d, seed: 25)
    let kernels = Kernels.active
    func attended(_ range: Range<Int>) throws -> SoftmaxStates {
      var states = try SoftmaxStates(count: m, dimension: d)
      kernels.attend(queries, keys, keys, indices: range.map { UInt32($0) }, states: &states)
      return states
    }
    var parts = try [0..<0, 0..<100, 100..<101, 101..<300].map(attended)
    var merged = try attended(0..<0)
    var weights = merged
    for number in parts.indices {
      parts[number].withPointers { part in
        merged.withPointers { merged in for h in 0..<m { merged.merge(part, query: h, kernels: kernels) } }
        weights.withPointers { weights in for h in 0..<m { weights.mergeWeight(of: part, query: h) } }
      }
    }
    let (whole, found) = (try attended(0..<300).finished(), merged.finished())
    for (a, b) in zip(found.outputs + found.logSumExps, whole.outputs + whole.logSumExps) {
      #expect(abs(Double(a) - Double(b)) < Tolerance.attention)
    }
    #expect(weights.maxima == merged.maxima && weights.sums == merged.sums)
    for h in 0..<m {
      let logSumExps = parts.map { $0.finished().logSumExps[h] }
      #expect(abs(logSumExps.reduce(-.infinity, logSumExp) - whole.logSumExps[h]) < 1e-5)
    }
    #expect(logSumExp(-.infinity, -.infinity) == -.infinity)
  }

  @Test func emptyStatesAreNeutral() throws {
    let shape = try RowShape(count: 1, dimension: 3)
    let state: ([Float], [Float]) = ([1, 2, 3], [0.5])
    // What an empty state's output holds must not matter.
    let empty: ([Float], [Float]) = ([.nan, 9, .infinity], [-.infinity])
    #expect(try merged(state, empty, shape) == state)
    #expect(try merged(empty, state, shape) == state)
    #expect(try merged(empty, empty, shape) == ([0, 0, 0], [-.infinity]))
  }

  @Test func farApartStatesDoNotOverflow() throws {
    let shape = try RowShape(count: 1, dimension: 1)
    #expect(try merged(([1], [500]), ([2], [-500]), shape) == ([1], [500]))
    #expect(try merged(([1], [-500]), ([3], [-500]), shape) == ([2], [-500 + log(Float(2))]))
  }
}

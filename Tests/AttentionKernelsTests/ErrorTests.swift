import AttentionKernels
import Testing

@Suite struct ErrorTests {
  @Test func shapes() throws {
    #expect(throws: KernelError.invalidCount(name: "count", value: -1)) {
      try RowShape(count: -1, dimension: 4)
    }
    #expect(throws: KernelError.invalidCount(name: "dimension", value: 0)) {
      try RowShape(count: 1, dimension: 0)
    }
    #expect(throws: KernelError.strideTooSmall(name: "rows", stride: 3, dimension: 4)) {
      try RowShape(count: 1, dimension: 4, stride: 3)
    }
    for (count, stride) in [(Int.max, 4), (4, Int.max), (Int.max, Int.max), (Int.max / 8, 4)] {
      #expect(throws: KernelError.sizeOverflow(name: "rows", count: count, stride: stride)) {
        try RowShape(count: count, dimension: 4, stride: stride)
      }
    }
    #expect(try RowShape(count: 3, dimension: 4, stride: 10).elementCount == 24)
    #expect(try RowShape(count: 0, dimension: 4).elementCount == 0)
  }

  @Test func dotChecksItsBuffers() throws {
    let query = [Float](repeating: 1, count: 4)
    let rows = [UInt16](repeating: 0, count: 8)
    let one = try RowShape(count: 1, dimension: 4)
    let two = try RowShape(count: 2, dimension: 4)
    let kernels = Kernels.active
    func error(
      _ queryShape: RowShape, _ rowShape: RowShape, scores count: Int,
      indices: [UInt32]? = nil
    ) -> KernelError? {
      var scores = [Float](repeating: 5, count: count)
      var span = scores.mutableSpan
      do {
        if let indices {
          try kernels.dot(
            queries: query.span, queryShape, rows: rows.span, rowShape, indices: indices.span, scores: &span)
        } else {
          try kernels.dot(
            queries: query.span, queryShape, rows: rows.span, rowShape, scores: &span)
        }
        return nil
      } catch {
        return error
      }
    }
    #expect(error(one, two, scores: 2) == nil)
    #expect(error(two, two, scores: 4) == .bufferTooSmall(name: "queries", required: 8, actual: 4))
    #expect(
      error(one, try RowShape(count: 3, dimension: 4), scores: 3)
        == .bufferTooSmall(name: "rows", required: 12, actual: 8))
    #expect(
      error(one, try RowShape(count: 2, dimension: 3), scores: 2)
        == .mismatch(name: "rows dimension", expected: 4, actual: 3))
    #expect(error(one, two, scores: 1) == .bufferTooSmall(name: "scores", required: 2, actual: 1))
    #expect(error(one, two, scores: 2, indices: [0, 1]) == nil)
    #expect(
      error(one, two, scores: 2, indices: [0, 2]) == .indexOutOfRange(name: "indices", index: 2, limit: 2))
  }

  @Test func attendChecksItsBuffers() throws {
    let rows = [UInt16](repeating: 0, count: 8)
    let two = try RowShape(count: 2, dimension: 4)
    func error(
      queries: Int = 4, values: Int = 8, _ shape: RowShape, indices: [UInt32]? = nil
    ) throws -> KernelError? {
      let queries = [Float](repeating: 1, count: queries)
      let values = Array(rows.prefix(values))
      var states = try SoftmaxStates(count: 1, dimension: 4)
      do {
        if let indices {
          try Kernels.active.attend(
            queries: queries.span, keys: rows.span, values: values.span, shape, indices: indices.span,
            states: &states)
        } else {
          try Kernels.active.attend(
            queries: queries.span, keys: rows.span, values: values.span, shape, states: &states)
        }
        return nil
      } catch {
        #expect(states.sums == [0])
        return error
      }
    }
    #expect(try error(two) == nil)
    #expect(try error(queries: 3, two) == .bufferTooSmall(name: "queries", required: 4, actual: 3))
    #expect(try error(values: 7, two) == .bufferTooSmall(name: "values", required: 8, actual: 7))
    #expect(
      try error(RowShape(count: 3, dimension: 4)) == .bufferTooSmall(name: "keys", required: 12, actual: 8))
    #expect(
      try error(RowShape(count: 2, dimension: 3))
        == .mismatch(name: "keys dimension", expected: 4, actual: 3))
    #expect(try error(two, indices: [1, 0]) == nil)
    #expect(try error(two, indices: [2]) == .indexOutOfRange(name: "indices", index: 2, limit: 2))
  }

  /// What is checked gives what the engine's call gives.
  @Test(arguments: SIMDLevel.supported) func checkedCallsAreTheSame(_ level: SIMDLevel) throws {
    let kernels = try Kernels(level: level)
    let queries = try Matrix<Float>.random(3, 64, seed: 1)
    let keys = try Matrix<UInt16>.random(50, 64, gap: 5, seed: 2)
    let values = try Matrix<UInt16>.random(50, 64, gap: 5, seed: 3)
    for indices in [nil, [49, 3, 20] as [UInt32]] {
      var states = try SoftmaxStates(count: 3, dimension: 64)
      var checked = states
      kernels.attend(queries, keys, values, indices: indices, states: &states)
      let count = indices?.count ?? 50
      var scores = [Float](repeating: .nan, count: 3 * count)
      var checkedScores = scores
      kernels.dot(queries, keys, indices: indices, into: &scores, stride: count)
      var span = checkedScores.mutableSpan
      if let indices {
        try kernels.attend(
          queries: queries.elements.span, keys: keys.elements.span, values: values.elements.span, keys.shape,
          indices: indices.span, states: &checked)
        try kernels.dot(
          queries: queries.elements.span, queries.shape, rows: keys.elements.span, keys.shape,
          indices: indices.span, scores: &span)
      } else {
        try kernels.attend(
          queries: queries.elements.span, keys: keys.elements.span, values: values.elements.span, keys.shape,
          states: &checked)
        try kernels.dot(
          queries: queries.elements.span, queries.shape, rows: keys.elements.span, keys.shape, scores: &span)
      }
      #expect(checked.accumulators == states.accumulators && checked.sums == states.sums)
      #expect(checkedScores == scores)
    }
  }
}

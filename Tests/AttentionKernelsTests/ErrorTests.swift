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
      _ queryShape: RowShape, _ rowShape: RowShape, scores count: Int, stride: Int? = nil,
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
            queries: query.span, queryShape, rows: rows.span, rowShape, scores: &span, scoreStride: stride)
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
    #expect(error(one, two, scores: 2, stride: 1) == .strideTooSmall(name: "scores", stride: 1, dimension: 2))
    #expect(error(one, two, scores: 2, indices: [0, 1]) == nil)
    #expect(
      error(one, two, scores: 2, indices: [0, 2]) == .indexOutOfRange(name: "indices", index: 2, limit: 2))
  }

  @Test func assignNeedsCentroids() throws {
    let point: [Float] = [1]
    var assignments: [UInt32] = [0]
    var best: [Float] = [0]
    let one = try RowShape(count: 1, dimension: 1)
    let none = try RowShape(count: 0, dimension: 1)
    #expect(throws: KernelError.invalidCount(name: "centroids", value: 0)) {
      var assignmentSpan = assignments.mutableSpan
      var bestSpan = best.mutableSpan
      try Kernels.active.assign(
        points: point.span, one, centroids: point.span, none, halfNorms: point.span,
        assignments: &assignmentSpan, best: &bestSpan)
    }
  }
}

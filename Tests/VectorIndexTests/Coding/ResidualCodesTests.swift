// Codes of residuals: what they keep, and that scores are those of what they keep.

import AttentionKernels
import Testing

@testable import VectorIndex

@Suite struct ResidualCodesTests {
  private let kernels = Kernels.active

  /// Codes with identity maps, learned from the residuals.
  private func trained(_ residuals: [Float], dimension d: Int) -> ResidualCodes {
    var codes = ResidualCodes(dimension: d)
    var identity = [Float](repeating: 0, count: d * d)
    for i in 0..<d { identity[i * d + i] = 1 }
    codes.train(
      residuals: residuals, count: residuals.count / d, keyMap: identity, queryMap: identity, kernels: kernels
    )
    return codes
  }

  /// Residuals `[count, d]` in coding order: through the key map.
  private func mapped(_ rows: [Float], by codes: borrowing ResidualCodes) -> [Float] {
    let d = codes.dimension
    let map = (0..<d * d).map { codes.keyMap[$0] }
    let floats = floats(map)
    return (0..<rows.count).map { place in
      let (row, i) = (place / d, place % d)
      return (0..<d).reduce(Float(0)) { $0 + floats[i * d + $1] * rows[row * d + $1] }
    }
  }

  /// A row as its codes have it, from the definition of the layout.
  private func decoded(_ row: Int, _ codes: borrowing ResidualCodes) -> [Float] {
    let parts = codes.subquantizers
    return (0..<codes.dimension).map { i in
      let byte = codes.blocks[row / 32 * 16 * parts + i / 2 * 16 + row % 16]
      let code = Int(row % 32 < 16 ? byte & 15 : byte >> 4)
      return codes.words[i / 2 * 32 + i % 2 * 16 + code]
    }
  }

  @Test(arguments: [64, 128, 20, 7])
  func scoresAreThoseOfTheCodes(dimension d: Int) {
    var generator = SeededGenerator(seed: 11)
    let count = 300
    // Standard deviations from 1 to 1/4, as residuals have.
    let rows = (0..<count).flatMap { _ in
      (0..<d).map { generator.normal() * (1 - 0.75 * Float($0) / Float(d)) }
    }
    var codes = trained(rows, dimension: d)
    let coded = mapped(rows, by: codes)
    codes.append(residuals: coded, count: count, kernels: .active)
    #expect(codes.rowCount == count)

    // Two bits an element keep most of the variance.
    var (error, total) = (Float(0), Float(0))
    for row in 0..<count {
      for (i, value) in decoded(row, codes).enumerated() {
        let original = coded[row * d + i]
        error += (original - value) * (original - value)
        total += original * original
      }
    }
    #expect(error < 0.16 * total)

    let queryCount = 3
    let queries = generator.normals(queryCount * d)
    let scratch = Workspace().scope()
    let tables = codes.tables(queries: queries, count: queryCount, in: scratch)
    var scores = [Float](repeating: .nan, count: queryCount * count)
    // A range that begins and ends inside a block.
    let (first, last) = (5, count - 3)
    score(codes, tables, queryCount: queryCount, rows: first..<last, result: &scores, stride: count)
    let moved = mapped(queries, by: codes)
    for h in 0..<queryCount {
      for row in first..<last {
        let expected = zip(decoded(row, codes), moved[h * d..<(h + 1) * d]).reduce(Float(0)) {
          $0 + $1.0 * $1.1
        }
        // Half a step for each entry, at most; maps in f16.
        let bound = 0.5 * tables.steps[h] * Float(codes.subquantizers) + 0.02
        #expect(abs(scores[h * count + row - first] - expected) < bound)
      }
    }
  }

  @Test func piecesGiveTheSameCodes() {
    var generator = SeededGenerator(seed: 12)
    let d = 24
    let rows = generator.normals(150 * d)
    var whole = trained(rows, dimension: d)
    var pieces = trained(rows, dimension: d)
    whole.append(residuals: rows, count: 150, kernels: .active)
    var done = 0
    for count in [1, 30, 33, 64, 22] {
      rows.withUnsafeBufferPointer {
        pieces.append(residuals: $0.baseAddress! + done * d, count: count, kernels: .active)
      }
      done += count
    }
    #expect(pieces.rowCount == 150)
    #expect(pieces.blocks.count == whole.blocks.count)
    #expect((0..<whole.blocks.count).allSatisfy { whole.blocks[$0] == pieces.blocks[$0] })
    #expect(whole.blocks.count == ResidualCodes.blockByteCount(rows: 150, whole.subquantizers))
  }

  /// All residuals zero: codes say nothing, and scores are zero.
  @Test func takesResidualsOfNothing() {
    let d = 16
    let rows = [Float](repeating: 0, count: 40 * d)
    var codes = trained(rows, dimension: d)
    codes.append(residuals: rows, count: 40, kernels: .active)
    let scratch = Workspace().scope()
    let tables = codes.tables(queries: [Float](repeating: 3, count: d), count: 1, in: scratch)
    var scores = [Float](repeating: .nan, count: 40)
    score(codes, tables, queryCount: 1, rows: 0..<40, result: &scores, stride: 40)
    #expect(scores.allSatisfy { $0 == 0 })
  }

  /// Scores of queries with rows.
  private func score(
    _ codes: borrowing ResidualCodes, _ tables: ResidualCodes.Tables, queryCount: Int, rows: Range<Int>,
    result: inout [Float], stride: Int
  ) {
    kernels.unsafeDotPQ4(
      tables.queries, with: CodeBlocks(codes.blocks.base, width: codes.subquantizers), rows,
      scores: &result, scoreStride: stride)
  }
}

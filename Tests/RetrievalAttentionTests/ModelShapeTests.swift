import AttentionKernels
import AttentionModel
import Testing

@testable import RetrievalAttention

@Suite struct ModelShapeTests {
  /// A row of a KV head has a key and a value of two bytes an element, and a position of four bytes.
  @Test func `A context takes rows of all layers, and no more than a window of some`() throws {
    let full = try LayerShape(headCount: 4, kvHeadCount: 2, headDimension: 64, scale: 1)
    let sliding = try LayerShape(
      headCount: 4, kvHeadCount: 1, headDimension: 32, scale: 1, slidingWindow: 100)
    let (fullRow, slidingRow) = (2 * (2 * 64 * 2 + 4), 2 * 32 * 2 + 4)
    let shape = ModelShape(layers: [full, nil, sliding])
    #expect(shape.byteCount(ofContext: 0) == 0)
    #expect(shape.byteCount(ofContext: 50) == 50 * (fullRow + fullRow / 8 + slidingRow))
    #expect(shape.byteCount(ofContext: 1000) == 1000 * (fullRow + fullRow / 8) + 100 * slidingRow)
    // The index is the same in every format.
    let small = ModelShape(layers: [full], format: KeyValueFormat(keys: .int8, values: .int8))
    let saved = ModelShape(layers: [full]).byteCount(ofContext: 1000) - small.byteCount(ofContext: 1000)
    #expect(saved > 1000 * 2 * 2 * 64 / 2)
    #expect(ModelShape(layers: [full]).byteCount(ofContext: .max) == .max)
    #expect(shape.byteCount(ofContext: -5) == 0)
  }
}

// Prompts that are read through the index: how far they are from exact ones, and which tokens stay exact.

import AttentionKernels
import RetrievalAttention
import Testing
import VectorIndex

@Suite struct PromptTests {
  private static let batch = 128

  private func settings(tolerance: Float, start: Int = 512) -> RetrievalSettings {
    var settings = smallRetrieval(segment: 512)
    settings.prefillTolerance = tolerance
    settings.prefillStart = start
    return settings
  }

  private func engine(
    _ layer: LayerShape, _ settings: RetrievalSettings, format: KeyValueFormat = KeyValueFormat()
  ) throws -> AttentionEngine {
    try AttentionEngine(
      shape: ModelShape(layers: [layer], format: format), policy: .retrieval(settings), capacity: 4096)
  }

  /// Reads a prompt in batches and returns all outputs.
  private func read(
    _ engine: AttentionEngine, _ input: LayerInput, _ range: Range<Int>,
    parallel: ParallelRunner = .serial, tellsEnd: Bool = true
  ) throws -> [Float] {
    var output: [Float] = []
    for first in stride(from: range.lowerBound, to: range.upperBound, by: Self.batch) {
      let end = min(range.upperBound, first + Self.batch)
      var options = CallOptions()
      if tellsEnd { options.promptEnd = range.upperBound }
      output += try engine.attend(input, first..<end, parallel: parallel, options: options)
      engine.updateIndex(
        finishing: end == range.upperBound, askPosition: range.upperBound + 64, parallel: parallel)
    }
    return output
  }

  private func tokens(_ range: Range<Int>, of output: [Float], _ layer: LayerShape) -> [Float] {
    let width = layer.headCount * layer.headDimension
    return Array(output[range.lowerBound * width..<range.upperBound * width])
  }

  @Test(arguments: [KeyValueFormat(), KeyValueFormat(keys: .int8, values: .int8)])
  func chosenKeysAreEnough(format: KeyValueFormat) throws {
    let layer = try layerShape(heads: 6, kvHeads: 2, dimension: 16)
    let input = LayerInput(layer, tokens: 2000, seed: 41)
    let stored = input.stored(as: format)
    var last = 0.0
    for (tolerance, bound) in [(Float(1e-6), 2e-3), (3e-3, 0.3)] {
      let engine = try engine(layer, settings(tolerance: tolerance), format: format)
      let output = try read(engine, input, 0..<2000)
      let error = stored.largestError(output, firstToken: 0, tokens: stride(from: 3, to: 2000, by: 37))
      #expect(error < bound, "tolerance \(tolerance)")
      #expect(error >= last * 0.5)
      last = error
      let share = try #require(engine.promptReads.share)
      #expect(share < (tolerance < 1e-5 ? 1.05 : 0.9), "\(share) at \(tolerance)")
    }
  }

  @Test func toleranceZeroIsExactToTheBit() throws {
    let layer = try layerShape(heads: 4, kvHeads: 2, dimension: 16)
    let input = LayerInput(layer, tokens: 1500, seed: 42)
    var before = settings(tolerance: 0)
    let exact = try read(engine(layer, before), input, 0..<1500)
    // As if it were never long enough.
    before.prefillTolerance = 1
    before.prefillStart = 10_000
    let short = try engine(layer, before)
    #expect(try read(short, input, 0..<1500) == exact)
    #expect(short.promptReads.share == 1)
    let chosen = try engine(layer, settings(tolerance: 1))
    let output = try read(chosen, input, 0..<1500)
    #expect(output != exact)
    #expect(tokens(0..<512, of: output, layer) == tokens(0..<512, of: exact, layer))
  }

  /// Also those that are learned from, on their stride as far as the next segment learns from them.
  @Test func lastTokensAndThoseThatAreLearnedFromAreExact() throws {
    let layer = try layerShape(heads: 4, kvHeads: 2, dimension: 16)
    let input = LayerInput(layer, tokens: 1600, seed: 43)
    let output = try read(engine(layer, settings(tolerance: 1)), input, 0..<1600)
    let exact = Array(stride(from: 0, to: 1600, by: 32)) + Array(1536..<1600)
    #expect(input.largestError(output, firstToken: 0, tokens: exact) < Tolerance.exact)
    #expect(input.largestError(output, firstToken: 0, tokens: [1001, 1301, 1535]) > 10 * Tolerance.exact)
  }

  @Test func aBatchWhosePromptMayEndIsReadAsItsEnd() throws {
    let layer = try layerShape(heads: 4, kvHeads: 2, dimension: 16)
    let input = LayerInput(layer, tokens: 1200, seed: 44)
    let output = try read(engine(layer, settings(tolerance: 1)), input, 0..<1200, tellsEnd: false)
    let ends = stride(from: Self.batch, to: 1200, by: Self.batch).flatMap { $0 - 64..<$0 }
    #expect(input.largestError(output, firstToken: 0, tokens: ends) < Tolerance.exact)
  }

  @Test func workersGiveTheSerialResult() throws {
    let layer = try layerShape(heads: 6, kvHeads: 2, dimension: 16)
    let input = LayerInput(layer, tokens: 1500, seed: 45)
    var outputs: [[Float]] = []
    var reads: [Double?] = []
    for parallel in [ParallelRunner.serial, .threads(2), .threads(4)] {
      let engine = try engine(layer, settings(tolerance: 1e-3))
      outputs.append(try read(engine, input, 0..<1500, parallel: parallel))
      reads.append(engine.promptReads.share)
    }
    #expect(outputs[1] == outputs[0])
    #expect(outputs[2] == outputs[0])
    #expect(Set(reads).count == 1)
  }

  /// Rows that wait are put in another order while a prompt is read; that ends with it.
  @Test func nothingOfADraftIsLeft() throws {
    let layer = try layerShape(heads: 4, kvHeads: 2, dimension: 16)
    let input = LayerInput(layer, tokens: 1500, seed: 46)
    var plain = settings(tolerance: 1e-9)
    plain.segmentCount = 1024
    let drafted = try engine(layer, plain)
    plain.prefillTolerance = 0
    let exact = try engine(layer, plain)
    for engine in [drafted, exact] { _ = try read(engine, input, 0..<1400) }
    #expect(drafted.indexedTokenCount == exact.indexedTokenCount)
    let window = drafted.rows(layer: 0, kvHead: 0)
    for row in 1400 - 64..<1400 { #expect(window.positions[row] == UInt32(row)) }
    for engine in [drafted, exact] {
      let output = try engine.attend(input, 1400..<1401)
      #expect(input.largestError(output, firstToken: 1400, tokens: [1400]) < Tolerance.exact)
    }
  }

  /// A batch that failed is taken back; what waits stays as it is. Farther back, rows return to the order of the text.
  @Test func goesBackInTheMiddleOfAPrompt() throws {
    let layer = try layerShape(heads: 4, kvHeads: 2, dimension: 16)
    let input = LayerInput(layer, tokens: 1500, seed: 47)
    var drafting = settings(tolerance: 1e-3)
    drafting.segmentCount = 1024
    let engine = try engine(layer, drafting)
    func read(_ first: Int, _ end: Int) throws -> [Float] {
      var output: [Float] = []
      for first in stride(from: first, to: end, by: Self.batch) {
        var options = CallOptions()
        options.promptEnd = 1500
        output += try engine.attend(input, first..<first + Self.batch, options: options)
        engine.updateIndex(finishing: false, askPosition: 1564, parallel: .serial)
      }
      return output
    }
    _ = try read(0, 1024)
    // 560 rows left the window when 640 were there.
    try engine.truncate(to: 1024 - 60)
    let rows = engine.rows(layer: 0, kvHead: 1)
    #expect(!(0..<576).allSatisfy { rows.positions[$0] == UInt32($0) })
    #expect(throws: AttentionError.self) { try engine.truncate(to: 500) }
    try engine.rewind(to: 500)
    #expect((0..<500).allSatisfy { rows.positions[$0] == UInt32($0) })
    let output = try engine.attend(input, 500..<501)
    #expect(input.largestError(output, firstToken: 500, tokens: [500]) < Tolerance.exact)
  }

  @Test func cappedAndSlidingLayersAreExact() throws {
    var capped = try layerShape(heads: 4, kvHeads: 2, dimension: 16)
    capped.softCap = 1.5
    for layer in [try layerShape(heads: 4, kvHeads: 2, dimension: 16, window: 100), capped] {
      let input = LayerInput(layer, tokens: 1000, seed: 48)
      let output = try read(engine(layer, settings(tolerance: 1)), input, 0..<1000)
      let checked = stride(from: 5, to: 1000, by: 61)
      #expect(input.largestError(output, firstToken: 0, tokens: checked) < Tolerance.exact)
    }
  }
}

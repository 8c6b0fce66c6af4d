// First and last rows attended to elsewhere: the sum of both parts is the whole.

import AttentionKernels
import RetrievalAttention
import Testing
import VectorIndex

@Suite struct FixedAttentionTests {
  /// Attends to the fixed rows of a layer from the definition, when it is asked.
  private final class Reference: FixedAttention {
    let engine: AttentionEngine
    let input: LayerInput
    var token = 0
    private(set) var askedCount = 0
    private var outputs: [Float] = []
    private var logSumExps: [Float] = []

    init(_ engine: AttentionEngine, _ input: LayerInput) {
      self.engine = engine
      self.input = input
    }

    func result() -> AttendedHeads {
      askedCount += 1
      let layer = input.layer
      let d = layer.headDimension
      outputs = []
      logSumExps = []
      let indexed = engine.indexedTokenCount
      for head in 0..<layer.headCount {
        let kvHead = head / layer.groupSize
        let positions = engine.rows(layer: 0, kvHead: kvHead).positions
        let tokens = (Array(0..<16) + Array(16 + indexed..<engine.rows(layer: 0, kvHead: kvHead).count)).map {
          Int(positions[$0])
        }
        func rows(_ source: [UInt16]) -> [Float] {
          floats(tokens.flatMap { source[$0 * d..<($0 + 1) * d] })
        }
        let query = (token * layer.headCount + head) * d
        let state = referenceAttention(
          query: input.queries[query..<query + d], keys: rows(input.keys[kvHead]),
          values: rows(input.values[kvHead]), dimension: d, rows: 0..<tokens.count, scale: Double(layer.scale)
        )
        outputs += state.output.map { Float($0) }
        logSumExps.append(Float(state.logSumExp))
      }
      return outputs.withUnsafeBufferPointer { outputs in
        logSumExps.withUnsafeBufferPointer {
          AttendedHeads(outputs: outputs.baseAddress!, logSumExps: $0.baseAddress!)
        }
      }
    }
  }

  private func engine(
    _ input: LayerInput, tolerance: Float, format: KeyValueFormat = KeyValueFormat()
  ) throws -> AttentionEngine {
    let engine = try AttentionEngine(
      shape: ModelShape(layers: [input.layer], format: format),
      policy: .retrieval(smallRetrieval(tolerance: tolerance)), capacity: 4096)
    _ = try engine.attend(input, 0..<500)
    engine.updateIndex(finishing: true, askPosition: 600, parallel: .serial)
    #expect(engine.indexedTokenCount == 500 - 16 - 64)
    return engine
  }

  @Test(arguments: [1, 3])
  func bothPartsAddUpToExactAttention(workers: Int) throws {
    let input = LayerInput(try layerShape(heads: 6, kvHeads: 2), tokens: 620, seed: 5)
    let engine = try engine(input, tolerance: 0)
    let reference = Reference(engine, input)
    for token in 500..<620 {
      reference.token = token
      let fixed = try #require(engine.fixedRows(layer: 0))
      #expect(fixed.rowCount == token && fixed.sinkCount == 16)
      #expect(fixed.windowCount == token - 16 - engine.indexedTokenCount)
      #expect(fixed.sinkCount + fixed.windowCount <= (try #require(engine.maximumFixedRows)))
      let output = try engine.attend(
        input, token..<token + 1, parallel: workers == 1 ? .serial : .threads(workers),
        options: .fixed(reference))
      #expect(input.largestError(output, firstToken: token, tokens: [token]) < Tolerance.exact)
      let changed = engine.updateIndex(finishing: true, askPosition: token + 64, parallel: .serial)
      #expect((engine.fixedRows(layer: 0)?.version != fixed.version) == changed)
    }
    #expect(reference.askedCount == 120)
    #expect(engine.indexedTokenCount > 500 - 16 - 64)
  }

  /// Keys elsewhere are whole; ours lack what all of them have in common, which log-sum-exps must not show.
  @Test func offsetsOfStoredKeysCancelOut() throws {
    let format = KeyValueFormat(keys: .int8, values: .int8)
    let plain = LayerInput(try layerShape(), tokens: 520, seed: 6)
    let input = plain.addingToKeys([3: 30, 17: -20])
    let engine = try engine(input, tolerance: 0, format: format)
    #expect(engine.rows(layer: 0, kvHead: 0).keyOffsets != nil)
    let reference = Reference(engine, input)
    let ours = try self.engine(input, tolerance: 0, format: format)
    for token in 500..<520 {
      reference.token = token
      let found = try engine.attend(input, token..<token + 1, options: .fixed(reference))
      let expected = try ours.attend(input, token..<token + 1)
      // The reference's rows are not rounded to eight bits.
      for (a, b) in zip(found, expected) { #expect(abs(a - b) < 0.02) }
    }
  }

  /// What fixed rows weigh is expected well enough: as many keys are read, and outputs are as near.
  @Test func expectationsComeFromTheStepsBefore() throws {
    let input = LayerInput(try layerShape(heads: 3, dimension: 64), tokens: 560, seed: 7, queryScale: 4)
    let tolerance: Float = 0.002
    let (there, here) = (try engine(input, tolerance: tolerance), try engine(input, tolerance: tolerance))
    let reference = Reference(there, input)
    var errors = (there: 0.0, here: 0.0)
    for token in 500..<560 {
      reference.token = token
      let found = try there.attend(input, token..<token + 1, options: .fixed(reference))
      let expected = try here.attend(input, token..<token + 1)
      errors.there += input.largestError(found, firstToken: token, tokens: [token])
      errors.here += input.largestError(expected, firstToken: token, tokens: [token])
    }
    let read = (Double(there.statistics.retrievedKeys), Double(here.statistics.retrievedKeys))
    #expect(abs(read.0 / read.1 - 1) < 0.15, "\(read)")
    #expect(errors.there < 1.3 * errors.here, "\(errors)")
  }

  @Test func layersWithoutAnIndexHaveNoFixedRows() throws {
    let input = LayerInput(try layerShape(), tokens: 200, seed: 8)
    let engine = try AttentionEngine(
      shape: ModelShape(layers: [input.layer]), policy: .retrieval(RetrievalSettings()), capacity: 4096)
    _ = try engine.attend(input, 0..<100)
    #expect(engine.fixedRows(layer: 0) == nil)
    #expect(engine.fixedRows(layer: 1) == nil)
    let reference = Reference(engine, input)
    #expect(throws: AttentionError.self) { try engine.attend(input, 100..<101, options: .fixed(reference)) }
    #expect(engine.tokenCount == 100)
    let exact = try AttentionEngine(
      shape: ModelShape(layers: [input.layer]), policy: .exact, capacity: 4096)
    #expect(exact.maximumFixedRows == nil)
    let longer = LayerInput(try layerShape(), tokens: 620, seed: 5)
    let indexed = try self.engine(longer, tolerance: 0)
    #expect(indexed.fixedRows(layer: 0) != nil)
    var options = CallOptions.fixed(reference)
    options.isExact = true
    #expect(throws: AttentionError.self) { try indexed.attend(longer, 500..<501, options: options) }
    #expect(indexed.tokenCount == 500)
  }
}

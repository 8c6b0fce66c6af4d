// Keys and values in eight bits: attention is exact over what is stored, and the rows take what they should.

import AttentionKernels
import AttentionPolicies
import RetrievalAttention
import Testing
import VectorIndex

@Suite struct RowFormatEngineTests {
  static let formats = [
    KeyValueFormat(keys: .int8, values: .int8), KeyValueFormat(keys: .int8), KeyValueFormat(values: .int8),
  ]

  private let rotary = RotaryEmbedding(layout: .rotateHalf, inverseFrequencies: [1, 0.1, 0.01, 0.001])

  private func engine(
    _ layer: LayerShape, _ policy: AttentionPolicy, _ format: KeyValueFormat, capacity: Int = 8192
  ) throws -> AttentionEngine {
    try AttentionEngine(
      shape: ModelShape(layers: [layer], format: format), policy: policy, capacity: capacity)
  }

  /// Dimensions with blocks that are whole, cut and odd.
  @Test(arguments: formats, [32, 24, 5])
  func promptsAndTokensAreExactOverWhatIsStored(format: KeyValueFormat, dimension: Int) throws {
    let layer = try layerShape(heads: 4, kvHeads: 2, dimension: dimension)
    let input = LayerInput(layer, tokens: 300, seed: 31)
    let stored = input.stored(as: format)
    let engine = try engine(layer, .exact, format)
    var output = try engine.attend(input, 0..<200)
    #expect(stored.largestError(output, firstToken: 0, tokens: [0, 1, 63, 150, 199]) < Tolerance.exact)
    // What rounding changes is seen by the same measure.
    #expect(input.largestError(output, firstToken: 0, tokens: [150, 199]) > 10 * Tolerance.exact)
    output = []
    for token in 200..<300 { output += try engine.attend(input, token..<token + 1) }
    #expect(stored.largestError(output, firstToken: 200, tokens: 200..<300) < Tolerance.exact)
    let row = format.bytesPerRow(dimension: dimension)
    #expect(engine.storeByteCount == 300 * 2 * (row + 4))
    #expect(engine.shape.bytesPerToken == 2 * (row + 4))
    #expect(engine.statistics.bytes == (201...300).reduce(0, +) * 2 * row)
  }

  /// Clusters put rows in an order of their own, which rewinding undoes.
  @Test(arguments: formats)
  func indexedRowsAreExactOverWhatIsStored(format: KeyValueFormat) throws {
    let layer = try layerShape(heads: 6, kvHeads: 2, rotary: rotary)
    let input = LayerInput(layer, tokens: 1100, seed: 32)
    let stored = input.stored(as: format)
    let engine = try engine(layer, .retrieval(smallRetrieval()), format)
    for first in stride(from: 0, to: 1000, by: 250) {
      let output = try engine.attend(input, first..<first + 250)
      #expect(stored.largestError(output, firstToken: first, tokens: [first, first + 249]) < Tolerance.exact)
      engine.updateIndex(finishing: first == 750, askPosition: 1064, parallel: .serial)
    }
    #expect(engine.indexedTokenCount == 1000 - 16 - 64)
    var output: [Float] = []
    for token in 1000..<1100 {
      output += try engine.attend(input, token..<token + 1)
      engine.updateIndex(finishing: true, askPosition: token + 64, parallel: .serial)
    }
    #expect(stored.largestError(output, firstToken: 1000, tokens: 1000..<1100) < Tolerance.exact)
    try engine.rewind(to: 500, parallel: .serial)
    output = try engine.attend(input, 500..<700)
    #expect(stored.largestError(output, firstToken: 500, tokens: [500, 600, 699]) < Tolerance.exact)
  }

  @Test(arguments: formats)
  func slidingWindowsAreExactOverWhatIsStored(format: KeyValueFormat) throws {
    let layer = try layerShape(heads: 2, kvHeads: 1, dimension: 16, window: 50)
    let input = LayerInput(layer, tokens: 12_000, seed: 33)
    let stored = input.stored(as: format)
    let engine = try engine(layer, .exact, format, capacity: 1 << 16)
    for first in stride(from: 0, to: 12_000, by: 3000) {
      let output = try engine.attend(input, first..<first + 3000)
      #expect(
        stored.largestError(output, firstToken: first, tokens: [first, first + 2999]) < Tolerance.exact)
    }
    // Rows that nobody will see again have gone, so the others were moved.
    #expect(engine.rows(layer: 0, kvHead: 0).count < 12_000)
  }

  /// Keys of a model whose projection has biases: a few elements are a hundred times as large as the others.
  @Test func biasesOfKeysDoNotCostPrecision() throws {
    let layer = try layerShape(heads: 3, kvHeads: 1, dimension: 64)
    let format = KeyValueFormat(keys: .int8)
    let plain = LayerInput(layer, tokens: 400, seed: 34)
    let biased = plain.addingToKeys([3: 120, 40: -60])
    for starts in [[0, 200], [0, 8, 200], [0, 7, 200]] {
      let engine = try engine(layer, .exact, format)
      for (start, end) in zip(starts, starts.dropFirst() + [400]) {
        let output = try engine.attend(biased, start..<end)
        guard end == 400 else { continue }
        let error = biased.largestError(output, firstToken: start, tokens: [200, 300, 399])
        // A few tokens say nothing about what all have in common.
        let isLearned = starts[1] != 7
        #expect(isLearned ? error < 0.02 : error > 0.02, "\(starts): \(error)")
        #expect((engine.rows(layer: 0, kvHead: 0).keyOffsets != nil) == isLearned)
      }
      // A context that starts anew learns anew.
      try engine.truncate(to: 0)
      let output = try engine.attend(plain, 0..<400)
      #expect(plain.largestError(output, firstToken: 0, tokens: [0, 200, 399]) < 0.02)
    }
  }

  /// Keys unlike all others do not decide about what is taken away from all.
  @Test func outliersDoNotHideBiases() throws {
    let layer = try layerShape(heads: 3, kvHeads: 1, dimension: 64)
    let biased = LayerInput(layer, tokens: 400, seed: 37).addingToKeys([3: 120, 40: -60])
    func offsets(_ input: LayerInput) throws -> [Float]? {
      let engine = try engine(layer, .exact, KeyValueFormat(keys: .int8))
      _ = try engine.attend(input, 0..<300)
      return engine.rows(layer: 0, kvHead: 0).keyOffsets.map { Array($0) }
    }
    let plain = try #require(try offsets(biased))
    for element: Float in [9000, .infinity, .nan] {
      let found = try #require(try offsets(biased.withOutliers([50, 200], element: element)))
      for i in 0..<64 { #expect(abs(found[i] - plain[i]) < 0.05) }
      #expect(found[3] > 100 && found[40] < -50)
    }
  }

  /// Every policy, over keys from which something was taken away.
  @Test(arguments: PolicyCase.all)
  func policiesDoNotSeeWhatWasTakenAway(policy: PolicyCase) throws {
    let plain = LayerInput(try layerShape(heads: 6, kvHeads: 2, dimension: 16), tokens: 700, seed: 35)
    let data = PolicyInput(plain.addingToKeys([3: 60, 9: -40]))
    let run = try PolicyRun(
      PolicyRegistry.published.parse(policy.everything), data,
      format: KeyValueFormat(keys: .int8, values: .int8))
    try run.prompt(0..<600)
    #expect(run.engine.rows(layer: 0, kvHead: 1).keyOffsets != nil)
    let output = try run.decode(600..<640)
    #expect(data.input.largestError(output, firstToken: 600, tokens: 600..<640) < 0.03)
  }

  /// What an index learns from is the same but for what was taken away from its keys, also for contexts that read
  /// along.
  @Test func samplesAreOfKeysAsTheyAre() throws {
    let layer = try layerShape(heads: 6, kvHeads: 2, dimension: 64, rotary: rotary)
    let input = LayerInput(layer, tokens: 400, seed: 36).addingToKeys([3: 60, 40: -40])
    let policy = AttentionPolicy.retrieval(smallRetrieval(minimum: 1000))
    let formats = [RowFormat.float16, .int8].map { KeyValueFormat(keys: $0, values: .float16) }
    let readers = try formats.map { try engine(layer, policy, $0) }
    let followers = try formats.reversed().map { try engine(layer, policy, $0) }
    for (reader, follower) in zip(readers, followers) {
      for start in stride(from: 0, to: 396, by: 99) {
        _ = try reader.attend(input, start..<start + 99, with: [follower])
      }
    }
    for engine in readers + followers { _ = try engine.attend(input, 396..<397) }
    let workspace = Workspace()
    func normalizers(_ engine: AttentionEngine) throws -> (of: [Float], queries: [Float], offsets: [Float]) {
      let head = try #require(engine.head(layer: 0, kvHead: 1) as? RetrievalHead)
      let scratch = workspace.scope()
      let set = head.samples.trainingSet(
        askPosition: 500, rotary: rotary, keyOffsets: head.rows.keyOffsets, in: scratch)
      return (
        Array(UnsafeBufferPointer(start: set.logSumExps, count: set.count)),
        Array(UnsafeBufferPointer(start: set.queries, count: set.count * 64)),
        head.rows.keyOffsets.map { Array($0) }
          ?? [Float](repeating: 0, count: 64)
      )
    }
    let whole = try normalizers(readers[0])
    #expect(whole.of.count > 100 && whole.offsets.allSatisfy { $0 == 0 })
    for engine in readers + followers {
      let found = try normalizers(engine)
      #expect(found.of.count == whole.of.count)
      for i in found.of.indices {
        let taken = (0..<64).reduce(Float(0)) { $0 + found.queries[i * 64 + $1] * found.offsets[$1] }
        #expect(abs(found.of[i] + taken - whole.of[i]) < 0.05, "\(i)")
      }
    }
    #expect(try normalizers(readers[1]).offsets[3] > 50)
  }

  @Test func formatsAreParsed() {
    #expect(KeyValueFormat("f16") == KeyValueFormat())
    #expect(KeyValueFormat("q8") == KeyValueFormat(keys: .int8, values: .int8))
    #expect(KeyValueFormat("q8,f16") == KeyValueFormat(keys: .int8))
    #expect(KeyValueFormat("f16,q8") == KeyValueFormat(values: .int8))
    for text in ["", "q4", "q8,", ",q8", "q8,q8,q8", "Q8", "q8 f16"] { #expect(KeyValueFormat(text) == nil) }
    for format in Self.formats + [KeyValueFormat()] { #expect(KeyValueFormat(format.description) == format) }
    #expect(KeyValueFormat(keys: .int8, values: .int8).description == "q8")
  }
}

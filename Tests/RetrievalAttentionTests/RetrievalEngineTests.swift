// The retrieval policy: what is indexed when, and that answers stay those of exact attention.

import RetrievalAttention
import Testing
import VectorIndex

@Suite struct RetrievalEngineTests {
  private let rotary = RotaryEmbedding(layout: .rotateHalf, inverseFrequencies: [1, 0.1, 0.01, 0.001])

  private func engine(
    _ layer: LayerShape, _ settings: RetrievalSettings, capacity: Int = 8192
  ) throws -> AttentionEngine {
    try AttentionEngine(shape: ModelShape(layers: [layer]), policy: .retrieval(settings), capacity: capacity)
  }

  /// Reads tokens one at a time, as decoding does, and returns their outputs.
  private func decode(
    _ engine: AttentionEngine, _ input: LayerInput, _ range: Range<Int>, parallel: ParallelRunner = .serial,
    options: CallOptions = CallOptions()
  ) throws -> [Float] {
    var output: [Float] = []
    for token in range {
      output += try engine.attend(input, token..<token + 1, parallel: parallel, options: options)
      guard !options.isExact else { continue }
      engine.updateIndex(finishing: true, askPosition: token + 64, parallel: parallel)
    }
    return output
  }

  @Test func shortContextsAreExact() throws {
    let layer = try layerShape()
    let input = LayerInput(layer, tokens: 600, seed: 1)
    let retrieval = try engine(layer, RetrievalSettings())
    let exact = try AttentionEngine(shape: ModelShape(layers: [layer]), policy: .exact, capacity: 600)
    var outputs: [[Float]] = []
    for engine in [retrieval, exact] {
      var output = try engine.attend(input, 0..<500)
      #expect(!engine.updateIndex(finishing: true, askPosition: 600, parallel: .serial))
      output += try decode(engine, input, 500..<600)
      outputs.append(output)
      #expect(engine.indexedTokenCount == 0)
      #expect(engine.statistics.visibleKeys == engine.statistics.retrievedKeys)
      #expect(engine.statistics.keysRead == 1)
    }
    #expect(outputs[0] == outputs[1])
  }

  @Test func toleranceZeroIsExactAfterIndexing() throws {
    let layer = try layerShape(heads: 6, kvHeads: 2, rotary: rotary)
    let input = LayerInput(layer, tokens: 1100, seed: 2)
    let engine = try engine(layer, smallRetrieval())
    for first in stride(from: 0, to: 1000, by: 250) {
      let output = try engine.attend(input, first..<first + 250)
      let checked = [first, first + 100, first + 249]
      // Prefill reads all rows, in whatever order an index has put them.
      #expect(input.largestError(output, firstToken: first, tokens: checked) < Tolerance.exact)
      engine.updateIndex(finishing: first == 750, askPosition: 1064, parallel: .serial)
    }
    // All but sink and window.
    #expect(engine.indexedTokenCount == 1000 - 16 - 64)
    #expect(engine.indexByteCount > 0)
    let output = try decode(engine, input, 1000..<1100)
    #expect(input.largestError(output, firstToken: 1000, tokens: 1000..<1100) < Tolerance.exact)
  }

  @Test func defaultToleranceIsNearExact() throws {
    let layer = try layerShape(heads: 3, dimension: 64)
    let input = LayerInput(layer, tokens: 2600, seed: 3, queryScale: 10)
    let engine = try engine(layer, RetrievalSettings())
    _ = try engine.attend(input, 0..<2500)
    #expect(engine.updateIndex(finishing: true, askPosition: 2564, parallel: .serial))
    let output = try decode(engine, input, 2500..<2600)
    #expect(engine.statistics.keysRead < 0.9, "choosing keys does not pay, so nothing is tested")
    // The largest of 19,200 differences, beside the values' size of 1.
    #expect(input.largestError(output, firstToken: 2500, tokens: 2500..<2600) < 0.15)
  }

  /// Thousands of generated tokens, inserted in blocks.
  @Test(arguments: [1, 2])
  func generatedTokensAreInsertedInBlocks(workers: Int) throws {
    let layer = try layerShape(heads: 2, kvHeads: 1, dimension: 16)
    let tokens = 3300
    let input = LayerInput(layer, tokens: tokens, seed: 4)
    let engine = try engine(layer, smallRetrieval())
    let parallel = workers == 1 ? ParallelRunner.serial : .threads(workers)
    _ = try engine.attend(input, 0..<300, parallel: parallel)
    engine.updateIndex(finishing: true, askPosition: 364, parallel: parallel)
    var counts: Set<Int> = [engine.indexedTokenCount]
    var worst = 0.0
    for token in 300..<tokens {
      let output = try engine.attend(input, token..<token + 1, parallel: parallel)
      engine.updateIndex(finishing: true, askPosition: token + 64, parallel: parallel)
      counts.insert(engine.indexedTokenCount)
      let waiting = token + 1 - 16 - engine.indexedTokenCount
      #expect(waiting >= 64 && waiting < 64 + 64, "the window has \(waiting) rows")
      if token % 101 == 0 || token == tokens - 1 {
        worst = max(worst, input.largestError(output, firstToken: token, tokens: [token]))
      }
    }
    #expect(worst < Tolerance.exact)
    // 220 rows of the prompt, then blocks of 64.
    #expect(counts == Set(stride(from: 220, through: engine.indexedTokenCount, by: 64)))
    #expect(engine.tokenCount == tokens)
  }

  @Test func noIndexBelowTheMinimum() throws {
    let layer = try layerShape(heads: 1, dimension: 8)
    let input = LayerInput(layer, tokens: 700, seed: 5)
    let engine = try engine(layer, smallRetrieval(segment: 50, minimum: 400))
    for first in stride(from: 0, to: 700, by: 20) {
      _ = try engine.attend(input, first..<first + 20)
      engine.updateIndex(finishing: true, askPosition: 800, parallel: .serial)
      // Sink 16, window 64, 400 between them.
      #expect((engine.indexedTokenCount > 0) == (first + 20 >= 480), "\(first + 20) tokens")
    }
  }

  @Test func ignoringTheIndexIsExact() throws {
    let layer = try layerShape(heads: 3, kvHeads: 1)
    let input = LayerInput(layer, tokens: 900, seed: 6)
    // A tolerance at which nothing is read: answers with the index are estimates.
    let engine = try engine(layer, smallRetrieval(tolerance: 1e9))
    _ = try engine.attend(input, 0..<800)
    engine.updateIndex(finishing: true, askPosition: 864, parallel: .serial)
    let indexed = engine.indexedTokenCount
    let estimates = try decode(engine, input, 800..<810)
    #expect(engine.statistics.retrievedKeys == 0)
    try engine.truncate(to: 800)
    engine.statistics = ReadStatistics()
    let exact = try decode(engine, input, 800..<900, options: .exact)
    #expect(input.largestError(exact, firstToken: 800, tokens: 800..<900) < Tolerance.exact)
    #expect(engine.indexedTokenCount == indexed, "an index that is not used must not grow")
    #expect(engine.statistics.keysRead == 1)
    try engine.truncate(to: 800)
    #expect(try decode(engine, input, 800..<810) == estimates)
    try engine.truncate(to: 800)
    engine.search = {
      var search = ClusterIndex.SearchParameters(); search.tolerance = 0; return search
    }()
    let found = try decode(engine, input, 800..<810)
    #expect(input.largestError(found, firstToken: 800, tokens: 800..<810) < Tolerance.exact)
  }

  @Test func workersGiveTheSerialResult() throws {
    let layer = try layerShape(heads: 8, kvHeads: 4, dimension: 16, rotary: rotary)
    let input = LayerInput(layer, tokens: 1250, seed: 7, queryScale: 10)
    var outputs: [[Float]] = []
    for parallel in [ParallelRunner.serial, .threads(3)] {
      let engine = try engine(layer, smallRetrieval(tolerance: 1e-3))
      var output = try engine.attend(input, 0..<1200, parallel: parallel)
      engine.updateIndex(finishing: true, askPosition: 1264, parallel: parallel)
      output += try decode(engine, input, 1200..<1250, parallel: parallel)
      outputs.append(output)
    }
    #expect(outputs[0] == outputs[1])
  }

  /// Enough rows for several slices of the index.
  @Test func workersGiveTheSerialResultOfADividedIndex() throws {
    let layer = try layerShape(heads: 4, kvHeads: 2, dimension: 16)
    let input = LayerInput(layer, tokens: 6020, seed: 9, queryScale: 10)
    var outputs: [[Float]] = []
    var reads: [ReadStatistics] = []
    for parallel in [ParallelRunner.serial, .threads(2), .threads(3)] {
      let engine = try engine(layer, smallRetrieval(segment: 8192, tolerance: 1e-3))
      for first in stride(from: 0, to: 6000, by: 1000) {
        _ = try engine.attend(input, first..<first + 1000, parallel: parallel)
      }
      engine.updateIndex(finishing: true, askPosition: 6064, parallel: parallel)
      outputs.append(try decode(engine, input, 6000..<6020, parallel: parallel))
      reads.append(engine.statistics)
    }
    #expect(outputs[0] == outputs[1])
    #expect(outputs[0] == outputs[2])
    #expect(reads[0] == reads[1])
    #expect(reads[0] == reads[2])
    #expect(input.largestError(outputs[0], firstToken: 6000, tokens: 6000..<6020) < 0.1)
  }

  @Test func statisticsAddUp() throws {
    let layer = try layerShape(heads: 4, kvHeads: 2)
    let input = LayerInput(layer, tokens: 1020, seed: 8)
    let engine = try engine(layer, smallRetrieval(tolerance: 0.3))
    _ = try engine.attend(input, 0..<1000)
    #expect(engine.statistics == ReadStatistics(), "prefill is no decode step")
    engine.updateIndex(finishing: true, askPosition: 1064, parallel: .serial)
    _ = try decode(engine, input, 1000..<1020)
    let reads = engine.statistics
    #expect(reads.steps == 20)
    #expect(reads.visibleKeys == 2 * (1001...1020).reduce(0, +))
    #expect(reads.staticKeys == 2 * (81...100).reduce(0, +))
    #expect(reads.retrievedKeys + reads.staticKeys <= reads.visibleKeys)
    // At least the centroids of both heads, in each step.
    #expect(reads.indexRows > 40)
    let lookedUp = (Double(reads.retrievedKeys) + reads.indexRows) / Double(reads.visibleKeys)
    #expect(reads.keysRead == lookedUp)
    #expect(reads.keysReadWithStatic > reads.keysRead)
    let rows = Double(reads.retrievedKeys + reads.staticKeys) + reads.indexRows
    #expect(abs(Double(reads.bytes) - rows * 4 * 32) < 1)
    #expect(reads.bytesPerToken == Double(reads.bytes) / 20)
    #expect(ReadStatistics().keysRead == 0)
    #expect(ReadStatistics().bytesPerToken == 0)
  }
}

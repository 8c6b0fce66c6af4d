// Several generated tokens in one step: each sees what comes before it, and what was wrong can be taken back.

import AttentionModel
import Testing
import VectorIndex

@testable import RetrievalAttention

@Suite struct DraftStepTests {
  private let rotary = RotaryEmbedding(layout: .rotateHalf, inverseFrequencies: [1, 0.1, 0.01, 0.001])

  private var generated: CallOptions {
    var options = CallOptions()
    options.isGenerated = true
    return options
  }

  private func engine(_ layer: LayerShape, _ policy: AttentionPolicy) throws -> AttentionEngine {
    try AttentionEngine(shape: ModelShape(layers: [layer]), policy: policy, capacity: 4096)
  }

  /// Groups that are divided into blocks of tokens, of heads, and not at all; counts that do and do not divide evenly.
  @Test(arguments: [(3, 1), (3, 4), (3, 16), (6, 7), (20, 3)])
  func eachTokenSeesAllBeforeIt(group: Int, count: Int) throws {
    let layer = try layerShape(heads: 2 * group, kvHeads: 2, rotary: rotary)
    let input = LayerInput(layer, tokens: 900 + count, seed: 5)
    for policy in [AttentionPolicy.exact, .retrieval(smallRetrieval()), .retrieval(RetrievalSettings())] {
      for parallel in [ParallelRunner.serial, .threads(3)] {
        let engine = try engine(layer, policy)
        _ = try engine.attend(input, 0..<900, parallel: parallel)
        engine.updateIndex(finishing: true, askPosition: 964, parallel: parallel)
        #expect(engine.takesDrafts)
        let output = try engine.attend(
          input, 900..<900 + count, parallel: parallel, options: generated)
        #expect(input.largestError(output, firstToken: 900, tokens: 900..<900 + count) < Tolerance.exact)
        #expect(engine.statistics.steps == count)
      }
    }
  }

  /// More rows than are attended to in one go where there are workers for parts of them.
  @Test(arguments: [(3, 9), (7, 16), (12, 5)])
  func exactStepsAreDividedAmongWorkers(group: Int, count: Int) throws {
    let layer = try layerShape(heads: 2 * group, kvHeads: 2, rotary: rotary)
    let tokens = 3 * TileParts.fewestRows
    let input = LayerInput(layer, tokens: tokens + count, seed: 11)
    var options = generated
    options.isExact = true
    for parallel in [ParallelRunner.serial, .threads(2), .threads(5)] {
      let engine = try engine(layer, .retrieval(smallRetrieval()))
      _ = try engine.attend(input, 0..<tokens, parallel: parallel)
      engine.updateIndex(finishing: true, askPosition: tokens + 64, parallel: parallel)
      let output = try engine.attend(input, tokens..<tokens + count, parallel: parallel, options: options)
      #expect((engine.tileParts.count > 1) == (parallel.workerCount > 1))
      #expect(
        input.largestError(output, firstToken: tokens, tokens: tokens..<tokens + count) < Tolerance.exact)
      // A prompt behind it is read in one go again.
      _ = try engine.attend(
        LayerInput(layer, tokens: tokens + 2 * count, seed: 11), tokens + count..<tokens + 2 * count,
        parallel: parallel)
      #expect(engine.tileParts.count == 1)
    }
  }

  @Test func slidingWindowsMoveWithEachToken() throws {
    let layer = try layerShape(window: 100)
    let input = LayerInput(layer, tokens: 512, seed: 6)
    let engine = try engine(layer, .retrieval(RetrievalSettings()))
    _ = try engine.attend(input, 0..<500)
    let output = try engine.attend(input, 500..<512, options: generated)
    #expect(input.largestError(output, firstToken: 500, tokens: 500..<512) < Tolerance.exact)
  }

  /// Chosen keys are those of all queries of a block, so nobody reads less than alone.
  @Test func chosenKeysAreAsGoodAsThoseOfSingleTokens() throws {
    let layer = try layerShape(heads: 3, dimension: 64)
    let input = LayerInput(layer, tokens: 2608, seed: 7, queryScale: 10)
    func error(together: Bool) throws -> (Double, Int) {
      let engine = try engine(layer, .retrieval(smallRetrieval(tolerance: 0.002)))
      _ = try engine.attend(input, 0..<2600)
      engine.updateIndex(finishing: true, askPosition: 2664, parallel: .serial)
      engine.statistics = ReadStatistics()
      var output: [Float] = []
      if together {
        output = try engine.attend(input, 2600..<2608, options: generated)
      } else {
        for token in 2600..<2608 { output += try engine.attend(input, token..<token + 1) }
      }
      return (
        input.largestError(output, firstToken: 2600, tokens: 2600..<2608), engine.statistics.retrievedKeys
      )
    }
    let (single, singleKeys) = try error(together: false)
    let (several, keys) = try error(together: true)
    #expect(singleKeys < 8 * 2600 / 2, "nothing was chosen")
    #expect(several < 1.5 * single)
    // What they read in common is read once.
    #expect(keys < singleKeys)
  }

  @Test func wrongDraftsLeaveNothing() throws {
    let layer = try layerShape(rotary: rotary)
    let (input, other) = (LayerInput(layer, tokens: 1000, seed: 8), LayerInput(layer, tokens: 1000, seed: 9))
    let settings = smallRetrieval(tolerance: 0.002)
    let (drafted, plain) = (
      try engine(layer, .retrieval(settings)), try engine(layer, .retrieval(settings))
    )
    for engine in [drafted, plain] {
      _ = try engine.attend(input, 0..<900)
      engine.updateIndex(finishing: true, askPosition: 964, parallel: .serial)
    }
    // Ten tokens of another text, all of them wrong.
    _ = try drafted.attend(LayerInput(input, upTo: 900, then: other), 900..<910, options: generated)
    try drafted.truncate(to: 900)
    let outputs = try [drafted, plain].map { try $0.attend(input, 900..<901) }
    #expect(outputs[0] == outputs[1])
  }
}

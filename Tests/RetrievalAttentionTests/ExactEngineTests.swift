// Exact attention of the engine against the definition: splits, groups, windows, strides, workers.

import RetrievalAttention
import Testing
import VectorIndex

@Suite struct ExactEngineTests {
  private func engine(_ layer: LayerShape, capacity: Int) throws -> AttentionEngine {
    try AttentionEngine(shape: ModelShape(layers: [layer]), policy: .exact, capacity: capacity)
  }

  /// The whole input in batches of `sizes`, repeated.
  private func run(
    _ input: LayerInput, sizes: [Int], capacity: Int? = nil, parallel: ParallelRunner = .serial
  ) throws -> [Float] {
    let engine = try engine(input.layer, capacity: capacity ?? input.tokenCount)
    var output: [Float] = []
    var done = 0
    var batches = 0
    while done < input.tokenCount {
      let end = min(input.tokenCount, done + sizes[batches % sizes.count])
      output += try engine.attend(input, done..<end, parallel: parallel)
      (done, batches) = (end, batches + 1)
    }
    #expect(engine.tokenCount == input.tokenCount)
    return output
  }

  @Test(arguments: [(1, 1), (3, 1), (6, 1), (4, 2)])
  func anySplitIsExact(heads: Int, kvHeads: Int) throws {
    let input = LayerInput(try layerShape(heads: heads, kvHeads: kvHeads), tokens: 700, seed: 1)
    let checked = [0, 1, 6, 7, 63, 64, 100, 511, 512, 513, 699]
    for sizes in [[700], [1], [7], [512], [300, 1, 1, 45]] {
      let output = try run(input, sizes: sizes)
      let error = input.largestError(output, firstToken: 0, tokens: checked)
      #expect(error < Tolerance.exact, "batches of \(sizes)")
    }
  }

  @Test func oddDimensionIsExact() throws {
    let input = LayerInput(try layerShape(heads: 2, dimension: 20), tokens: 90, seed: 2)
    for sizes in [[90], [1], [7]] {
      let error = input.largestError(try run(input, sizes: sizes), firstToken: 0, tokens: 0..<90)
      #expect(error < Tolerance.exact)
    }
  }

  @Test(arguments: [1, 5, 32, 100])
  func slidingWindowIsExact(window: Int) throws {
    let input = LayerInput(try layerShape(window: window), tokens: 300, seed: 3)
    for sizes in [[300], [1], [7], [120, 1]] {
      let error = input.largestError(try run(input, sizes: sizes), firstToken: 0, tokens: 0..<300)
      #expect(error < Tolerance.exact, "batches of \(sizes)")
    }
  }

  /// Far beyond the window, where rows that nobody sees any more have been dropped many times.
  @Test func slidingWindowStaysExactWhileRowsAreDropped() throws {
    let layer = try layerShape(heads: 1, dimension: 8, window: 50)
    let input = LayerInput(layer, tokens: 40_000, seed: 4)
    let engine = try engine(layer, capacity: 1 << 20)
    var done = 0
    var most = 0
    for size in [4000, 1, 333, 4096, 2, 77].repeated(until: 40_000) {
      let output = try engine.attend(input, done..<done + size)
      let checked = [done, done + 1, done + size / 2, done + size - 1].filter { $0 < done + size }
      #expect(input.largestError(output, firstToken: done, tokens: Set(checked)) < Tolerance.exact)
      done += size
      most = max(most, engine.storeByteCount)
    }
    // Keys, values and positions of 8 dimensions: a few batches' worth at most, instead of all 40000.
    #expect(most < 12_000 * (8 * 4 + 4))
  }

  @Test(arguments: [1, 40], [false, true])
  func stridesAreRespected(tokens: Int, headMajor: Bool) throws {
    let input = LayerInput(try layerShape(heads: 6, kvHeads: 2, dimension: 16), tokens: 80, seed: 5)
    let engine = try engine(input.layer, capacity: 80)
    _ = try engine.attend(input, 0..<40, gap: 3, headMajor: !headMajor)
    let output = try engine.attend(input, 40..<40 + tokens, gap: 5, headMajor: headMajor)
    #expect(input.largestError(output, firstToken: 40, tokens: 40..<40 + tokens) < Tolerance.exact)
  }

  @Test(arguments: [2, 4])
  func workersGiveTheSerialResult(workers: Int) throws {
    // Long enough for a decode step to be split in parts.
    let layer = try layerShape(heads: 4, kvHeads: 2, dimension: 16)
    let input = LayerInput(layer, tokens: 5000, seed: 6)
    var outputs: [[Float]] = []
    for parallel in [ParallelRunner.serial, .threads(workers)] {
      let engine = try engine(layer, capacity: 5000)
      var output = try engine.attend(input, 0..<4000, parallel: parallel)
      output += try engine.attend(input, 4000..<4990, parallel: parallel)
      for token in 4990..<5000 { output += try engine.attend(input, token..<token + 1, parallel: parallel) }
      #expect(engine.statistics.retrievedKeys == engine.statistics.visibleKeys)
      #expect(engine.statistics.steps == 10)
      outputs.append(output)
    }
    // A tile of prefill is one task, computed alike wherever it runs; decode is merged from parts.
    let prefill = 4990 * 4 * 16
    #expect(outputs[0][..<prefill] == outputs[1][..<prefill])
    let difference = zip(outputs[0], outputs[1]).map { abs($0 - $1) }.max() ?? 0
    #expect(Double(difference) < Tolerance.exact)
    let error = input.largestError(Array(outputs[1][prefill...]), firstToken: 4990, tokens: 4990..<5000)
    #expect(error < Tolerance.exact)
  }

  @Test func layersAreIndependent() throws {
    let layers = [try layerShape(), try layerShape(heads: 4, kvHeads: 4, dimension: 16, window: 30)]
    let inputs = [LayerInput(layers[0], tokens: 60, seed: 7), LayerInput(layers[1], tokens: 60, seed: 8)]
    let engine = try AttentionEngine(shape: ModelShape(layers: layers), policy: .exact, capacity: 60)
    var done = 0
    for size in [50, 1, 9] {
      for layer in 0..<2 {
        #expect(engine.tokenCount == done)
        let output = try engine.attend(inputs[layer], done..<done + size, layer: layer)
        let error = inputs[layer].largestError(output, firstToken: done, tokens: done..<done + size)
        #expect(error < Tolerance.exact)
      }
      done += size
    }
    // One step, in which only the layer without a window counts.
    #expect(engine.statistics.steps == 1)
    #expect(engine.statistics.visibleKeys == 51)
  }
}

extension [Int] {
  /// The elements again and again, while their sum is within `limit`.
  func repeated(until limit: Int) -> [Int] {
    var result: [Int] = []
    var sum = 0
    while sum + self[result.count % count] <= limit {
      result.append(self[result.count % count])
      sum += result[result.count - 1]
    }
    return result
  }
}

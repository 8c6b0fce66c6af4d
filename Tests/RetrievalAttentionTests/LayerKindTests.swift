// Layers with more than softmax over keys and values of one width, against the definition.

import AttentionKernels
@testable import RetrievalAttention
import Testing
import VectorIndex

@Suite struct LayerKindTests {
  enum Kind: CaseIterable {
    case sinks, latent, narrowValues, chunks, cap, distance, cappedWindow, latentSinks, manyHeads

    /// Forty query heads, which go through a step in blocks of ten, or six query heads for two KV heads of 32; for
    /// one of 48 where keys are latent.
    func shape() throws -> LayerShape {
      if self == .manyHeads {
        var shape = try LayerShape(headCount: 40, kvHeadCount: 2, headDimension: 32, scale: 0.2)
        shape.sinks = (0..<40).map { Float($0 % 7) - 1 }
        return shape
      }
      let isLatent = self == .latent || self == .latentSinks
      var shape = try LayerShape(
        headCount: 6, kvHeadCount: isLatent ? 1 : 2, headDimension: isLatent ? 48 : 32,
        valueDimension: isLatent ? 40 : self == .narrowValues ? 20 : nil, scale: 0.2)
      shape.valuesAreKeys = isLatent
      switch self {
      case .sinks, .latentSinks: shape.sinks = [8, -2, 3, 5, 0, 6]
      case .latent, .narrowValues, .manyHeads: break
      case .chunks: (shape.slidingWindow, shape.isChunked) = (70, true)
      case .cap: shape.softCap = 1.5
      case .distance: shape.distanceSlopes = [0.5, 0.25, 0.1, 0.05, 0.01, 0.001]
      case .cappedWindow: (shape.slidingWindow, shape.softCap) = (70, 1.5)
      }
      return shape
    }

    /// The shape without what makes it special, as far as that can be left out.
    func plainShape() throws -> LayerShape? {
      var shape = try shape()
      switch self {
      case .sinks, .latentSinks, .manyHeads: shape.sinks = nil
      case .latent, .narrowValues: return nil
      case .chunks: shape.isChunked = false
      case .cap, .cappedWindow: shape.softCap = nil
      case .distance: shape.distanceSlopes = nil
      }
      return shape
    }
  }

  static let formats = [KeyValueFormat(), KeyValueFormat(keys: .int8, values: .int8)]
  static let policies = [AttentionPolicy.exact, .retrieval(smallRetrieval())]

  private func engine(
    _ layers: [LayerShape], _ policy: AttentionPolicy, _ format: KeyValueFormat = KeyValueFormat()
  ) throws -> AttentionEngine {
    try AttentionEngine(shape: ModelShape(layers: layers, format: format), policy: policy, capacity: 8192)
  }

  /// Largest error of tokens that are read in batches, then one by one.
  private func error(
    _ input: LayerInput, _ engine: AttentionEngine, from first: Int = 0, prompt: Int, end: Int,
    reference: LayerInput, parallel: ParallelRunner = .threads(2)
  ) throws -> Double {
    var worst = 0.0
    for start in stride(from: first, to: prompt, by: 150) {
      let stop = min(prompt, start + 150)
      let output = try engine.attend(input, start..<stop, parallel: parallel)
      let checked = Set([start, (start + stop) / 2, stop - 1])
      worst = max(worst, reference.largestError(output, firstToken: start, tokens: checked))
      engine.updateIndex(finishing: stop == prompt, askPosition: stop + 64, parallel: parallel)
    }
    for token in prompt..<end {
      let output = try engine.attend(input, token..<token + 1, parallel: parallel)
      worst = max(worst, reference.largestError(output, firstToken: token, tokens: [token]))
      engine.updateIndex(finishing: true, askPosition: token + 64, parallel: parallel)
    }
    return worst
  }

  /// Prompt, generated tokens, going back into what is indexed, a fork, a session: at tolerance 0 retrieval reads all.
  @Test(arguments: Kind.allCases, formats)
  func `Attention is as defined whatever was done to the context`(kind: Kind, format: KeyValueFormat) throws {
    let input = LayerInput(try kind.shape(), tokens: 620, seed: 51)
    let reference = input.stored(as: format)
    for policy in Self.policies {
      let engine = try engine([input.layer], policy, format)
      #expect(try error(input, engine, prompt: 500, end: 600, reference: reference) < Tolerance.exact)
      let isIndexed = policy.name == "retrieval" && !input.layer.isBent && input.layer.slidingWindow == nil
      #expect((engine.indexedTokenCount > 0) == isIndexed)
      let fork = try engine.fork()
      #expect(
        try error(input, fork, from: 600, prompt: 600, end: 620, reference: reference) < Tolerance.exact)
      let directory = try TemporaryFolder()
      let image = try engine.freeze(to: .directory(directory.path, commit: 1, home: directory.path))
      let reopened = try AttentionEngine(
        shape: engine.shape, policy: policy, capacity: 8192,
        image: EngineImage(
          rows: image.rows.map { try SegmentFile(opening: $0.path, home: nil) },
          indexes: image.indexes.map { try SegmentFile(opening: $0.path, home: nil) },
          state: SegmentFile(opening: image.state.path, home: nil)))
      #expect(
        try error(input, reopened, from: 600, prompt: 600, end: 620, reference: reference) < Tolerance.exact)
      try engine.rewind(to: 400, parallel: .serial)
      #expect(
        try error(input, engine, from: 400, prompt: 520, end: 560, reference: reference) < Tolerance.exact)
    }
  }

  /// All but those that cannot be left out of a layer.
  @Test(arguments: Kind.allCases.filter { $0 != .latent && $0 != .narrowValues })
  func `The measure sees what is left out`(kind: Kind) throws {
    let input = LayerInput(try kind.shape(), tokens: 320, seed: 52)
    let engine = try engine([try #require(try kind.plainShape())], .exact)
    #expect(try error(input, engine, prompt: 300, end: 320, reference: input) > 0.01)
  }

  /// With a tolerance that leaves keys out, a sink spares reading and does no harm.
  @Test func `Retrieval counts sinks`() throws {
    var layer = try layerShape(heads: 4, kvHeads: 1, dimension: 32)
    let plain = LayerInput(layer, tokens: 2400, seed: 53, queryScale: 12)
    // About as much as all keys.
    layer.sinks = [16, 16, 16, 16]
    let policy = AttentionPolicy.retrieval(smallRetrieval(tolerance: 0.02))
    let engines = try [engine([layer], policy), engine([plain.layer], policy)]
    let input = LayerInput(layer, tokens: 2400, seed: 53, queryScale: 12)
    let withSink = try error(input, engines[0], prompt: 2340, end: 2400, reference: input)
    let without = try error(plain, engines[1], prompt: 2340, end: 2400, reference: plain)
    #expect(engines[0].statistics.retrievedKeys < engines[1].statistics.retrievedKeys)
    // Outputs are smaller, but fewer keys are read: the worst of some tokens is about as it was.
    #expect(withSink < 1.5 * without)
  }

  @Test(arguments: formats)
  func `Latent keys are kept once`(format: KeyValueFormat) throws {
    let layer = try Kind.latent.shape()
    let engine = try engine([layer], .retrieval(smallRetrieval()), format)
    let input = LayerInput(layer, tokens: 300, seed: 54)
    _ = try engine.attend(input, 0..<300)
    let row = format.keys.bytesPerRow(dimension: 48) + 4
    #expect(engine.storeByteCount == 300 * row)
    #expect(engine.shape.bytesPerToken == row)
    _ = try LayerKindTests.largestGroup(format)
  }

  /// As many query heads for one key as real models have.
  private static func largestGroup(_ format: KeyValueFormat) throws {
    var layer = try LayerShape(
      headCount: 128, kvHeadCount: 1, headDimension: 576, valueDimension: 512, scale: 0.07)
    layer.valuesAreKeys = true
    let input = LayerInput(layer, tokens: 420, seed: 55, queryScale: 1)
    let reference = input.stored(as: format)
    let engine = try AttentionEngine(
      shape: ModelShape(layers: [layer], format: format), policy: .retrieval(smallRetrieval()), capacity: 512)
    let prompt = try engine.attend(input, 0..<400, parallel: .threads(2))
    #expect(reference.largestError(prompt, firstToken: 0, tokens: [0, 399]) < Tolerance.exact)
    engine.updateIndex(finishing: true, askPosition: 464, parallel: .threads(2))
    #expect(engine.indexedTokenCount > 0)
    let output = try engine.attend(input, 400..<401, parallel: .threads(2))
    #expect(reference.largestError(output, firstToken: 400, tokens: [400]) < Tolerance.exact)
  }

  // MARK: Shared keys

  /// Two owners, one of them with a window, and two layers for each that read its keys.
  private struct Sharing {
    let inputs: [LayerInput]
    init(tokens: Int) throws {
      let window = LayerInput(try layerShape(heads: 4, kvHeads: 2, window: 50), tokens: tokens, seed: 61)
      let full = LayerInput(try layerShape(heads: 4, kvHeads: 2), tokens: tokens, seed: 62)
      inputs = [
        window, full, window.sharing(keysOf: 0, seed: 63), full.sharing(keysOf: 1, seed: 64),
        window.sharing(keysOf: 0, seed: 65), full.sharing(keysOf: 1, seed: 66),
      ]
    }

    func engine(_ policy: AttentionPolicy, _ format: KeyValueFormat = KeyValueFormat()) throws
      -> AttentionEngine
    {
      try AttentionEngine(
        shape: ModelShape(layers: inputs.map(\.layer), format: format), policy: policy, capacity: 20_000)
    }

    /// The largest error of all layers, and of a reading that goes on from `range`'s beginning.
    func error(
      _ engine: AttentionEngine, _ range: Range<Int>, batch: Int, checked: Int = 3, format: KeyValueFormat
    ) throws -> Double {
      var worst = 0.0
      for start in stride(from: range.lowerBound, to: range.upperBound, by: batch) {
        let end = min(range.upperBound, start + batch)
        for (layer, input) in inputs.enumerated() {
          let output = try engine.attend(input, start..<end, layer: layer, parallel: .threads(2))
          worst = max(
            worst, input.stored(as: format).largestError(output, firstToken: start, tokens: [start, end - 1]))
        }
        engine.updateIndex(finishing: end == range.upperBound, askPosition: end + 64, parallel: .threads(2))
      }
      return worst
    }
  }

  @Test(arguments: formats, policies)
  func `Layers read the keys of others`(format: KeyValueFormat, policy: AttentionPolicy) throws {
    let sharing = try Sharing(tokens: 520)
    let engine = try sharing.engine(policy, format)
    #expect(try sharing.error(engine, 0..<480, batch: 120, format: format) < Tolerance.exact)
    #expect(try sharing.error(engine, 480..<500, batch: 1, format: format) < Tolerance.exact)
    #expect(engine.tokenCount == 500)
    let row = format.bytesPerRow(dimension: 32) + 4
    #expect(engine.shape.bytesPerToken == 2 * 2 * row)
    #expect(engine.storeByteCount == 2 * 2 * 500 * row)
    let fork = try engine.fork()
    #expect(try sharing.error(fork, 500..<520, batch: 1, format: format) < Tolerance.exact)
    // The window's rows are still all there.
    try engine.rewind(to: 400, parallel: .serial)
    #expect(try sharing.error(engine, 400..<520, batch: 60, format: format) < Tolerance.exact)
  }

  /// A batch that the host gave up in the middle: some layers have read it, and one of those that share keys.
  @Test func `A failed batch is taken back from owners and readers`() throws {
    let sharing = try Sharing(tokens: 300)
    let engine = try sharing.engine(.exact)
    _ = try sharing.error(engine, 0..<200, batch: 100, format: KeyValueFormat())
    for layer in 0..<3 { _ = try engine.attend(sharing.inputs[layer], 200..<260, layer: layer) }
    #expect(engine.tokenCount == 200)
    try engine.truncate(to: 200)
    #expect(try sharing.error(engine, 200..<300, batch: 50, format: KeyValueFormat()) < Tolerance.exact)
  }

  @Test func `A reader cannot come before its owner`() throws {
    let sharing = try Sharing(tokens: 20)
    let engine = try sharing.engine(.exact)
    #expect(throws: AttentionError.self) { try engine.attend(sharing.inputs[2], 0..<10, layer: 2) }
    var layers = sharing.inputs.map(\.layer)
    layers[4].slidingWindow = 40
    #expect(throws: AttentionError.self) {
      try AttentionEngine(shape: ModelShape(layers: layers), policy: .exact, capacity: 20)
    }
  }

  /// Long after the window has passed: rows are dropped when the owner reads, and its readers still see theirs.
  @Test func `Windows keep what all of their readers see`() throws {
    let sharing = try Sharing(tokens: 9000)
    let engine = try sharing.engine(.exact)
    #expect(try sharing.error(engine, 0..<9000, batch: 3000, format: KeyValueFormat()) < Tolerance.exact)
    #expect(try sharing.error(engine, 9000..<9000, batch: 1, format: KeyValueFormat()) == 0)
  }

  @Test func `All readers teach the index, each token once`() throws {
    let sharing = try Sharing(tokens: 10)
    let engine = try sharing.engine(.exact)
    var shown = [Int](repeating: 0, count: sharing.inputs.count)
    for position in stride(from: 0, to: 32 * 30, by: 32) {
      let readers = (0..<sharing.inputs.count).filter { engine.shows(position: position, layer: $0) }
      #expect(readers.count == 2)
      for layer in readers { shown[layer] += 1 }
    }
    #expect(shown.allSatisfy { $0 == 10 })
  }
}

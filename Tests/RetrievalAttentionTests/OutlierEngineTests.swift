// A few keys unlike all others, in the middle of a context.

import RetrievalAttention
import Testing
import VectorIndex

@Suite struct OutlierEngineTests {
  private let outliers = [130, 700, 1210]

  private func engine(_ input: LayerInput, tolerance: Float) throws -> AttentionEngine {
    try AttentionEngine(
      shape: ModelShape(layers: [input.layer]), policy: .retrieval(smallRetrieval(tolerance: tolerance)),
      capacity: 4096)
  }

  private func read(
    _ engine: AttentionEngine, _ input: LayerInput, _ range: Range<Int>, parallel: ParallelRunner = .serial
  ) throws {
    for first in stride(from: range.lowerBound, to: range.upperBound, by: 250) {
      _ = try engine.attend(input, first..<min(first + 250, range.upperBound), parallel: parallel)
    }
    engine.updateIndex(finishing: true, askPosition: range.upperBound + 64, parallel: parallel)
  }

  private func decode(
    _ engine: AttentionEngine, _ input: LayerInput, _ range: Range<Int>, parallel: ParallelRunner = .serial,
    options: CallOptions = CallOptions()
  ) throws -> [Float] {
    try range.flatMap { try engine.attend(input, $0..<$0 + 1, parallel: parallel, options: options) }
  }

  private func outlierCount(_ engine: AttentionEngine) throws -> Int {
    let head = try #require(engine.head(layer: 0, kvHead: 0) as? RetrievalHead)
    return try #require(head.index as? ClusterIndex).outlierCount
  }

  @Test(arguments: [1, 3])
  func theErrorIsThatOfTheOtherKeys(workers: Int) throws {
    // Sharp queries, so that choosing keys pays.
    let plain = LayerInput(try layerShape(heads: 3, dimension: 64), tokens: 1640, seed: 41, queryScale: 10)
    let input = plain.withOutliers(outliers, element: 4000)
    let parallel: ParallelRunner = workers == 1 ? .serial : .threads(workers)
    var errors: [Double] = []
    for tokens in [plain, input] {
      let engine = try engine(tokens, tolerance: 0.02)
      try read(engine, tokens, 0..<1600, parallel: parallel)
      #expect(try outlierCount(engine) == (errors.isEmpty ? 0 : 3))
      let output = try decode(engine, tokens, 1600..<1640, parallel: parallel)
      #expect(engine.statistics.keysRead < 0.9, "all keys were read")
      errors.append(tokens.largestError(output, firstToken: 1600, tokens: 1600..<1640))
    }
    #expect(errors[1] < 1.5 * errors[0] + 1e-3, "\(errors)")
  }

  /// Workers divide the work and change no answer; neither does observing, which sees the outliers read.
  @Test func answersDoNotDependOnWhoIsThere() throws {
    let input = LayerInput(
      try layerShape(heads: 3, dimension: 64), tokens: 1620, seed: 42, queryScale: 10
    ).withOutliers(outliers, element: 4000)
    var outputs: [[Float]] = []
    for (workers, observes) in [(1, false), (3, false), (1, true)] {
      let engine = try engine(input, tolerance: 0.02)
      try read(engine, input, 0..<1600)
      var masses: [Double] = []
      let options = observes ? CallOptions.observing { masses += $0.recoveredMass ?? [] } : CallOptions()
      outputs.append(
        try decode(
          engine, input, 1600..<1620, parallel: workers == 1 ? .serial : .threads(workers), options: options))
      // A query that wants an outlier gets all of its mass there.
      if observes { #expect(masses.max() ?? 0 > 0.999) }
    }
    #expect(outputs[2] == outputs[0])
    for (a, b) in zip(outputs[0], outputs[1]) { #expect(abs(a - b) < 1e-4) }
  }

  @Test func rewindingFindsThemAgain() throws {
    let input = LayerInput(
      try layerShape(heads: 3, dimension: 64), tokens: 1640, seed: 43, queryScale: 10
    ).withOutliers(outliers, element: 4000)
    let engine = try engine(input, tolerance: 0)
    try read(engine, input, 0..<1600)
    try engine.rewind(to: 1000, parallel: .serial)
    try read(engine, input, 1000..<1600)
    #expect(try outlierCount(engine) == 3)
    let output = try decode(engine, input, 1600..<1640)
    #expect(input.largestError(output, firstToken: 1600, tokens: 1600..<1640) < 2e-3)
  }
}

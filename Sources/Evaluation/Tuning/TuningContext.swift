// KL and bytes of retrieval at any tolerances, over one context that is read once.

import Generation
package import LlamaHost
package import RetrievalAttention

/// A text that has been read, and exact attention's distributions behind it.
package final class TuningContext {
  /// What settings gave.
  package struct Measurement: Sendable {
    /// Mean KL(exact || retrieval) in nats.
    package var divergence: Double
    /// Bytes read a token.
    package var bytes: Double
  }

  /// What each layer did at one tolerance of all layers.
  struct LayerObservation {
    /// `[layer]`: mean over heads and tokens of the squared relative output error.
    var squaredErrors: [Double]
    /// `[layer]`: bytes read a token.
    var bytes: [Double]
  }

  private let runner: GuestRunner
  private let decoded: ArraySlice<Int32>
  private let contextTokens: Int
  private let exact: LogitRecord

  package var layerCount: Int { runner.engine.shape.layers.count }
  /// Layers that have an index: all but those with a sliding window.
  package var indexedLayers: [Int] {
    runner.engine.shape.layers.indices.filter { runner.engine.shape.layers[$0].slidingWindow == nil }
  }

  /// Reads `contextTokens` of `tokens` and decodes the others with exact attention.
  ///
  /// Throws what runners throw, and ``Generation/GenerationError/textTooShort(tokens:required:)`` when the context is
  /// too short for an index.
  package init(
    model: LlamaModel, pool: ThreadPool, tokens: [Int32], contextTokens: Int, settings: RetrievalSettings,
    takeover: TakeoverReport?, onProgress: (Int) -> Void
  ) throws {
    runner = try GuestRunner(
      model: model, pool: pool, policy: .retrieval(settings), plannedTokens: tokens.count, takeover: takeover)
    runner.indexesDecodedTokens = false
    self.contextTokens = contextTokens
    decoded = tokens[contextTokens...]
    let runner = runner
    _ = try withoutActuallyEscaping(onProgress) { tell in
      try runner.prefill(Array(tokens[..<contextTokens])) { tell($0) }
    }
    guard runner.engine.indexedTokenCount > 0 else {
      throw GenerationError.textTooShort(
        tokens: contextTokens,
        required: settings.sinkCount + settings.windowCount + settings.minimumIndexedCount)
    }
    runner.engine.ignoresIndex = true
    var record = LogitRecord()
    for token in decoded { record.append(try runner.decode(token).last) }
    runner.engine.ignoresIndex = false
    exact = record
  }

  /// Decodes with the search of `settings`, over the index that is there.
  package func measure(_ settings: RetrievalSettings) throws -> Measurement {
    try runner.engine.truncate(to: contextTokens)
    runner.engine.applySearch(of: settings)
    runner.engine.statistics = ReadStatistics()
    var record = LogitRecord()
    for token in decoded { record.append(try runner.decode(token).last) }
    return Measurement(
      divergence: Divergence(reference: exact, other: record).meanKL,
      bytes: runner.engine.statistics.bytesPerToken)
  }

  /// Decodes with the search of `settings`, watching every head, in the first `steps` tokens.
  func observe(_ settings: RetrievalSettings, steps: Int) throws -> LayerObservation {
    let engine = runner.engine
    try engine.truncate(to: contextTokens)
    engine.applySearch(of: settings)
    var result = LayerObservation(
      squaredErrors: Array(repeating: 0, count: layerCount), bytes: Array(repeating: 0, count: layerCount))
    let tokens = decoded.prefix(steps)
    engine.headObserver = { head in
      let heads = Double(engine.shape.layers[head.layer].headCount * tokens.count)
      result.squaredErrors[head.layer] += head.outputErrors.reduce(0) { $0 + $1 * $1 } / heads
      result.bytes[head.layer] += Double(head.bytes) / Double(tokens.count)
    }
    defer { engine.headObserver = nil }
    for token in tokens { _ = try runner.decode(token) }
    return result
  }
}

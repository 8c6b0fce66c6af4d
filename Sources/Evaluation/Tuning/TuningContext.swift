// KL and bytes of retrieval at any tolerances, over one context that is read once for several settings.

package import Generation
import LlamaHost
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
  /// Layers that have an index: all but those with a window, with bent scores, or without keys of their own.
  package var indexedLayers: [Int] {
    runner.engine.shape.layers.indices.filter {
      runner.engine.shape.layers[$0].map { $0.slidingWindow == nil && !$0.isBent && $0.keyLayer == nil }
        ?? false
    }
  }

  private init(
    runner: GuestRunner, decoded: ArraySlice<Int32>, contextTokens: Int, exact: LogitRecord
  ) {
    self.runner = runner
    self.decoded = decoded
    self.contextTokens = contextTokens
    self.exact = exact
  }

  /// Reads `contextTokens` of `tokens`, for all settings at once, and decodes the others with exact attention.
  ///
  /// Throws what runners throw, and ``Generation/GenerationError/textTooShort(tokens:required:)`` when the context is
  /// too short for an index.
  package static func read(
    host: GuestHost, tokens: [Int32], contextTokens: Int, settings: [RetrievalSettings],
    onProgress: (Int) -> Void
  ) throws -> [TuningContext] {
    let reader = try GuestRunner(host: host, policy: .exact, plannedTokens: tokens.count)
    let runners = try settings.map {
      try GuestRunner(host: host, policy: .retrieval($0), plannedTokens: tokens.count)
    }
    _ = try withoutActuallyEscaping(onProgress) { tell in
      try reader.prefill(Array(tokens[..<contextTokens]), with: runners) { tell($0) }
    }
    for (runner, settings) in zip(runners, settings) {
      // Decoded tokens stay in the window, where they are not indexed and can be taken back.
      runner.indexesDecodedTokens = false
      guard runner.engine.indexedTokenCount > 0 else {
        throw GenerationError.textTooShort(
          tokens: contextTokens,
          required: settings.sinkCount + settings.windowCount + settings.minimumIndexedCount)
      }
    }
    let decoded = tokens[contextTokens...]
    var exact = LogitRecord()
    for token in decoded { exact.append(try reader.decode(token).last) }
    return runners.map {
      TuningContext(runner: $0, decoded: decoded, contextTokens: contextTokens, exact: exact)
    }
  }

  /// Decodes with the search of `settings`, over the index that is there.
  package func measure(_ settings: RetrievalSettings) throws -> Measurement {
    try runner.truncate(to: contextTokens)
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
    try runner.truncate(to: contextTokens)
    engine.applySearch(of: settings)
    var result = LayerObservation(
      squaredErrors: Array(repeating: 0, count: layerCount), bytes: Array(repeating: 0, count: layerCount))
    let tokens = decoded.prefix(steps)
    runner.options.observer = AttentionObserver(onHead: { head in
      let heads = Double((engine.shape[head.layer]?.headCount ?? 0) * tokens.count)
      result.squaredErrors[head.layer] += head.outputErrors.reduce(0) { $0 + $1 * $1 } / heads
      result.bytes[head.layer] += Double(head.bytes) / Double(tokens.count)
    })
    defer { runner.options.observer = nil }
    for token in tokens { _ = try runner.decode(token) }
    return result
  }
}

// From what the host reports about a model to what the attention engine needs to know.

package import AttentionKernels
package import LlamaHost
package import RetrievalAttention

extension ModelShape {
  /// The attention layers of a model that can be taken over, whose rows are stored in `format`.
  ///
  /// Throws ``GenerationError/unsupportedModel(_:)`` with all reasons when it cannot, and
  /// ``LlamaHost/LlamaError/notGenerative(_:)`` when the host's own attention would not help either.
  package init(_ report: TakeoverReport, format: KeyValueFormat = KeyValueFormat()) throws {
    if let reason = report.reasons.first(where: \.preventsGeneration) {
      throw LlamaError.notGenerative(reason)
    }
    guard report.isSupported else {
      throw GenerationError.unsupportedModel(report.reasons.map { "\($0)" })
    }
    self.init(
      layers: try report.layers.map { layer in
        try LayerShape(
          headCount: layer.headCount, kvHeadCount: layer.kvHeadCount, headDimension: layer.headDimension,
          scale: layer.scale, slidingWindow: layer.slidingWindow,
          rotary: layer.rope.flatMap { RotaryEmbedding($0) })
      }, format: format)
  }
}

extension RotaryEmbedding {
  init?(_ parameters: RopeParameters) {
    switch parameters.layout {
    case .adjacentPairs:
      self.init(layout: .adjacentPairs, inverseFrequencies: parameters.inverseFrequencies)
    case .rotateHalf:
      self.init(layout: .rotateHalf, inverseFrequencies: parameters.inverseFrequencies)
    case nil:
      return nil
    }
  }
}

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
    var layers = [LayerShape?](repeating: nil, count: (report.layers.map(\.number).max() ?? -1) + 1)
    for layer in report.layers { layers[layer.number] = layer.shape }
    self.init(layers: layers, format: format)
  }
}

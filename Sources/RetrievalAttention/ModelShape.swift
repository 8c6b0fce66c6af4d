// The attention layers of a model, by the model's own numbers.

public import AttentionKernels

/// The layers of a model, and how their keys and values are stored.
public struct ModelShape: Sendable, Hashable {
  /// By the layer's number in the model; nil for layers without attention.
  public var layers: [LayerShape?]
  public var format: KeyValueFormat

  public init(layers: [LayerShape?], format: KeyValueFormat = KeyValueFormat()) {
    self.layers = layers
    self.format = format
  }

  /// Layers with attention, in the order of their numbers.
  public var attentionLayers: [LayerShape] { layers.compactMap { $0 } }

  /// Layers with keys and values of their own, in the order of their numbers.
  public var keyLayers: [LayerShape] { attentionLayers.filter { $0.keyLayer == nil } }

  /// The layer whose keys and values a layer attends to.
  public func keyLayer(of layer: Int) -> Int { self[layer]?.keyLayer ?? layer }

  /// A layer's shape; nil where the model has no attention under that number.
  public subscript(layer: Int) -> LayerShape? { layers.indices.contains(layer) ? layers[layer] : nil }

  /// Bytes of keys, values and positions that one more token needs in all layers, and of an index over them, whose
  /// bytes are the same in every format: up to a tenth of those in f16, and a little for queries to learn from.
  public var bytesPerTokenWithIndex: Int {
    bytesPerToken + ModelShape(layers: layers).bytesPerToken / 8
  }

  /// Bytes of keys, values and positions that one more token needs in all layers.
  ///
  /// Sliding-window layers count as well, until their window is full.
  public var bytesPerToken: Int {
    keyLayers.reduce(0) { $0 + $1.kvHeadCount * HeadRows.bytesPerRow(format, of: $1) }
  }

  /// Bytes of a context of so many tokens, with its index. Layers with a sliding window keep no more than that, and
  /// have no index.
  public func byteCount(ofContext tokens: Int) -> Int {
    keyLayers.reduce(0) { sum, layer in
      let row = layer.kvHeadCount * HeadRows.bytesPerRow(format, of: layer)
      let index =
        layer.slidingWindow == nil
        ? layer.kvHeadCount * HeadRows.bytesPerRow(KeyValueFormat(), of: layer) / 8 : 0
      let (bytes, overflow) = (row + index).multipliedReportingOverflow(
        by: max(0, min(tokens, layer.slidingWindow ?? tokens)))
      let (total, isTooLarge) = sum.addingReportingOverflow(bytes)
      return overflow || isTooLarge ? .max : total
    }
  }
}

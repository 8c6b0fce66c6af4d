// Whether a model's attention can be computed by a guest, and if not, every reason why.

/// The result of probing a model: what its attention looks like, layer by layer.
///
/// The probe evaluates a few tokens with the host's own attention and looks at the nodes, since neither the
/// architecture's name nor the metadata tells reliably what a layer does.
public struct TakeoverReport: Sendable, CustomStringConvertible {
  /// One layer, as seen in the graph.
  public struct Layer: Sendable {
    /// Number of the layer in the model, from 0.
    public let number: Int
    /// Heads, widths, window and rotation.
    public let shape: LayerShape
    /// Whether queries and keys were rotated in a way that is not known here, so that none is told of.
    public let isRotationUnknown: Bool
  }

  /// Every reason against it; empty when the model can be taken over.
  public let reasons: [TakeoverReason]
  /// What works, but not always as one might expect.
  public let warnings: [String]
  /// All layers with a flash-attention node, by number.
  public let layers: [Layer]
  /// Whether other layers have a state in place of attention, which stays in the host.
  public let isHybrid: Bool

  /// Whether a guest can compute all of it.
  public var isSupported: Bool { reasons.isEmpty }

  init(reasons: [TakeoverReason], warnings: [String], layers: [Layer], isHybrid: Bool = false) {
    self.reasons = reasons
    self.warnings = warnings
    self.layers = layers
    self.isHybrid = isHybrid
  }

  private static let features: [(name: String, has: @Sendable (LayerShape) -> Bool)] = [
    ("with learned sinks", { $0.sinks != nil }),
    ("with latent keys", { $0.valuesAreKeys }),
    ("with values narrower than keys", { !$0.valuesAreKeys && $0.valueDimension < $0.headDimension }),
    ("that read another layer's keys", { $0.keyLayer != nil }),
    ("with capped scores", { $0.softCap != nil }),
    ("with scores that fall with distance", { $0.distanceSlopes != nil }),
  ]

  /// For people.
  public var description: String {
    var lines: [String] = []
    if isSupported {
      let windowed = layers.filter { $0.shape.slidingWindow != nil }
      var line = "Attention of \(layers.count) layers can be taken over"
      if let first = windowed.first?.shape, let window = first.slidingWindow {
        line +=
          "; \(windowed.count) of them have a \(first.isChunked ? "window of chunks" : "sliding window") of \(window)"
      }
      for (name, has) in Self.features {
        let count = layers.count(where: { has($0.shape) })
        if count > 0 { line += "; \(count) \(name)" }
      }
      if isHybrid { line += "; the others are recurrent and stay with the host" }
      lines.append(line + ".")
    } else {
      lines.append("Attention cannot be taken over:")
      lines += reasons.map { "- \($0)" }
    }
    lines += warnings.map { "Note: \($0)" }
    return lines.joined(separator: "\n")
  }
}

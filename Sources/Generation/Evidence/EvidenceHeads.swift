// Which heads tell where an answer comes from.

public import RetrievalAttention

/// Heads whose attention tells which passage a token of an answer is from, and how much each counts.
///
/// A few heads of a model look back at what they copy (retrieval heads, Wu et al., arXiv 2404.15574; QRHead, arXiv
/// 2506.09944); plain averages over all heads are unreliable (AT2, arXiv 2504.13752).
public struct EvidenceHeads: Sendable, Hashable, Codable {
  /// A head with its weight.
  public struct Entry: Sendable, Hashable, Codable {
    public var layer: Int
    public var head: Int
    /// Relative to those of the others; positive.
    public var weight: Double

    public init(layer: Int, head: Int, weight: Double) {
      self.layer = layer
      self.head = head
      self.weight = weight
    }
  }

  public var entries: [Entry]
  /// Whether they are those that are taken where nothing is known of a model.
  public var isDefault: Bool

  public init(_ entries: [Entry], isDefault: Bool = false) {
    self.entries = entries
    self.isDefault = isDefault
  }

  /// All heads of the middle layers, alike: the first layers look at neighbors, the last ones at what is to be said.
  public static func standard(for shape: ModelShape) -> EvidenceHeads {
    let layers = shape.layers.indices.filter {
      shape.layers[$0].map { $0.slidingWindow == nil && !$0.isBent } ?? false
    }
    let middle = layers.dropFirst(layers.count / 3).dropLast(layers.count / 6)
    let entries = middle.flatMap { layer in
      (0..<(shape.layers[layer]?.headCount ?? 0)).map { Entry(layer: layer, head: $0, weight: 1) }
    }
    return EvidenceHeads(entries, isDefault: true)
  }

  /// Throws ``GenerationError/badEvidenceHead(layer:head:)`` for a head that the model does not have, or that forgets.
  public func check(for shape: ModelShape) throws(GenerationError) {
    for entry in entries {
      guard shape.layers.indices.contains(entry.layer), let layer = shape.layers[entry.layer],
        layer.slidingWindow == nil, (0..<layer.headCount).contains(entry.head), entry.weight > 0
      else { throw .badEvidenceHead(layer: entry.layer, head: entry.head) }
    }
  }

  /// A trace of these heads; of those of a profile, which are few, in the question too.
  public func makeTrace() -> AttentionTrace {
    AttentionTrace(
      heads: entries.map { AttentionTrace.Head(layer: $0.layer, head: $0.head) },
      promptTokens: isDefault ? AttentionTrace.templateTokens : AttentionTrace.questionTokens)
  }
}

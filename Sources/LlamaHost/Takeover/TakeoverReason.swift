// What a guest cannot compute.

/// Something a guest cannot do, with the layers where it was seen.
public enum TakeoverReason: Sendable, Hashable, CustomStringConvertible {
  /// It embeds texts.
  case noDecoder
  /// A text goes through an encoder first.
  case encoderDecoder
  /// It has a state in place of attention.
  case recurrent
  /// The host chooses blocks of keys by itself, by their places among all cells, which a guest empties.
  case hostChoosesBlocks
  /// It does not go from token to token.
  case diffusion
  /// The host keeps no keys and values for this model.
  case noCache
  /// Evaluating a short text failed, in the host's words.
  case probeFailed(String)
  /// Layers without a flash-attention node: another kind of layer, or one that the host computes otherwise.
  case noFlashAttention(layers: [Int])
  /// The keys are not in a cache that tells the layer.
  case unknownCache(nodeCount: Int)
  /// Other layers attend to the keys of these, and have other heads or windows than they, or it is not known which
  /// layers they are.
  case sharedKeys(layers: [Int])
  /// Values that are wider than keys.
  case widerValues(key: Int, value: Int, layers: [Int])
  /// Keys, values or outputs of a type that guests do not read.
  case unsupportedType(name: String, layers: [Int])
  /// Dimensions that do not fit together.
  case unexpectedShape(String, layers: [Int])
  /// A token sees later ones, or does not see all earlier ones.
  case notCausal(layers: [Int])
  /// A window other than "the last n keys" or "the keys of the token's chunk of n": around the token, or dilated.
  case unknownWindow(size: Int, layers: [Int])
  /// New rows go to other cells than the first ones, in order.
  case unexpectedCacheLayout(layers: [Int])

  /// Whether the host cannot continue texts with such a model, with its own attention either.
  public var preventsGeneration: Bool { [.noDecoder, .encoderDecoder, .diffusion].contains(self) }

  /// For people.
  public var description: String {
    func at(_ layers: [Int]) -> String { "in \(Self.list(layers))" }
    return switch self {
    case .noDecoder: "the model has no decoder"
    case .encoderDecoder: "the model has an encoder besides the decoder"
    case .recurrent: "the model is recurrent, not attentive"
    case .hostChoosesBlocks: "llama.cpp chooses blocks of keys by itself"
    case .diffusion: "the model generates by diffusion"
    case .noCache: "the host keeps no keys and values for this model"
    case .probeFailed(let text): "the probe failed: \(text)"
    case .noFlashAttention(let layers): "there is no flash-attention node \(at(layers))"
    case .unknownCache(let count): "\(count) attention nodes read keys that are in no layer's cache"
    case .sharedKeys(let layers): "layers of another kind attend to the keys of \(Self.list(layers))"
    case .widerValues(let key, let value, let layers):
      "keys are \(key) wide and values \(value) \(at(layers))"
    case .unsupportedType(let name, let layers): "keys or values are of type \(name) \(at(layers))"
    case .unexpectedShape(let text, let layers): "\(text) \(at(layers))"
    case .notCausal(let layers): "attention is not causal \(at(layers))"
    case .unknownWindow(let size, let layers):
      "the window of \(size) is neither the last \(size) keys nor a chunk of as many \(at(layers))"
    case .unexpectedCacheLayout(let layers): "new keys are not stored in batch order \(at(layers))"
    }
  }

  /// `layers 0-3, 5`.
  static func list(_ layers: [Int]) -> String {
    var parts: [String] = []
    var rest = layers.sorted()[...]
    while let first = rest.popFirst() {
      var last = first
      while rest.first == last + 1 { last = rest.removeFirst() }
      parts.append(first == last ? "\(first)" : "\(first)-\(last)")
    }
    return "layer\(layers.count == 1 ? "" : "s") \(parts.joined(separator: ", "))"
  }
}

// The part of a model that attention must know: heads, widths, windows, rotation. No weights, no text.

public import AttentionKernels
import Platform

/// The attention layers of a model, and how their keys and values are stored.
public struct ModelShape: Sendable, Hashable {
  public var layers: [LayerShape]
  public var format: KeyValueFormat

  public init(layers: [LayerShape], format: KeyValueFormat = KeyValueFormat()) {
    self.layers = layers
    self.format = format
  }

  /// Bytes of keys, values and positions that one more token needs in all layers, and of an index over them, whose
  /// bytes are the same in every format: up to a tenth of those in f16, and a little for queries to learn from.
  public var bytesPerTokenWithIndex: Int {
    bytesPerToken + ModelShape(layers: layers).bytesPerToken / 8
  }

  /// Bytes of keys, values and positions that one more token needs in all layers.
  ///
  /// Sliding-window layers count as well, until their window is full.
  public var bytesPerToken: Int {
    layers.reduce(0) { $0 + $1.kvHeadCount * HeadRows.bytesPerRow(format, dimension: $1.headDimension) }
  }
}

/// One attention layer: `headCount` query heads of `headDimension`, in groups that share a KV head.
public struct LayerShape: Sendable, Hashable {
  public var headCount: Int
  public var kvHeadCount: Int
  public var headDimension: Int
  /// What dot products are multiplied by, usually `1 / sqrt(headDimension)`.
  public var scale: Float
  /// Keys further back than this many tokens, the query's own included, are invisible; nil: all keys count.
  public var slidingWindow: Int?
  /// How queries and keys were rotated; nil when they were not, or when it is not known.
  public var rotary: RotaryEmbedding?

  /// Throws ``AttentionError/invalidSetting(name:value:requirement:)`` for counts that make no layer.
  public init(
    headCount: Int, kvHeadCount: Int, headDimension: Int, scale: Float, slidingWindow: Int? = nil,
    rotary: RotaryEmbedding? = nil
  ) throws(AttentionError) {
    func check(_ name: String, _ value: Int) throws(AttentionError) {
      guard value > 0 else { throw .invalidSetting(name: name, value: "\(value)", requirement: "positive") }
    }
    try check("headCount", headCount)
    try check("kvHeadCount", kvHeadCount)
    try check("headDimension", headDimension)
    try check("slidingWindow", slidingWindow ?? 1)
    guard headCount % kvHeadCount == 0 else {
      throw .invalidSetting(
        name: "headCount", value: "\(headCount)", requirement: "a multiple of kvHeadCount \(kvHeadCount)")
    }
    self.headCount = headCount
    self.kvHeadCount = kvHeadCount
    self.headDimension = headDimension
    self.scale = scale
    self.slidingWindow = slidingWindow
    self.rotary = rotary
  }

  /// Query heads that share one KV head.
  public var groupSize: Int { headCount / kvHeadCount }
}

/// Rotary position embedding (arXiv 2104.09864) as a host applied it.
///
/// Used to move a recorded query to another position: the dot product with a key depends on the distance alone.
public struct RotaryEmbedding: Sendable, Hashable {
  /// Which two dimensions form a pair.
  public enum Layout: Sendable, Hashable {
    /// Dimensions 2i and 2i + 1.
    case adjacentPairs
    /// Dimensions i and i + n / 2, n rotated dimensions.
    case rotateHalf
  }

  public var layout: Layout
  /// Radians a position for each pair; twice as many dimensions are rotated, further ones are left alone.
  public var inverseFrequencies: [Float]

  public init(layout: Layout, inverseFrequencies: [Float]) {
    self.layout = layout
    self.inverseFrequencies = inverseFrequencies
  }

  /// Moves `count` rows `[count, stride]` by `delta` positions, in place.
  package func shift(_ rows: UnsafeMutablePointer<Float>, count: Int, stride: Int, by delta: Int) {
    let pairs = inverseFrequencies.count
    for pair in 0..<pairs {
      // In double precision: the angle is large, and only its remainder matters.
      let angle = Double(delta) * Double(inverseFrequencies[pair])
      let cosine = Float(cos(angle))
      let sine = Float(sin(angle))
      let (first, second) = layout == .adjacentPairs ? (2 * pair, 2 * pair + 1) : (pair, pair + pairs)
      for row in 0..<count {
        let a = rows[row * stride + first]
        let b = rows[row * stride + second]
        rows[row * stride + first] = a * cosine - b * sine
        rows[row * stride + second] = a * sine + b * cosine
      }
    }
  }
}

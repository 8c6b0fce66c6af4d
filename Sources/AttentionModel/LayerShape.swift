// The part of a layer that attention must know: heads, widths, window, rotation. No weights.

/// One attention layer: `headCount` query heads of `headDimension`, in groups that share a KV head.
public struct LayerShape: Sendable, Hashable {
  public var headCount: Int
  public var kvHeadCount: Int
  /// Width of queries and keys.
  public var headDimension: Int
  /// Width of values and outputs.
  public var valueDimension: Int
  /// What dot products are multiplied by, usually `1 / sqrt(headDimension)`.
  public var scale: Float
  /// Keys further back than this many tokens, the query's own included, are invisible; nil: all keys count.
  public var slidingWindow: Int?
  /// How queries and keys were rotated; nil when they were not, or when it is not known.
  public var rotary: RotaryEmbedding?

  /// - Parameter valueDimension: that of keys when nil.
  /// - Throws: ``LayerShapeError`` for counts that make no layer.
  public init(
    headCount: Int, kvHeadCount: Int, headDimension: Int, valueDimension: Int? = nil, scale: Float,
    slidingWindow: Int? = nil, rotary: RotaryEmbedding? = nil
  ) throws(LayerShapeError) {
    self.headCount = headCount
    self.kvHeadCount = kvHeadCount
    self.headDimension = headDimension
    self.valueDimension = valueDimension ?? headDimension
    self.scale = scale
    self.slidingWindow = slidingWindow
    self.rotary = rotary
    try validate()
  }

  /// A layer as somebody found it, which may be none that can be computed: see ``validate()``.
  package init(
    uncheckedHeads heads: (query: Int, keyValue: Int), dimensions: (key: Int, value: Int), scale: Float,
    slidingWindow: Int?, rotary: RotaryEmbedding?
  ) {
    headCount = heads.query
    kvHeadCount = heads.keyValue
    headDimension = dimensions.key
    valueDimension = dimensions.value
    self.scale = scale
    self.slidingWindow = slidingWindow
    self.rotary = rotary
  }

  /// Throws ``LayerShapeError`` for the first count that makes no layer.
  public func validate() throws(LayerShapeError) {
    let counts = [
      ("headCount", headCount), ("kvHeadCount", kvHeadCount), ("headDimension", headDimension),
      ("valueDimension", valueDimension), ("slidingWindow", slidingWindow ?? 1),
    ]
    for (name, value) in counts where value <= 0 {
      throw LayerShapeError(name: name, value: value, requirement: "positive")
    }
    guard headCount % kvHeadCount == 0 else {
      throw LayerShapeError(
        name: "headCount", value: headCount, requirement: "a multiple of kvHeadCount \(kvHeadCount)")
    }
  }

  /// Query heads that share one KV head.
  public var groupSize: Int { headCount / kvHeadCount }

  /// The query heads that share a KV head.
  public func group(of kvHead: Int) -> Range<Int> { kvHead * groupSize..<(kvHead + 1) * groupSize }
}

/// A count that makes no layer.
public struct LayerShapeError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Which count, as in ``LayerShape``.
  public var name: String
  public var value: Int
  /// What it must be.
  public var requirement: String

  public init(name: String, value: Int, requirement: String) {
    self.name = name
    self.value = value
    self.requirement = requirement
  }

  public var description: String { "\(name) is \(value), but must be \(requirement)" }
}

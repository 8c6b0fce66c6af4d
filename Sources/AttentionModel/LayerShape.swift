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
  /// Whether the window does not slide: positions are cut into chunks as long as it, and a query sees its own one.
  public var isChunked = false
  /// How queries and keys were rotated; nil when they were not, or when it is not known.
  public var rotary: RotaryEmbedding?
  /// `[headCount]`: the logit of a key without a value that each query head sees besides all others; nil for none.
  public var sinks: [Float]?
  /// Scores s become `softCap * tanh(s / softCap)`; nil: they stay as they are.
  public var softCap: Float?
  /// `[headCount]`: what scores fall by for each token of distance (ALiBi, arXiv 2108.12409); nil for nothing.
  public var distanceSlopes: [Float]?
  /// Whether values are the first ``valueDimension`` elements of keys, as in multi-head latent attention (arXiv
  /// 2405.04434), and are not kept apart.
  public var valuesAreKeys = false
  /// The layer whose keys and values are attended to; nil: this layer's own.
  public var keyLayer: Int?

  /// The layer as most models have it: further properties say what else there is.
  ///
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
    for (name, list) in [("sinks", sinks), ("distanceSlopes", distanceSlopes)] {
      guard let list, list.count != headCount else { continue }
      throw LayerShapeError(name: name, value: list.count, requirement: "\(headCount), one for each head")
    }
  }

  /// The first position that a query at `position` sees; it sees all from there to its own.
  public func firstVisible(from position: Int) -> Int {
    guard let window = slidingWindow else { return 0 }
    return isChunked ? position / window * window : max(0, position + 1 - window)
  }

  /// Whether scores are more than scaled dot products, so that nothing that is learned of keys tells of them.
  public var isBent: Bool { softCap != nil || distanceSlopes != nil }

  /// Whether a layer can attend to this one's keys and values as they are kept for it.
  package func sharesKeys(with other: LayerShape) -> Bool {
    headCount == other.headCount && kvHeadCount == other.kvHeadCount && headDimension == other.headDimension
      && valueDimension == other.valueDimension && valuesAreKeys == other.valuesAreKeys
      && slidingWindow == other.slidingWindow && isChunked == other.isChunked && isBent == other.isBent
      && keyLayer == nil
  }

  /// Whether it is softmax attention to keys and values of its own and of one width, with a window at most.
  package var isPlain: Bool {
    !isBent && !isChunked && !valuesAreKeys && sinks == nil && keyLayer == nil
      && valueDimension == headDimension
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

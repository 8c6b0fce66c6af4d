// One layer's share of a batch, as strided views of the host's tensors.

/// Queries, new keys and values, and room for the output of one layer and some consecutive tokens.
///
/// All strides are in elements. The memory belongs to the host and is used only during
/// ``AttentionEngine/attend(_:parallel:)``.
public struct LayerBatch {
  public var layer: Int
  public var firstPosition: Int
  public var tokenCount: Int
  public var headCount: Int
  public var kvHeadCount: Int
  public var headDimension: Int
  /// `[token, head, headDimension]`, after rotary embedding, not scaled.
  public var queries: UnsafePointer<Float>
  public var queryTokenStride: Int
  public var queryHeadStride: Int
  /// `[token, kvHead, headDimension]` f16 bits, after rotary embedding.
  public var keys: UnsafePointer<UInt16>
  public var keyTokenStride: Int
  public var keyHeadStride: Int
  /// `[token, kvHead, headDimension]` f16 bits.
  public var values: UnsafePointer<UInt16>
  public var valueTokenStride: Int
  public var valueHeadStride: Int
  /// `[token, head, headDimension]`.
  public var output: UnsafeMutablePointer<Float>
  public var outputTokenStride: Int
  public var outputHeadStride: Int

  /// A view of memory that stays valid, and has at least the extent that counts and strides say, during use.
  public init(
    layer: Int, firstPosition: Int, tokenCount: Int, headCount: Int, kvHeadCount: Int, headDimension: Int,
    queries: UnsafePointer<Float>, queryTokenStride: Int, queryHeadStride: Int, keys: UnsafePointer<UInt16>,
    keyTokenStride: Int, keyHeadStride: Int, values: UnsafePointer<UInt16>, valueTokenStride: Int,
    valueHeadStride: Int, output: UnsafeMutablePointer<Float>, outputTokenStride: Int, outputHeadStride: Int
  ) {
    self.layer = layer
    self.firstPosition = firstPosition
    self.tokenCount = tokenCount
    self.headCount = headCount
    self.kvHeadCount = kvHeadCount
    self.headDimension = headDimension
    self.queries = queries
    self.queryTokenStride = queryTokenStride
    self.queryHeadStride = queryHeadStride
    self.keys = keys
    self.keyTokenStride = keyTokenStride
    self.keyHeadStride = keyHeadStride
    self.values = values
    self.valueTokenStride = valueTokenStride
    self.valueHeadStride = valueHeadStride
    self.output = output
    self.outputTokenStride = outputTokenStride
    self.outputHeadStride = outputHeadStride
  }

  /// Copies one group's queries to `[tokens, groupSize, headDimension]`.
  func gatherQueries(
    kvHead: Int, tokens: some Sequence<Int>, groupSize g: Int, into target: UnsafeMutablePointer<Float>
  ) {
    var next = target
    for token in tokens {
      for h in 0..<g {
        let source = queries + token * queryTokenStride + (kvHead * g + h) * queryHeadStride
        next.update(from: source, count: headDimension)
        next += headDimension
      }
    }
  }

  /// Copies one group's outputs `[tokens, groupSize, headDimension]` to where the host reads them.
  func scatterOutputs(
    _ source: UnsafePointer<Float>, kvHead: Int, tokens: some Sequence<Int>, groupSize g: Int
  ) {
    var next = source
    for token in tokens {
      for h in 0..<g {
        let target = output + token * outputTokenStride + (kvHead * g + h) * outputHeadStride
        target.update(from: next, count: headDimension)
        next += headDimension
      }
    }
  }
}

// What whoever runs a model hands to whoever computes its attention: one layer, some tokens of one sequence.

/// One layer's attention for consecutive tokens of one sequence, as views of the host's tensors.
///
/// For every token and head the softmax-weighted sum of values over all keys at positions up to and including the
/// token's own (and inside the sliding window, if there is one) is to be written to ``output``. The memory belongs to
/// the host and is valid only during the call that it is handed to.
public struct AttentionCall {
  /// Number of the layer in the model, from 0; layers without attention count.
  public var layer: Int
  public var shape: LayerShape
  /// Position of the first token; the others follow without gaps.
  public var firstPosition: Int
  public var tokenCount: Int
  /// `[token, head, headDimension]`, after rotary embedding, not scaled.
  public var queries: StridedRows<Float>
  /// `[token, KV head, headDimension]`, bits of half-precision numbers, after rotary embedding.
  public var keys: StridedRows<UInt16>
  /// `[token, KV head, valueDimension]`, bits of half-precision numbers.
  public var values: StridedRows<UInt16>
  /// `[token, head, valueDimension]`. Holds nothing of use before, unless the host computes attention as well.
  public var output: StridedRows<Float>
  /// Whether a device attends to these tokens: the output is not to be written, and not there yet to be read.
  public var isAttended: Bool

  /// Views of memory that stays valid, and has at least the extent that counts and strides say, during use.
  public init(
    layer: Int, shape: LayerShape, tokens: Range<Int>, rows: TokenRows, isAttended: Bool = false
  ) {
    self.layer = layer
    self.shape = shape
    firstPosition = tokens.lowerBound
    tokenCount = tokens.count
    queries = rows.queries
    keys = rows.keys
    values = rows.values
    output = rows.output
    self.isAttended = isAttended
  }

  /// Position behind the last token.
  public var endPosition: Int { firstPosition + tokenCount }
}

/// Rows of some tokens in one layer: see ``AttentionCall``.
public struct TokenRows {
  public var queries: StridedRows<Float>
  public var keys: StridedRows<UInt16>
  public var values: StridedRows<UInt16>
  public var output: StridedRows<Float>

  public init(
    queries: StridedRows<Float>, keys: StridedRows<UInt16>, values: StridedRows<UInt16>,
    output: StridedRows<Float>
  ) {
    self.queries = queries
    self.keys = keys
    self.values = values
    self.output = output
  }

  /// The same without the first `token` tokens.
  public func from(_ token: Int) -> TokenRows {
    TokenRows(
      queries: queries.from(token), keys: keys.from(token), values: values.from(token),
      output: output.from(token))
  }
}

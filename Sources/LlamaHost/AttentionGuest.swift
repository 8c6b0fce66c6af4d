// What a guest gets to see of the model: one layer's queries, keys and values, and a place for the output.

/// Computes attention in the place of the host.
public protocol AttentionGuest: AnyObject {
  /// Called once for each layer, in order, on the thread that called
  /// ``LlamaContext/evaluate(_:startPosition:outputs:)``.
  ///
  /// The guest must remember the keys and values it will need later, since the host keeps nothing, and must
  /// fill the whole output, but for ``AttentionCall/attendedRows``: for every token and head the softmax-weighted sum
  /// of values over all keys at positions up to and including the token's own (and inside the sliding window, if there
  /// is one).
  ///
  /// - Throws: Whatever it likes; evaluation stops and `evaluate` throws the same error. Layers before this
  ///   one have been attended then, so the guest has to take back what it stored for this batch.
  func attend(_ call: borrowing AttentionCall) throws
}

/// One layer's attention for one batch. Its memory belongs to the host and is valid only during the call.
///
/// All strides count elements, not bytes; elements of one head of one token are contiguous.
public struct AttentionCall: ~Copyable {
  /// Number of the layer in the model, from 0.
  public let layer: Int
  /// Rows of queries, keys, values and output.
  public let tokenCount: Int
  /// Position of each token, `[tokenCount]`; consecutive within a sequence. The tokens of a batch of several sequences
  /// stand one sequence after another, in the order in which they were given.
  public let positions: UnsafeBufferPointer<Int32>
  public let headCount: Int
  public let kvHeadCount: Int
  /// Width of queries and keys.
  public let headDimension: Int
  /// Width of values and outputs.
  public let valueDimension: Int
  /// Factor for the dot products, usually `1 / sqrt(headDimension)`.
  public let scale: Float
  /// Window of a sliding-window layer: a key is visible if `queryPosition - keyPosition < slidingWindow`.
  /// Nil: all.
  public let slidingWindow: Int?

  /// Queries after RoPE: element `[token * queryTokenStride + head * queryHeadStride + dimension]`.
  public let queries: UnsafePointer<Float>
  public let queryTokenStride: Int
  public let queryHeadStride: Int

  /// Keys of this batch after RoPE, bits of half-precision numbers, as the host would cache them.
  public let keys: UnsafePointer<UInt16>
  public let keyTokenStride: Int
  public let keyHeadStride: Int

  /// Values of this batch, bits of half-precision numbers.
  public let values: UnsafePointer<UInt16>
  public let valueTokenStride: Int
  public let valueHeadStride: Int

  /// Rows that a device attends to: their output is not to be written, and not there yet to be read. Rising.
  public let attendedRows: [Range<Int>]
  /// Where the result goes. Holds nothing of use before, unless the context also lets the host compute.
  public let output: UnsafeMutablePointer<Float>
  public let outputTokenStride: Int
  public let outputHeadStride: Int

  /// How this layer's queries and keys were rotated, nil if they were not. The same object while nothing
  /// changes.
  public let rope: RopeParameters?
  /// The threads to use: they wait for this very call.
  public let pool: ThreadPool

  /// Whether a device attends to the row.
  public func isAttended(row: Int) -> Bool { attendedRows.contains { $0.contains(row) } }

  /// For tests of guests without a host.
  package init(
    layer: Int, tokenCount: Int, positions: UnsafeBufferPointer<Int32>, headCount: Int, kvHeadCount: Int,
    headDimension: Int, valueDimension: Int, scale: Float, slidingWindow: Int?, queries: UnsafePointer<Float>,
    queryTokenStride: Int, queryHeadStride: Int, keys: UnsafePointer<UInt16>, keyTokenStride: Int,
    keyHeadStride: Int, values: UnsafePointer<UInt16>, valueTokenStride: Int, valueHeadStride: Int,
    output: UnsafeMutablePointer<Float>, outputTokenStride: Int, outputHeadStride: Int, rope: RopeParameters?,
    pool: ThreadPool, attendedRows: [Range<Int>] = []
  ) {
    self.layer = layer
    self.tokenCount = tokenCount
    self.positions = positions
    self.headCount = headCount
    self.kvHeadCount = kvHeadCount
    self.headDimension = headDimension
    self.valueDimension = valueDimension
    self.scale = scale
    self.slidingWindow = slidingWindow
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
    self.rope = rope
    self.pool = pool
    self.attendedRows = attendedRows
  }
}

// Rows of heads and tokens wherever a host has them.

/// A view of rows `[token, head, width]`: the elements of one row are contiguous, rows lie at any distance.
///
/// It does not own its memory and does not know how many rows there are: whoever makes one says so beside it.
/// Queries, keys and values are only read through it, an output is written.
@safe public struct StridedRows<Element: BitwiseCopyable> {
  /// First element of head 0 of token 0.
  public var base: UnsafeMutablePointer<Element>
  /// Elements from a token's row to the next one's.
  public var tokenStride: Int
  /// Elements from a head's row to the next one's.
  public var headStride: Int

  public init(_ base: UnsafeMutablePointer<Element>, tokenStride: Int, headStride: Int) {
    unsafe self.base = base
    self.tokenStride = tokenStride
    self.headStride = headStride
  }

  /// Rows that will only be read.
  public init(reading base: UnsafePointer<Element>, tokenStride: Int, headStride: Int) {
    unsafe self.init(UnsafeMutablePointer(mutating: base), tokenStride: tokenStride, headStride: headStride)
  }

  /// The row of one head of one token.
  public func row(token: Int, head: Int) -> UnsafeMutablePointer<Element> {
    unsafe base + (token * tokenStride + head * headStride)
  }

  /// The same rows without the first `token` tokens.
  public func from(_ token: Int) -> StridedRows {
    unsafe StridedRows(base + token * tokenStride, tokenStride: tokenStride, headStride: headStride)
  }

  /// Copies rows to `[tokens, heads, width]` without gaps.
  public func gather(
    heads: Range<Int>, tokens: some Sequence<Int>, width: Int, into target: UnsafeMutablePointer<Element>
  ) {
    var next = unsafe target
    for token in tokens {
      for head in heads {
        unsafe next.update(from: row(token: token, head: head), count: width)
        unsafe next += width
      }
    }
  }

  /// Copies `[tokens, heads, width]` without gaps to these rows, or the first elements of longer rows of `stride`.
  public func scatter(
    _ source: UnsafePointer<Element>, heads: Range<Int>, tokens: some Sequence<Int>, width: Int,
    stride: Int? = nil
  ) {
    var next = unsafe source
    for token in tokens {
      for head in heads {
        unsafe row(token: token, head: head).update(from: next, count: width)
        unsafe next += stride ?? width
      }
    }
  }
}

// Partial attention as a value: what sink, window, retrieved keys and tail each contribute can be merged in any
// order. The same rule is in FlashAttention and, under this form, in arXiv 2501.01005, section 2.2.

import Platform

/// The attention of one query to some set of keys.
///
///     var state = AttentionState.empty(dimension: 64)
///     try state.merge(sink)
///     try state.merge(window)
///
/// Merging is associative and commutative up to rounding, with ``empty(dimension:)`` as its neutral element.
public struct AttentionState: Sendable, Hashable {
  /// `[headDimension]`: the softmax-weighted mean of the values; zero for no keys.
  public var output: [Float]
  /// Natural logarithm of the softmax denominator, `log(sum(exp(q.k)))`; -infinity for no keys.
  public var logSumExp: Float

  public init(output: [Float], logSumExp: Float) {
    self.output = output
    self.logSumExp = logSumExp
  }

  /// The attention to no keys at all.
  public static func empty(dimension: Int) -> AttentionState {
    AttentionState(output: Array(repeating: 0, count: max(0, dimension)), logSumExp: -.infinity)
  }

  /// Makes this the attention to the union of both (disjoint) sets of keys.
  ///
  /// Throws ``AttentionError/dimensionMismatch(expected:actual:)`` when the outputs differ in length, and then
  /// leaves the state unchanged.
  public mutating func merge(_ other: AttentionState) throws(AttentionError) {
    guard other.output.count == output.count else {
      throw .dimensionMismatch(expected: output.count, actual: other.output.count)
    }
    let highest = max(logSumExp, other.logSumExp)
    guard highest > -.infinity else { return }
    let mine = exp(logSumExp - highest)
    let theirs = exp(other.logSumExp - highest)
    let total = mine + theirs
    for i in output.indices { output[i] = (mine * output[i] + theirs * other.output[i]) / total }
    logSumExp = highest + log(total)
  }
}

/// Running states of online softmaxes, one a query: attention over the keys seen so far, before normalization.
///
///     var states = try SoftmaxStates(count: 3, dimension: 64)
///     try Kernels.active.attend(
///       queries: queries.span, keys: keys.span, values: values.span, RowShape(count: 4096, dimension: 64),
///       states: &states)
///     let (outputs, logSumExps) = states.finished()
///
/// Keys may come in any number of calls. Milakov and Gimelshein, *Online normalizer calculation for softmax*,
/// arXiv 1805.02867.
public struct SoftmaxStates: Sendable {
  public let count: Int
  public let dimension: Int
  /// Highest score so far, `[count]`; -infinity at first.
  public internal(set) var maxima: [Float]
  /// Sums of `exp(score - maximum)`, `[count]`; 0 at first.
  public internal(set) var sums: [Float]
  /// Values times those weights, summed, `[count, dimension]`; 0 at first.
  public internal(set) var accumulators: [Float]

  /// States that have seen no key.
  ///
  /// - Throws: ``KernelError/invalidCount(name:value:)`` or ``KernelError/sizeOverflow(name:count:stride:)``.
  public init(count: Int, dimension: Int) throws(KernelError) {
    let shape = try RowShape(count: count, dimension: dimension)
    self.count = count
    self.dimension = dimension
    maxima = Array(repeating: -.infinity, count: count)
    sums = Array(repeating: 0, count: count)
    accumulators = Array(repeating: 0, count: shape.elementCount)
  }

  /// Normalized outputs `[count, dimension]` and natural log-sum-exps `[count]`: zeros and -infinity for a state
  /// without keys.
  public func finished() -> (outputs: [Float], logSumExps: [Float]) {
    var outputs = accumulators
    var logSumExps = sums
    var states = self
    states.withPointers { states in
      unsafe AttentionKernels.withPointers(&outputs, &logSumExps) { outputs, logSumExps in
        unsafe states.finish(
          into: OutputPointers(outputs: outputs, logSumExps: logSumExps, count: count, dimension: dimension))
      }
    }
    return (outputs, logSumExps)
  }

  /// Calls `body` with the states' addresses; with no states there is nothing to do.
  package mutating func withPointers(_ body: (StatePointers) -> Void) {
    let (count, dimension) = (count, dimension)
    guard count > 0 else { return }
    unsafe AttentionKernels.withPointers(&maxima, &sums, &accumulators) { maxima, sums, accumulators in
      unsafe body(
        StatePointers(
          maxima: maxima, sums: sums, accumulators: accumulators, count: count, dimension: dimension))
    }
  }
}

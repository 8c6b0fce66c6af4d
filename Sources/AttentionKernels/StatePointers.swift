// Softmax states by their addresses: the one form in which attention is added up, and how two of them become one.

internal import CAttentionKernels
internal import Platform

/// Running softmax states of `count` queries, in memory of somebody else.
///
/// Whoever makes one of addresses says that they have room for that many, as long as it is used. Operations that take
/// no address stay within, and trap for a query that there is not.
///
/// With scores s and values v of the keys seen so far: the maximum m of s, the sum of `exp(s - m)`, and the sum of
/// `exp(s - m) v`. An empty state is -infinity, 0 and zeros. Milakov and Gimelshein, arXiv 1805.02867.
@safe public struct StatePointers {
  /// `[count]`.
  package let maxima: UnsafeMutablePointer<Float>
  /// `[count]`.
  package let sums: UnsafeMutablePointer<Float>
  /// `[count, dimension]`, rows `stride` elements apart.
  package let accumulators: UnsafeMutablePointer<Float>
  package let count: Int
  package let dimension: Int
  package let stride: Int

  /// - Parameter stride: elements; that of accumulators without gaps for nil.
  package init(
    maxima: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>,
    accumulators: UnsafeMutablePointer<Float>, count: Int, dimension: Int, stride: Int? = nil
  ) {
    unsafe self.maxima = maxima
    unsafe self.sums = sums
    unsafe self.accumulators = accumulators
    self.count = count
    self.dimension = dimension
    self.stride = stride ?? dimension
  }

  /// The state of one query.
  package subscript(query: Int) -> StatePointers {
    precondition(query >= 0 && query < count, "query \(query) of \(count)")
    return unsafe StatePointers(
      maxima: maxima + query, sums: sums + query, accumulators: accumulators + query * stride, count: 1,
      dimension: dimension, stride: stride)
  }

  /// Makes them empty.
  package func clear() {
    unsafe maxima.update(repeating: -.infinity, count: count)
    unsafe sums.update(repeating: 0, count: count)
    for query in 0..<count {
      unsafe (accumulators + query * stride).update(repeating: 0, count: dimension)
    }
  }

  /// Adds the state of a query for other keys: attention over both sets. A state of no weight changes nothing.
  ///
  /// The other state's sum and accumulator may be negative, as those of an estimate that takes something away;
  /// whether enough remains is for the caller to see.
  package func merge(_ other: StatePointers, query: Int, kernels: Kernels) {
    check(other, query)
    guard unsafe other.sums[query] != 0 else { return }
    let (mine, theirs) = addWeight(of: other, query: query)
    let accumulator = unsafe accumulators + query * stride
    unsafe kernels.unsafeScale(accumulator, by: mine, count: dimension)
    unsafe kernels.unsafeAddScaled(
      other.accumulators + query * other.stride, by: theirs, to: accumulator, count: dimension)
  }

  /// Adds the weight of a query's state for other keys, without its values: maximum and sum alone.
  package func mergeWeight(of other: StatePointers, query: Int) {
    check(other, query)
    guard unsafe other.sums[query] > 0 else { return }
    _ = addWeight(of: other, query: query)
  }

  /// What states of the maxima `a` and `b` are multiplied by when they become one of the higher maximum.
  package static func scales(_ a: Float, _ b: Float) -> (highest: Float, a: Float, b: Float) {
    let highest = max(a, b)
    return (highest, exp(a - highest), exp(b - highest))
  }

  /// That states of a query can be merged.
  private func check(_ other: StatePointers, _ query: Int) {
    precondition(
      query >= 0 && query < min(count, other.count) && dimension == other.dimension,
      "query \(query) of \(count) and \(other.count), widths \(dimension) and \(other.dimension)")
  }

  private func addWeight(of other: StatePointers, query: Int) -> (mine: Float, theirs: Float) {
    let (highest, mine, theirs) = unsafe Self.scales(maxima[query], other.maxima[query])
    unsafe sums[query] = mine * sums[query] + theirs * other.sums[query]
    unsafe maxima[query] = highest
    return (mine, theirs)
  }

  var states: ak_states { unsafe ak_states(max: maxima, sum: sums, acc: accumulators, acc_stride: stride) }
}

/// Finished attention of `count` queries, in memory of somebody else: what states become when their sums are one, which
/// then need no sums. Made and used as ``StatePointers``.
@safe package struct OutputPointers {
  /// `[count, dimension]`, rows `stride` elements apart; zeros for a query without keys.
  package let outputs: UnsafeMutablePointer<Float>
  /// `[count]`: natural log-sum-exps of the scores; -infinity without keys.
  package let logSumExps: UnsafeMutablePointer<Float>
  package let count: Int
  package let dimension: Int
  package let stride: Int

  /// - Parameter stride: elements; that of outputs without gaps for nil.
  package init(
    outputs: UnsafeMutablePointer<Float>, logSumExps: UnsafeMutablePointer<Float>, count: Int, dimension: Int,
    stride: Int? = nil
  ) {
    unsafe self.outputs = outputs
    unsafe self.logSumExps = logSumExps
    self.count = count
    self.dimension = dimension
    self.stride = stride ?? dimension
  }

  /// The same as running states of the same memory, whose sums, `[count]`, are written: a normalized state is one whose
  /// weights add up to one, and without keys it is empty.
  package func running(sums: UnsafeMutablePointer<Float>) -> StatePointers {
    for query in 0..<count { unsafe sums[query] = logSumExps[query] > -.infinity ? 1 : 0 }
    return unsafe StatePointers(
      maxima: logSumExps, sums: sums, accumulators: outputs, count: count, dimension: dimension,
      stride: stride)
  }

  /// Replaces outputs and log-sum-exps by their merges with others: attention over the union of both key sets.
  ///
  /// Associative and commutative up to rounding. Outputs of empty states are ignored; two empty ones give zeros.
  package func merge(_ other: OutputPointers) {
    precondition(
      other.count >= count && other.dimension == dimension,
      "\(count) and \(other.count) queries, widths \(dimension) and \(other.dimension)")
    unsafe ak_merge_states(
      outputs, stride, logSumExps, ak_rows_f32(data: other.outputs, stride: other.stride), other.logSumExps,
      count, dimension)
  }
}

extension StatePointers {
  /// Normalizes into `outputs`, which may be the accumulators' memory with the same stride, and whose log-sum-exps the
  /// maxima's.
  package func finish(into target: OutputPointers) {
    precondition(
      target.count >= count && target.dimension == dimension,
      "\(count) and \(target.count) queries, widths \(dimension) and \(target.dimension)")
    unsafe ak_finish_states(states, count, dimension, target.outputs, target.stride, target.logSumExps)
  }
}

/// `log(exp(a) + exp(b))`: the log-sum-exp of two sets of keys; -infinity for two empty ones.
package func logSumExp(_ a: Float, _ b: Float) -> Float {
  let (highest, scaleA, scaleB) = StatePointers.scales(a, b)
  return highest > -.infinity ? highest + log(scaleA + scaleB) : highest
}

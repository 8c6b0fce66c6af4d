// What indexes learn from.

/// Queries from which an index learns, with what attention gave them.
///
/// All arrays are owned by the caller and must outlive the call that takes them.
@safe public struct TrainingQueries {
  /// `[count, d]`, scaled as for attention and rotated to the position from which questions will be asked.
  package var queries: UnsafePointer<Float>
  /// `[count, d]`: the attention outputs of these queries.
  package var outputs: UnsafePointer<Float>
  /// `[count]`: natural logarithm of their softmax denominators.
  package var logSumExps: UnsafePointer<Float>
  package var count: Int
  /// Query heads that the queries come from in turn: query *i* is one of head `i % groupSize`.
  package var groupSize: Int

  package init(
    queries: UnsafePointer<Float>, outputs: UnsafePointer<Float>, logSumExps: UnsafePointer<Float>,
    count: Int,
    groupSize: Int = 1
  ) {
    unsafe self.queries = queries
    unsafe self.outputs = outputs
    unsafe self.logSumExps = logSumExps
    self.count = count
    self.groupSize = groupSize
  }

  /// The queries of at most so many tokens, evenly spread, in `scratch` when that leaves any out.
  package func thinned(to tokens: Int, dimension d: Int, in scratch: borrowing Scratch) -> TrainingQueries {
    let g = max(1, groupSize)
    let all = count / g
    guard all > tokens else { return self }
    let kept = tokens * g
    let newQueries = unsafe scratch.floats(kept * d)
    let newOutputs = unsafe scratch.floats(kept * d)
    let newLogSumExps = unsafe scratch.floats(kept)
    for token in 0..<tokens {
      // The last one is always among them: the queries to come are most like it.
      let source = (token + 1) * all / tokens - 1
      unsafe (newQueries + token * g * d).update(from: queries + source * g * d, count: g * d)
      unsafe (newOutputs + token * g * d).update(from: outputs + source * g * d, count: g * d)
      unsafe (newLogSumExps + token * g).update(from: logSumExps + source * g, count: g)
    }
    return unsafe TrainingQueries(
      queries: newQueries, outputs: newOutputs, logSumExps: newLogSumExps, count: kept, groupSize: g)
  }
}

// Where choosing keys does not pay: found out by trying, when rows are inserted.

import AttentionKernels
import Platform

extension ClusterIndex {
  /// Whether a call reads all rows instead of choosing some.
  func readsAllRows(queryCount: Int) -> Bool {
    search.tolerance <= exactTolerance * Float(queryCount) && rowCount <= search.maximumRetrieved
  }

  /// Choosing pays when it spares this share of the bytes of all rows: it takes longer for each byte than reading from
  /// one end to the other, and errs.
  static let leastSaving = 0.25
  /// Tokens whose queries are tried.
  private static let trialTokens = 8
  /// Tolerances below are not tried: an index that pays at this one has no tolerance at which it does not, but 0.
  private static let lowestTolerance: Float = 1e-4
  /// Halvings of the range between that and 1: each halves what is uncertain, at last a factor of 1.07.
  private static let trialSteps = 7

  /// Finds the tolerance, for each query head, from which on choosing pays. Costs a few dozen calls at most, and less
  /// than ten where it pays at all tolerances.
  ///
  /// The queries tried are those to learn from. Without any they are keys, less the mean key, as if queries were as
  /// long as keys are: what is known of neither.
  func updateExactTolerance(all: IndexRows, training: TrainingQueries, workspace: Workspace) {
    exactTolerance = 0
    guard rowCount <= search.maximumRetrieved else { return }
    let asked = search
    defer { search = asked }
    let scratch = workspace.scope()
    let trial = Trial(index: self, rows: all, training: training, in: scratch)
    func pays(_ tolerance: Float) -> Bool {
      search.tolerance = tolerance
      return trial.readShare() < 1 - Self.leastSaving
    }
    guard !pays(Self.lowestTolerance) else { return }
    var (low, high) = (log2(Self.lowestTolerance), Float(0))
    for _ in 0..<Self.trialSteps {
      let middle = 0.5 * (low + high)
      if pays(exp2(middle)) { high = middle } else { low = middle }
    }
    exactTolerance = exp2(low) / Float(trial.groupSize)
  }

  /// Calls of the index with queries of some tokens, as decode steps would make them.
  private struct Trial {
    let index: ClusterIndex
    let rows: IndexRows
    let workspace: Workspace
    let groupSize: Int
    private let tokens: Int
    /// `[tokens, groupSize, d]`.
    private let queries: ListView<Float>
    /// `[tokens, groupSize]`: log-sum-exps of what is not in the index.
    private let outside: ListView<Float>
    private let states: StatePointers
    private var width: Int { groupSize * index.dimension }

    init(index: ClusterIndex, rows: IndexRows, training: TrainingQueries, in scratch: borrowing Scratch) {
      self.index = index
      self.rows = rows
      workspace = scratch.workspace
      let d = index.dimension
      groupSize = max(1, training.groupSize)
      let known = training.count / groupSize
      tokens = min(ClusterIndex.trialTokens, known > 0 ? known : max(1, index.rowCount / groupSize))
      let count = tokens * groupSize
      queries = unsafe scratch.list(count * d)
      outside = unsafe scratch.list(count)
      states = unsafe StatePointers(count: groupSize, dimension: d, in: scratch)
      if known > 0 {
        takeQueries(of: training, tokens: known)
      } else {
        takeKeys(count: count)
      }
    }

    private func takeQueries(of training: TrainingQueries, tokens known: Int) {
      for token in 0..<tokens {
        // The last one is always among them: the queries to come are most like it.
        let source = (token + 1) * known / tokens - 1
        unsafe (queries.base + token * width).update(from: training.queries + source * width, count: width)
        clear()
        _ = index.attend(
          group(token), to: 0..<index.rowCount, of: rows, states: states, workspace: workspace, recorder: nil)
        for h in 0..<groupSize {
          let total = unsafe training.logSumExps[source * groupSize + h]
          let share = unsafe exp(states.maxima[h] + log(states.sums[h]) - total)
          // A query that was moved to another position may see more here than it saw in all.
          outside[token * groupSize + h] = share < 1 ? total + log(1 - share) : -.infinity
        }
      }
    }

    private func takeKeys(count: Int) {
      let d = index.dimension
      for i in 0..<count {
        unsafe workspace.kernels.unsafeUnpack(
          rows.keys.from(i * index.rowCount / count), rowCount: 1, dimension: d, target: queries.base + i * d,
          targetStride: d)
      }
      let mean = unsafe states.accumulators
      unsafe mean.update(repeating: 0, count: d)
      for i in 0..<count {
        unsafe workspace.kernels.unsafeAddScaled(
          queries.base + i * d, by: 1 / Float(count), to: mean, count: d)
      }
      for i in 0..<count {
        unsafe workspace.kernels.unsafeAddScaled(mean, by: -1, to: queries.base + i * d, count: d)
        unsafe workspace.kernels.unsafeScale(queries.base + i * d, by: 1 / Float(d).squareRoot(), count: d)
        outside[i] = -.infinity
      }
    }

    private func group(_ token: Int) -> QueryGroup {
      unsafe QueryGroup(queries: queries.base + token * width, count: groupSize)
    }

    private func clear() {
      states.clear()
    }

    /// Bytes read by the index as it is searched now, as a share of those of all rows.
    func readShare() -> Double {
      var bytes = 0
      for token in 0..<tokens {
        clear()
        for h in 0..<groupSize where outside[token * groupSize + h] > -.infinity {
          unsafe states.maxima[h] = outside[token * groupSize + h]
          unsafe states.sums[h] = 1
        }
        bytes +=
          index.attend(
            IndexCall(
              group(token), rows: rows, dimension: index.dimension, workspace: workspace, recorder: nil),
            states: states
          ).bytes
      }
      return Double(bytes) / Double(tokens * index.rowCount * rows.bytesPerRow)
    }
  }
}

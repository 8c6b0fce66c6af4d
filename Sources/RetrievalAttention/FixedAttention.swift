// First and last rows attended to elsewhere, by a GPU say, while the index is searched here.

import AttentionKernels
import Platform
import VectorIndex

extension AttentionEngine {
  /// The fixed rows of a layer; nil where a step attends to all rows, or reads them in a way of its own.
  package func fixedRows(layer: Int) -> FixedRows? {
    guard shape[layer] != nil, !ignoresIndex, headObserver == nil, followers.isEmpty,
      let head = heads[layer].first as? RetrievalHead, head.shareCount > 0
    else { return nil }
    let window = head.windowRows
    guard heads[layer].allSatisfy({ ($0 as? RetrievalHead)?.windowRows == window && $0.shareCount > 0 })
    else { return nil }
    return FixedRows(
      sinkCount: head.settings.sinkCount, windowCount: window, rowCount: head.rows.count,
      version: rewriteCount)
  }

  /// Fixed rows that a layer may have, with some to spare for updates of its index that come late; nil when the policy
  /// has none.
  package var maximumFixedRows: Int? {
    let heads = heads.joined().compactMap { $0 as? RetrievalHead }
    guard let head = heads.first(where: { $0.index is ClusterIndex }) else { return nil }
    return head.settings.sinkCount + head.settings.windowCount + 2 * head.settings.insertionCount
  }

  /// Takes a generated token with attention to the fixed rows from elsewhere; see ``attend(_:parallel:)``.
  ///
  /// The index is searched before that attention is known. How much it weighs is told from a few of the fixed rows, and
  /// from what the others had weighed in the steps before; so other keys may be chosen than by ``attend(_:parallel:)``,
  /// with the same expectation.
  package func attend(
    _ call: AttentionCall, fixed: any FixedAttention, parallel: ParallelRunner
  ) throws(AttentionError) {
    guard call.tokenCount == 1, fixedRows(layer: call.layer) != nil else {
      throw .invalidSetting(
        name: "tokenCount", value: "\(call.tokenCount)", requirement: "1, in a layer with fixed rows")
    }
    try check(call)
    observer?(call)
    while workspaces.count < parallel.workerCount { workspaces.append(Workspace()) }
    let start = profile?.begin(workspaces)
    begin(call)
    decode(call, fixed: fixed, parallel: parallel)
    if let start { profile?.end(start, workspaces) }
    end(call)
  }

  /// Replaces what was told from a few rows by what `fixed` says, in the slots of each head's first part.
  func take(
    _ fixed: any FixedAttention, call: AttentionCall, layer: LayerShape, step: DecodeStep, states: StepStates
  ) {
    let workspace = workspaces[0]
    workspace.stages?.begin(.wait)
    let attended = fixed.result()
    workspace.stages?.begin(.merge)
    let (g, d) = (step.groupSize, step.dimension)
    for (number, head) in heads[call.layer].enumerated() {
      let slot = step.slot(head: number)
      let first = number * g
      let found = workspace.floats(.sums, g)
      found.update(from: attended.logSumExps + first, count: g)
      if let offsets = head.rows.keyOffsets {
        // Keys there are whole, ours lack what all have in common.
        let queries = workspace.floats(.queries, g * d)
        call.queries.gather(
          heads: layer.group(of: number), tokens: 0..<1, width: layer.headDimension, into: queries)
        workspace.kernels.unsafeAddProducts(
          of: offsets, with: queries, count: g, dimension: d, by: -layer.scale, to: found,
          scratch: workspace.floats(.weights, g))
      }
      (head as? RetrievalHead)?.learnFixedWeight(probed: states.logSumExps(slot), found: found)
      states.outputs(slot).update(from: attended.outputs + first * d, count: g * d)
      states.logSumExps(slot).update(from: found, count: g)
    }
  }
}

extension RetrievalHead {
  /// Fixed rows that tell how much all of them weigh: the first few, which draw attention of any query, and the newest.
  private static let probedSinks = 8
  private static let probedWindow = 32

  /// Attends to a few of the fixed rows.
  func probe(
    _ queries: UnsafePointer<Float>, states: RunningStates, workspace: Workspace
  ) -> ReadStatistics.Head {
    let sinks = 0..<min(Self.probedSinks, settings.sinkCount)
    let newest = rows.count - min(Self.probedWindow, windowRows)..<rows.count
    for range in [sinks, newest] where !range.isEmpty {
      states.attend(queries, to: range, of: rows, workspace: workspace)
    }
    return ReadStatistics.Head(fixed: rows.count - index.rowCount)
  }

  /// Log-sum-exps of all fixed rows, from those of the probed ones, as far as is known.
  func expectFixed(_ logSumExps: UnsafeMutablePointer<Float>, count: Int) {
    guard fixedExcess.count == count else { return }
    for h in 0..<count { logSumExps[h] += fixedExcess[h] }
  }

  /// Remembers by how much all rows weighed more than the probed ones.
  func learnFixedWeight(probed: UnsafePointer<Float>, found: UnsafePointer<Float>) {
    let g = samples.groupSize
    let isNew = fixedExcess.count != g
    if isNew { fixedExcess = [Float](repeating: 0, count: g) }
    for h in 0..<g where (found[h] - probed[h]).isFinite {
      fixedExcess[h] += (found[h] - probed[h] - fixedExcess[h]) * (isNew ? 1 : 0.25)
    }
  }
}

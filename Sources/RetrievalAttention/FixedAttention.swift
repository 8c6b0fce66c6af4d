// First and last rows attended to elsewhere, by a GPU say, while the index is searched here.

import AttentionKernels
import VectorIndex

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// What a decode step gets from elsewhere: attention to the rows of a layer that are in no index, the new one included.
package protocol FixedAttention: AnyObject {
  /// Waits for it: normalized outputs `[heads, d]` and log-sum-exps `[heads]`, valid until the next step. Called once,
  /// when everything else is done.
  func result() -> (outputs: UnsafePointer<Float>, logSumExps: UnsafePointer<Float>)
}

/// Rows of a layer that every step attends to.
package struct FixedRows: Sendable, Hashable {
  /// Rows at the beginning.
  package var sinkCount: Int
  /// Rows at the end, behind the index.
  package var windowCount: Int
  /// All rows, those of the index among them.
  package var rowCount: Int
  /// Changes when rows that were there have changed, other than by a step's row that was added.
  package var version: Int
}

extension AttentionEngine {
  /// The fixed rows of a layer; nil where a step attends to all rows, or reads them in a way of its own.
  package func fixedRows(layer: Int) -> FixedRows? {
    guard shape.layers.indices.contains(layer), !ignoresIndex, headObserver == nil, followers.isEmpty,
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
    _ batch: LayerBatch, fixed: any FixedAttention, parallel: ParallelRunner
  ) throws(AttentionError) {
    guard batch.tokenCount == 1, fixedRows(layer: batch.layer) != nil else {
      throw .invalidSetting(
        name: "tokenCount", value: "\(batch.tokenCount)", requirement: "1, in a layer with fixed rows")
    }
    try check(batch)
    observer?(batch)
    while workspaces.count < parallel.workerCount { workspaces.append(Workspace()) }
    let start = profile?.begin(workspaces)
    begin(batch)
    decode(batch, fixed: fixed, parallel: parallel)
    if let start { profile?.end(start, workspaces) }
    end(batch)
  }

  /// Replaces what was told from a few rows by what `fixed` says, in the slots of each head's first part.
  func take(
    _ fixed: any FixedAttention, batch: LayerBatch, layer: LayerShape, step: DecodeStep, states: StepStates
  ) {
    let workspace = workspaces[0]
    workspace.stages?.begin(.wait)
    let (outputs, logSumExps) = fixed.result()
    workspace.stages?.begin(.merge)
    let (g, d) = (step.groupSize, step.dimension)
    for (number, head) in heads[batch.layer].enumerated() {
      let slot = step.slot(head: number)
      let first = number * g
      let scratch = workspace.scope()
      let found = scratch.floats(g)
      found.update(from: logSumExps + first, count: g)
      if let offsets = head.rows.keyOffsets {
        // Keys there are whole, ours lack what all have in common.
        let queries = scratch.floats(g * d)
        batch.gatherQueries(kvHead: number, tokens: 0..<1, groupSize: g, into: queries)
        workspace.kernels.unsafeAddProducts(
          of: offsets, with: queries, count: g, dimension: d, by: -layer.scale, to: found,
          scratch: scratch.floats(g))
      }
      (head as? RetrievalHead)?.learnFixedWeight(probed: states.logSumExps(slot), found: found)
      states.outputs(slot).update(from: outputs + first * d, count: g * d)
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

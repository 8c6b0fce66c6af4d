// First and last rows attended to elsewhere, by a GPU say, while the index is searched here.

import AttentionKernels
import VectorIndex

extension AttentionEngine {
  /// The fixed rows of a layer; nil where a step attends to all rows, or reads them in a way of its own.
  package func fixedRows(layer: Int) -> FixedRows? {
    guard shape[layer] != nil, let first = heads(of: layer).first?.fixedRows, first.shareCount > 0 else {
      return nil
    }
    let window = first.windowRows
    guard heads(of: layer).allSatisfy({ $0.fixedRows?.windowRows == window && $0.shareCount > 0 }) else {
      return nil
    }
    return FixedRows(
      sinkCount: first.sinkCount, windowCount: window, rowCount: first.rows.count, version: rewriteCount)
  }

  /// Fixed rows that a layer may have, with some to spare for updates of its index that come late; nil when the policy
  /// has none.
  package var maximumFixedRows: Int? {
    heads.joined().lazy.compactMap { $0.fixedRows?.maximumFixedRows }.first
  }

  func checkFixed(_ call: AttentionCall, _ options: CallOptions) throws(AttentionError) {
    guard call.tokenCount == 1, !options.isExact, options.observer?.onHead == nil,
      fixedRows(layer: call.layer) != nil
    else {
      throw .invalidSetting(
        name: "tokenCount", value: "\(call.tokenCount)", requirement: "1, in a layer with fixed rows")
    }
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
    for (number, head) in heads(of: call.layer).enumerated() {
      let slot = step.slot(head: number)
      let first = number * g
      let scratch = workspace.scope()
      let found = unsafe scratch.list(g)
      unsafe found.base.update(from: attended.logSumExps + first, count: g)
      if let offsets = head.rows.keyOffsets {
        // Keys there are whole, ours lack what all have in common.
        let queries = unsafe scratch.floats(g * d)
        unsafe call.queries.gather(
          heads: layer.group(of: number), tokens: 0..<1, width: layer.headDimension, into: queries)
        unsafe workspace.kernels.unsafeAddProducts(
          of: offsets, with: FloatRows(queries, count: g, dimension: d), by: -layer.scale, to: found.base,
          scratch: scratch.floats(g))
      }
      unsafe head.fixedRows?.learnFixedWeight(
        probed: ListView(states.slot(slot).logSumExps, count: g), found: found)
      unsafe states.slot(slot).outputs.update(from: attended.outputs + first * d, count: g * d)
      unsafe states.slot(slot).logSumExps.update(from: found.base, count: g)
    }
  }
}

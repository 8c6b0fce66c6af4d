// Layers whose scores are more than dot products: capped, or lowered with distance. All of them are computed.

import AttentionKernels
import VectorIndex

extension AttentionEngine {
  /// Exact causal attention of all tokens of a call, a tile of tokens of one KV head a task.
  ///
  /// What an index learns of keys does not tell such scores, so no policy chooses keys here.
  func attendBent(_ call: AttentionCall, parallel: ParallelRunner) {
    let layer = layerShape(of: call)
    let tileTokens = max(1, Kernels.preferredPrefillRows / layer.groupSize)
    let tiles = (call.tokenCount + tileTokens - 1) / tileTokens
    parallel.run(layer.kvHeadCount * tiles) { index, worker in
      // Late tiles see more keys; they go first, so that the last task to finish is a short one.
      let first = (tiles - 1 - index / layer.kvHeadCount) * tileTokens
      attendBent(
        call, kvHead: index % layer.kvHeadCount, tokens: first..<min(call.tokenCount, first + tileTokens),
        workspace: workspaces[worker])
    }
  }

  /// Keys that are scored at once.
  private static let bentBlock = 256

  private func attendBent(_ call: AttentionCall, kvHead: Int, tokens: Range<Int>, workspace: Workspace) {
    let layer = layerShape(of: call)
    let head = heads(of: call.layer)[kvHead]
    let (g, d, kernels) = (layer.groupSize, layer.headDimension, workspace.kernels)
    let scratch = workspace.scope()
    let count = tokens.count * g
    let queries = unsafe scratch.floats(count * d)
    unsafe call.queries.gather(heads: layer.group(of: kvHead), tokens: tokens, width: d, into: queries)
    unsafe kernels.unsafeScale(queries, by: layer.scale, count: count * d)
    let states = unsafe StatePointers(count: count, dimension: d, in: scratch)
    let scores = unsafe scratch.list(count * Self.bentBlock)
    let rowsBefore = head.rows.count - call.tokenCount
    let end = rowsBefore + tokens.upperBound
    var begin = head.firstVisibleRow(for: rowsBefore + tokens.lowerBound)
    while begin < end {
      let size = min(Self.bentBlock, end - begin)
      unsafe kernels.unsafeDot(
        FloatRows(queries, count: count, dimension: d), with: head.rows.keys.from(begin), .first(size),
        scores: scores.base)
      if let cap = layer.softCap { bend(scores.first(count * size), cap: cap, kernels: kernels) }
      for (number, token) in tokens.enumerated() {
        let row = rowsBefore + token
        let visible = head.firstVisibleRow(for: row)...row
        for h in 0..<g {
          let slope = layer.distanceSlopes?[kvHead * g + h] ?? 0
          let line = unsafe scores.base + (number * g + h) * size
          for i in 0..<size {
            let key = begin + i
            unsafe line[i] = visible.contains(key) ? line[i] - slope * Float(row - key) : -.infinity
          }
        }
      }
      unsafe kernels.unsafeSoftmaxAccumulate(
        scores: scores.base, values: head.rows.values.from(begin), .first(size), to: states)
      begin += size
    }
    let logSumExps = unsafe scratch.floats(count)
    let finished = unsafe OutputPointers(
      outputs: states.accumulators, logSumExps: logSumExps, count: count, dimension: d)
    states.finish(into: finished)
    hand(finished, to: call, kvHead: kvHead, tokens: tokens, kernels: kernels)
  }

  /// Replaces each score s by `cap * tanh(s / cap)`, from `tanh(x) = 1 - 2 / (exp(2 x) + 1)`.
  private func bend(_ list: ListView<Float>, cap: Float, kernels: Kernels) {
    let (scores, count) = unsafe (list.base, list.count)
    unsafe kernels.unsafeScale(scores, by: 2 / cap, count: count)
    unsafe kernels.unsafeExp(scores, scores, count: count)
    for i in 0..<count { unsafe scores[i] = cap - 2 * cap / (scores[i] + 1) }
  }
}

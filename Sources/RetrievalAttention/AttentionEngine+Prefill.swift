// Reading a prompt: exact attention whatever the policy, which sees queries and outputs.

import AttentionKernels
import VectorIndex

extension AttentionEngine {
  /// Several tokens: exact causal attention, a tile of tokens of one KV head a task.
  func prefill(_ batch: LayerBatch, parallel: ParallelRunner) {
    let layer = shape.layers[batch.layer]
    let layerHeads = heads[batch.layer]
    for engine in [self] + followers { engine.openPromptStart = engine.openPromptStart ?? engine.tokenCount }
    let g = layer.groupSize
    let tileTokens = max(1, Kernels.preferredPrefillRows / g)
    let tiles = (batch.tokenCount + tileTokens - 1) / tileTokens
    parallel.run(layerHeads.count * tiles) { index, worker in
      // Late tiles see more keys; they go first, so that the last task to finish is a short one.
      let tile = tiles - 1 - index / layerHeads.count
      let tokens = tile * tileTokens..<min(batch.tokenCount, (tile + 1) * tileTokens)
      prefillTile(
        batch, layer: layer, kvHead: index % layerHeads.count, tokens: tokens, workspace: workspaces[worker])
    }
    let readers = ([self] + followers).flatMap { engine in
      engine.heads[batch.layer].enumerated().filter(\.element.readsBatches)
    }
    parallel.run(readers.count) { index, worker in
      readers[index].element.didPrefill(
        HeadBatch(batch: batch, kvHead: readers[index].offset, groupSize: g, scale: layer.scale),
        workspace: workspaces[worker])
    }
  }

  private func prefillTile(
    _ batch: LayerBatch, layer: LayerShape, kvHead: Int, tokens: Range<Int>, workspace: Workspace
  ) {
    let head = heads[batch.layer][kvHead]
    let g = layer.groupSize
    let d = layer.headDimension
    let count = tokens.count * g
    let kernels = workspace.kernels
    let queries = workspace.floats(.queries, count * d)
    batch.gatherQueries(kvHead: kvHead, tokens: tokens, groupSize: g, into: queries)
    let visibleBegin = workspace.indices(.visibleBegin, count)
    let visibleEnd = workspace.indices(.visibleEnd, count)
    let rowsBefore = head.rows.count - batch.tokenCount
    for token in tokens {
      let row = rowsBefore + token
      for h in 0..<g {
        let query = (token - tokens.lowerBound) * g + h
        visibleBegin[query] = UInt32(head.firstVisibleRow(for: row))
        visibleEnd[query] = UInt32(row + 1)
      }
    }
    let states = RunningStates(count: count, dimension: d, workspace: workspace)
    // Rows before the first one that any query of the tile sees are left out; offsets then start there.
    let first = head.firstVisibleRow(for: rowsBefore + tokens.lowerBound)
    for query in 0..<count {
      visibleBegin[query] -= UInt32(first)
      visibleEnd[query] -= UInt32(first)
    }
    kernels.unsafePrefill(
      queries: queries, queryStride: d, queryCount: count, scale: layer.scale,
      keys: head.rows.keys.from(first), values: head.rows.values.from(first),
      keyCount: rowsBefore + tokens.upperBound - first, dimension: d, visibleBegin: visibleBegin,
      visibleEnd: visibleEnd, maxima: states.maxima, sums: states.sums, accumulators: states.accumulators,
      accumulatorStride: d, scratch: workspace.floats(.kernel, Kernels.prefillScratchCount(dimension: d)))
    let outputs = states.accumulators
    let logSumExps = workspace.floats(.scores, count)
    states.finish(outputs: outputs, outputStride: d, logSumExps: logSumExps, kernels: kernels)
    batch.scatterOutputs(outputs, kvHead: kvHead, tokens: tokens, groupSize: g)
    // Policies are told of keys as they are: another context may have taken away something else from its own.
    if let offsets = head.rows.keyOffsets {
      kernels.unsafeAddProducts(
        of: offsets, with: queries, count: count, dimension: d, by: layer.scale, to: logSumExps,
        scratch: workspace.floats(.weights, count))
    }
    let batchEnd = batch.firstPosition + batch.tokenCount
    for engine in [self] + followers {
      let head = engine.heads[batch.layer][kvHead]
      for token in tokens {
        let position = batch.firstPosition + token
        guard head.wants(position: position, batchEnd: batchEnd) else { continue }
        let row = (token - tokens.lowerBound) * g
        head.observe(
          ObservedToken(
            position: position, queries: queries + row * d, scale: layer.scale, outputs: outputs + row * d,
            logSumExps: logSumExps + row),
          workspace: workspace)
      }
    }
  }
}

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
      attendTile(
        batch, layer: layer, kvHead: index % layerHeads.count, tokens: tokens,
        batchEnd: batch.firstPosition + batch.tokenCount, workspace: workspaces[worker])
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

  /// Takes in a layer's part of a prompt whose attention is computed elsewhere, by a GPU say: keys, values, and what
  /// the index learns from. Only of the few tokens that are learned from is attention computed here.
  ///
  /// Only where ``takesInAttendedPrompts`` says so: other policies would miss what they have to see. Traps with
  /// followers.
  ///
  /// - Parameter promptEnd: position behind the prompt's last token; the last tokens before it are learned from.
  /// - Throws: as ``attend(_:parallel:)``.
  package func takeIn(
    _ batch: LayerBatch, promptEnd: Int, parallel: ParallelRunner
  ) throws(AttentionError) {
    precondition(followers.isEmpty, "followers have to see all of a prompt")
    try check(batch)
    observer?(batch)
    while workspaces.count < parallel.workerCount { workspaces.append(Workspace()) }
    openPromptStart = openPromptStart ?? tokenCount
    begin(batch)
    let layer = shape.layers[batch.layer]
    let layerHeads = heads[batch.layer]
    let tileTokens = max(1, Kernels.preferredPrefillRows / layer.groupSize)
    let wanted = (0..<batch.tokenCount).filter { token in
      layerHeads.contains { $0.wants(position: batch.firstPosition + token, batchEnd: promptEnd) }
    }
    let tiles = stride(from: 0, to: wanted.count, by: tileTokens).map {
      wanted[$0..<min(wanted.count, $0 + tileTokens)]
    }
    parallel.run(layerHeads.count * tiles.count) { index, worker in
      attendTile(
        batch, layer: layer, kvHead: index % layerHeads.count, tokens: tiles[index / layerHeads.count],
        batchEnd: promptEnd, isAttended: true, workspace: workspaces[worker])
    }
    end(batch)
  }

  /// Whether ``takeIn(_:promptEnd:parallel:)`` gives all that the policy needs.
  package var takesInAttendedPrompts: Bool {
    followers.isEmpty && heads.joined().allSatisfy { ($0 as? any StorableHead)?.isStorable == true }
  }

  /// Exact causal attention of some tokens of a batch, in rising order.
  ///
  /// - Parameters:
  ///   - batchEnd: which tokens are learned from is decided as if the batch ended there.
  ///   - isAttended: outputs are only learned from.
  private func attendTile(
    _ batch: LayerBatch, layer: LayerShape, kvHead: Int, tokens: some RandomAccessCollection<Int>,
    batchEnd: Int, isAttended: Bool = false, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    guard let firstToken = tokens.first, let lastToken = tokens.last else { return }
    let head = heads[batch.layer][kvHead]
    let g = layer.groupSize
    let d = layer.headDimension
    let count = tokens.count * g
    let kernels = workspace.kernels
    let queries = scratch.floats(count * d)
    batch.gatherQueries(kvHead: kvHead, tokens: tokens, groupSize: g, into: queries)
    let visibleBegin = scratch.indices(count)
    let visibleEnd = scratch.indices(count)
    let rowsBefore = head.rows.count - batch.tokenCount
    for (number, token) in tokens.enumerated() {
      let row = rowsBefore + token
      for h in 0..<g {
        let query = number * g + h
        visibleBegin[query] = UInt32(head.firstVisibleRow(for: row))
        visibleEnd[query] = UInt32(row + 1)
      }
    }
    let states = RunningStates(count: count, dimension: d, in: scratch)
    // Rows before the first one that any query of the tile sees are left out; offsets then start there.
    let first = head.firstVisibleRow(for: rowsBefore + firstToken)
    for query in 0..<count {
      visibleBegin[query] -= UInt32(first)
      visibleEnd[query] -= UInt32(first)
    }
    kernels.unsafePrefill(
      queries: queries, queryStride: d, queryCount: count, scale: layer.scale,
      keys: head.rows.keys.from(first), values: head.rows.values.from(first),
      keyCount: rowsBefore + lastToken + 1 - first, dimension: d, visibleBegin: visibleBegin,
      visibleEnd: visibleEnd, maxima: states.maxima, sums: states.sums, accumulators: states.accumulators,
      accumulatorStride: d, scratch: scratch.floats(Kernels.prefillScratchCount(dimension: d)))
    let outputs = states.accumulators
    let logSumExps = scratch.floats(count)
    states.finish(outputs: outputs, outputStride: d, logSumExps: logSumExps, kernels: kernels)
    if !isAttended { batch.scatterOutputs(outputs, kvHead: kvHead, tokens: tokens, groupSize: g) }
    // Policies are told of keys as they are: another context may have taken away something else from its own.
    if let offsets = head.rows.keyOffsets {
      kernels.unsafeAddProducts(
        of: offsets, with: queries, count: count, dimension: d, by: layer.scale, to: logSumExps,
        scratch: scratch.floats(count))
    }
    for engine in [self] + followers {
      let head = engine.heads[batch.layer][kvHead]
      for (number, token) in tokens.enumerated() {
        let position = batch.firstPosition + token
        guard head.wants(position: position, batchEnd: batchEnd) else { continue }
        let row = number * g
        head.observe(
          ObservedToken(
            position: position, queries: queries + row * d, scale: layer.scale, outputs: outputs + row * d,
            logSumExps: logSumExps + row),
          workspace: workspace)
      }
    }
  }
}

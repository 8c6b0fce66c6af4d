// Reading a prompt: exact attention whatever the policy, which sees queries and outputs.

import AttentionKernels
import Platform
import VectorIndex

extension AttentionEngine {
  /// Several tokens: exact causal attention, a tile of tokens of one KV head a task.
  func prefill(_ call: AttentionCall, followers: [AttentionEngine], parallel: ParallelRunner) {
    let layer = layerShape(of: call)
    let layerHeads = heads(of: call.layer)
    let engines = [self] + followers
    for engine in engines { engine.openPromptStart = engine.openPromptStart ?? engine.tokenCount }
    if layer.isBent { return attendBent(call, parallel: parallel) }
    let g = layer.groupSize
    let tileTokens = max(1, Kernels.preferredPrefillRows / g)
    let tiles = (call.tokenCount + tileTokens - 1) / tileTokens
    parallel.run(layerHeads.count * tiles) { index, worker in
      // Late tiles see more keys; they go first, so that the last task to finish is a short one.
      let tile = tiles - 1 - index / layerHeads.count
      let tokens = tile * tileTokens..<min(call.tokenCount, (tile + 1) * tileTokens)
      attendTile(
        Tile(call: call, layer: layer, kvHead: index % layerHeads.count, batchEnd: call.endPosition),
        tokens: tokens, learners: engines, workspace: workspaces[worker])
    }
    let readers = engines.flatMap { engine in
      // Layers that read another one's keys are not its prompt.
      engine.heads[call.layer].enumerated().compactMap { number, head in
        head.batchReading.map { (number, $0) }
      }
    }
    parallel.run(readers.count) { index, worker in
      let (kvHead, reader) = readers[index]
      reader.didPrefill(HeadBatch(call: call, layer: layer, kvHead: kvHead), workspace: workspaces[worker])
    }
  }

  /// Takes in a layer's part of a prompt whose attention is computed elsewhere, by a GPU say: keys, values, and what
  /// the index learns from. Only of the few tokens that are learned from is attention computed here.
  ///
  /// Only where ``takesInAttendedPrompts`` says so: other policies would miss what they have to see.
  ///
  /// - Parameter promptEnd: position behind the prompt's last token; the last tokens before it are learned from.
  func takeIn(_ call: AttentionCall, promptEnd: Int, parallel: ParallelRunner) {
    openPromptStart = openPromptStart ?? tokenCount
    let layer = layerShape(of: call)
    let layerHeads = heads(of: call.layer)
    let tileTokens = max(1, Kernels.preferredPrefillRows / layer.groupSize)
    let wanted = (0..<call.tokenCount).filter { token in
      layerHeads.contains { $0.wants(position: call.firstPosition + token, batchEnd: promptEnd) }
    }
    let tiles = stride(from: 0, to: wanted.count, by: tileTokens).map {
      wanted[$0..<min(wanted.count, $0 + tileTokens)]
    }
    parallel.run(layerHeads.count * tiles.count) { index, worker in
      attendTile(
        Tile(call: call, layer: layer, kvHead: index % layerHeads.count, batchEnd: promptEnd),
        tokens: tiles[index / layerHeads.count], learners: [self], workspace: workspaces[worker])
    }
  }

  /// Writes outputs `[tokens, groupSize, headDimension]` where the host wants them, less the share of learned sinks.
  ///
  /// - Parameter finished: log-sum-exps are `[tokens, groupSize]`, over keys from which nothing was taken away.
  func hand(
    _ finished: OutputPointers, to call: AttentionCall, kvHead: Int, tokens: some Collection<Int>,
    kernels: Kernels
  ) {
    let layer = layerShape(of: call)
    let group = layer.group(of: kvHead)
    unsafe call.output.scatter(
      finished.outputs, heads: group, tokens: tokens, width: layer.valueDimension, stride: layer.headDimension
    )
    guard let sinks = layer.sinks else { return }
    for (number, token) in tokens.enumerated() {
      for head in group {
        let logSumExp = unsafe finished.logSumExps[number * group.count + head - group.lowerBound]
        unsafe kernels.unsafeScale(
          call.output.row(token: token, head: head), by: 1 / (1 + exp(sinks[head] - logSumExp)),
          count: layer.valueDimension)
      }
    }
  }

  /// Whether a prompt that devices attend to gives all that the policy needs.
  package var takesInAttendedPrompts: Bool { isForkable }

  /// What the tasks of a batch have in common, for one KV head.
  private struct Tile {
    var call: AttentionCall
    var layer: LayerShape
    var kvHead: Int
    /// Which tokens are learned from is decided as if the batch ended there.
    var batchEnd: Int
  }

  /// Exact causal attention of some tokens of a batch, in rising order.
  ///
  /// - Parameter learners: engines whose heads see queries and outputs.
  private func attendTile(
    _ tile: Tile, tokens: some RandomAccessCollection<Int>, learners: [AttentionEngine], workspace: Workspace
  ) {
    let (call, layer, kvHead) = (tile.call, tile.layer, tile.kvHead)
    let scratch = workspace.scope()
    guard let firstToken = tokens.first, let lastToken = tokens.last else { return }
    let head = heads(of: call.layer)[kvHead]
    let g = layer.groupSize
    let d = layer.headDimension
    let count = tokens.count * g
    let kernels = workspace.kernels
    let queries = unsafe scratch.floats(count * d)
    unsafe call.queries.gather(
      heads: layer.group(of: kvHead), tokens: tokens, width: layer.headDimension, into: queries)
    let visibleBegin = unsafe scratch.indices(count)
    let visibleEnd = unsafe scratch.indices(count)
    let rowsBefore = head.rows.count - call.tokenCount
    for (number, token) in tokens.enumerated() {
      let row = rowsBefore + token
      for h in 0..<g {
        let query = number * g + h
        unsafe visibleBegin[query] = UInt32(head.firstVisibleRow(for: row))
        unsafe visibleEnd[query] = UInt32(row + 1)
      }
    }
    let states = unsafe StatePointers(count: count, dimension: d, in: scratch)
    // Rows before the first one that any query of the tile sees are left out; offsets then start there.
    let first = head.firstVisibleRow(for: rowsBefore + firstToken)
    for query in 0..<count {
      unsafe visibleBegin[query] -= UInt32(first)
      unsafe visibleEnd[query] -= UInt32(first)
    }
    unsafe kernels.unsafePrefill(
      FloatRows(queries, count: count, dimension: d), scale: layer.scale, to: head.rows.keyValues.from(first),
      visible: VisibleKeys(
        begins: visibleBegin, ends: visibleEnd, keyCount: rowsBefore + lastToken + 1 - first), states: states,
      scratch: scratch.floats(Kernels.prefillScratchCount(dimension: d)))
    let outputs = unsafe states.accumulators
    let logSumExps = unsafe scratch.floats(count)
    let finished = unsafe OutputPointers(outputs: outputs, logSumExps: logSumExps, count: count, dimension: d)
    states.finish(into: finished)
    // Policies are told of keys as they are: another context may have taken away something else from its own.
    if let offsets = head.rows.keyOffsets {
      unsafe kernels.unsafeAddProducts(
        of: offsets, with: FloatRows(queries, count: count, dimension: d), by: layer.scale, to: logSumExps,
        scratch: scratch.floats(count))
    }
    if !call.isAttended {
      hand(finished, to: call, kvHead: kvHead, tokens: tokens, kernels: kernels)
    }
    for engine in learners {
      let head = engine.heads(of: call.layer)[kvHead]
      for (number, token) in tokens.enumerated() {
        let position = call.firstPosition + token
        guard engine.shows(position: position, layer: call.layer),
          head.wants(position: position, batchEnd: tile.batchEnd)
        else { continue }
        let row = number * g
        unsafe head.observing?.observe(
          ObservedToken(
            position: position, queries: queries + row * d, scale: layer.scale, outputs: outputs + row * d,
            logSumExps: logSumExps + row, groupSize: g, dimension: d),
          workspace: workspace)
      }
    }
  }
}

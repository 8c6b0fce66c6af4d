// Reading a prompt: exact attention whatever the policy, which sees queries and outputs; or, where retrieval has an
// index already and may use it, keys that are chosen for a tile of tokens.

import AttentionKernels
import Platform
import VectorIndex

extension AttentionEngine {
  /// Several tokens: causal attention, a tile of tokens of one KV head a task.
  ///
  /// - Parameters:
  ///   - followers: what they see is exact.
  func prefill(
    _ call: AttentionCall, options: CallOptions, followers: [AttentionEngine], parallel: ParallelRunner
  ) {
    let layer = layerShape(of: call)
    let layerHeads = heads(of: call.layer)
    let engines = [self] + followers
    if !options.isGenerated {
      for engine in engines { engine.openPromptStart = engine.openPromptStart ?? engine.tokenCount }
    }
    if layer.isBent { return attendBent(call, parallel: parallel) }
    let end = options.promptEnd ?? call.endPosition
    let mayChoose = followers.isEmpty && !options.readsAllKeys && !options.isGenerated
    if mayChoose {
      for head in layerHeads {
        head.prompting?.willReadPrompt(batchTokens: call.tokenCount, continues: end > call.endPosition)
      }
    }
    let chooses = mayChoose && layerHeads.allSatisfy { $0.prompting?.choosesForPrompts ?? false }
    var tokens = (exact: Array(0..<call.tokenCount), chosen: [Int]())
    if chooses { tokens = divide(call, head: layerHeads[0], promptEnd: end) }
    // Tiles that read all keys go first, and late ones, which see more, so that the last task to finish is a short one.
    let exactTiles = tiles(of: tokens.exact, layer: layer)
    let allTiles = exactTiles.reversed() + tiles(of: tokens.chosen, layer: layer).reversed()
    promptComputed.prepare(chooses ? layerHeads.count * allTiles.count : 0)
    let computed = promptComputed.list
    func tile(_ index: Int) -> Tile {
      Tile(
        call: call, layer: layer, kvHead: index % layerHeads.count, batchEnd: call.endPosition,
        isChoosing: index / layerHeads.count >= exactTiles.count,
        trace: options.trace?.watches(call.layer) == true ? options.trace : nil,
        hidden: options.hidden,
        tracedFrom: options.isGenerated ? 0 : end - (options.trace?.promptTokens ?? 0))
    }
    let tileCount = layerHeads.count * allTiles.count
    let isDivided = options.isGenerated && options.hidden.isEmpty && layer.slidingWindow == nil
    tileParts.prepare(
      tiles: tileCount, rows: isDivided ? layerHeads[0].rows.count : 0, workers: parallel.workerCount,
      queryCount: (allTiles.map(\.count).max() ?? 0) * layer.groupSize, dimension: layer.headDimension)
    if tileParts.count > 1 {
      parallel.run(tileCount * tileParts.count) { index, worker in
        let number = index / tileParts.count
        attendPart(
          index % tileParts.count, of: tile(number), number: number,
          tokens: allTiles[number / layerHeads.count],
          workspace: workspaces[worker])
      }
    }
    parallel.run(tileCount) { index, worker in
      var tile = tile(index)
      if tileParts.count > 1 { tile.parts = index }
      let count = attendTile(
        tile, tokens: allTiles[index / layerHeads.count], learners: engines, workspace: workspaces[worker])
      if chooses { computed[index] = count }
    }
    if !options.isGenerated { count(call, layer: layer, computed: chooses ? computed : nil) }
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

  /// Which tokens of a batch read all keys.
  private func divide(
    _ call: AttentionCall, head: EngineHead, promptEnd: Int
  ) -> (exact: [Int], chosen: [Int]) {
    var (exact, chosen): ([Int], [Int]) = ([], [])
    for token in 0..<call.tokenCount {
      let position = call.firstPosition + token
      let isExact = head.prompting?.readsAllKeys(position: position, promptEnd: promptEnd) ?? true
      if isExact { exact.append(token) } else { chosen.append(token) }
    }
    return (exact, chosen)
  }

  private func tiles(of tokens: [Int], layer: LayerShape) -> [ArraySlice<Int>] {
    let tileTokens = max(1, Kernels.preferredPrefillRows / layer.groupSize)
    return stride(from: 0, to: tokens.count, by: tileTokens).map {
      tokens[$0..<min(tokens.count, $0 + tileTokens)]
    }
  }

  /// Notes what a batch's attention has cost.
  ///
  /// - Parameter computed: products, by task; nil where all keys were read.
  private func count(_ call: AttentionCall, layer: LayerShape, computed: ListView<Int>?) {
    guard layer.slidingWindow == nil else { return }
    let visible =
      layer.headCount * call.tokenCount * (call.firstPosition + call.endPosition + 1) / 2
    promptReads += PromptReads(visible: visible, computed: computed?.reduce(0, +) ?? visible)
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
}

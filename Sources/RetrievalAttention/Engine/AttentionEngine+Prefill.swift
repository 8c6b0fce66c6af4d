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
    parallel.run(layerHeads.count * allTiles.count) { index, worker in
      let number = index / layerHeads.count
      let tile = Tile(
        call: call, layer: layer, kvHead: index % layerHeads.count, batchEnd: call.endPosition,
        isChoosing: number >= exactTiles.count,
        trace: options.trace?.watches(call.layer) == true ? options.trace : nil,
        hidden: options.hidden,
        tracedFrom: options.isGenerated ? 0 : end - (options.trace?.promptTokens ?? 0))
      let count = attendTile(
        tile, tokens: allTiles[number], learners: engines, workspace: workspaces[worker])
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

  /// What the tasks of a batch have in common, for one KV head.
  private struct Tile {
    var call: AttentionCall
    var layer: LayerShape
    var kvHead: Int
    /// Which tokens are learned from is decided as if the batch ended there.
    var batchEnd: Int
    /// Whether the head chooses keys; nothing is learned from the tokens then.
    var isChoosing = false
    /// Notes what tokens from a position on attend to.
    var trace: AttentionTrace?
    /// Positions that are not seen.
    var hidden: [Range<Int>] = []
    var tracedFrom = 0
  }

  /// Causal attention but for some positions, all of which are before the batch.
  private func attend(
    _ queries: FloatRows, ends: ListView<UInt32>, rowsBefore: Int, hidden: [Range<Int>], layer: LayerShape,
    rows: HeadRows, states: StatePointers, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let seen = (0..<rowsBefore).filter { row in
      let position = unsafe Int(rows.positions[row])
      return !hidden.contains { $0.contains(position) }
    }
    let kernelScratch = unsafe scratch.floats(Kernels.prefillScratchCount(dimension: rows.dimension))
    let begins = unsafe scratch.rows(queries.count)
    let own = unsafe scratch.rows(queries.count)
    begins.fill(0)
    own.fill(.max)
    if !seen.isEmpty {
      unsafe workspace.kernels.unsafePrefill(
        queries, scale: layer.scale, to: rows.keyValues,
        visible: VisibleKeys(begins: begins.base, ends: own.base, of: .listed(scratch.rows(seen))),
        states: states, scratch: kernelScratch)
    }
    for query in 0..<queries.count { own[query] = ends[query] - UInt32(rowsBefore) }
    unsafe workspace.kernels.unsafePrefill(
      queries, scale: layer.scale, to: rows.keyValues.from(rowsBefore),
      visible: VisibleKeys(begins: begins.base, ends: own.base, keyCount: Int(own[queries.count - 1])),
      states: states, scratch: kernelScratch)
  }

  /// Causal attention of some tokens of a batch, in rising order.
  ///
  /// - Parameter learners: engines whose heads see queries and outputs.
  /// - Returns: products of a query with a key.
  @discardableResult
  private func attendTile(
    _ tile: Tile, tokens: some RandomAccessCollection<Int>, learners: [AttentionEngine], workspace: Workspace
  ) -> Int {
    let (call, layer, kvHead) = (tile.call, tile.layer, tile.kvHead)
    let scratch = workspace.scope()
    guard let firstToken = tokens.first, let lastToken = tokens.last else { return 0 }
    let head = heads(of: call.layer)[kvHead]
    let g = layer.groupSize
    let d = layer.headDimension
    let count = tokens.count * g
    let kernels = workspace.kernels
    let queries = unsafe scratch.floats(count * d)
    unsafe call.queries.gather(
      heads: layer.group(of: kvHead), tokens: tokens, width: layer.headDimension, into: queries)
    let visibleBegin = unsafe scratch.rows(count)
    let visibleEnd = unsafe scratch.rows(count)
    let rowsBefore = head.rows.count - call.tokenCount
    for (number, token) in tokens.enumerated() {
      let row = rowsBefore + token
      for h in 0..<g {
        let query = number * g + h
        visibleBegin[query] = UInt32(head.firstVisibleRow(for: row))
        visibleEnd[query] = UInt32(row + 1)
      }
    }
    let states = unsafe StatePointers(count: count, dimension: d, in: scratch)
    let group = unsafe FloatRows(queries, count: count, dimension: d)
    var computed = 0
    if tile.isChoosing, let prompting = head.prompting {
      computed = prompting.attend(
        PromptTile(
          queries: group, scale: layer.scale, visibleEnds: visibleEnd, groupSize: g, states: states,
          workspace: workspace))
    } else if !tile.hidden.isEmpty, layer.slidingWindow == nil {
      attend(
        group, ends: visibleEnd, rowsBefore: rowsBefore, hidden: tile.hidden, layer: layer, rows: head.rows,
        states: states, workspace: workspace)
    } else {
      // Rows before the first one that any query of the tile sees are left out; offsets then start there.
      let first = head.firstVisibleRow(for: rowsBefore + firstToken)
      for query in 0..<count {
        visibleBegin[query] -= UInt32(first)
        visibleEnd[query] -= UInt32(first)
        computed += Int(visibleEnd[query])
      }
      unsafe kernels.unsafePrefill(
        group, scale: layer.scale, to: head.rows.keyValues.from(first),
        visible: VisibleKeys(
          begins: visibleBegin.base, ends: visibleEnd.base, keyCount: rowsBefore + lastToken + 1 - first),
        states: states, scratch: scratch.floats(Kernels.prefillScratchCount(dimension: d)))
    }
    let outputs = unsafe states.accumulators
    let logSumExps = unsafe scratch.floats(count)
    let finished = unsafe OutputPointers(outputs: outputs, logSumExps: logSumExps, count: count, dimension: d)
    states.finish(into: finished)
    if let trace = tile.trace, layer.slidingWindow == nil {
      for (number, token) in tokens.enumerated() where call.firstPosition + token >= tile.tracedFrom {
        unsafe trace.note(
          TracedHead(
            number: call.layer, layer: layer, kvHead: kvHead, position: call.firstPosition + token),
          queries: FloatRows(queries + number * g * d, count: g, dimension: d),
          logSumExps: logSumExps + number * g, read: .first(rowsBefore + token + 1), rows: head.rows,
          workspace: workspace)
      }
    }
    // Policies are told of keys as they are: another context may have taken away something else from its own.
    if let offsets = head.rows.keyOffsets {
      unsafe kernels.unsafeAddProducts(
        of: offsets, with: FloatRows(queries, count: count, dimension: d), by: layer.scale, to: logSumExps,
        scratch: scratch.floats(count))
    }
    if !call.isAttended {
      hand(finished, to: call, kvHead: kvHead, tokens: tokens, kernels: kernels)
    }
    for engine in tile.isChoosing ? [] : learners {
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
    return computed
  }
}

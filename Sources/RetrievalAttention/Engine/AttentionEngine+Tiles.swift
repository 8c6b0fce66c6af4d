// What one task of a batch does: the attention of some tokens' queries of a KV head, and what is learned from it.

import AttentionKernels
import VectorIndex

extension AttentionEngine {
  /// What the tasks of a batch have in common, for one KV head.
  struct Tile {
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
    /// Which of ``AttentionEngine/tileParts`` have its attention; nil where it is still to be computed.
    var parts: Int?
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

  /// Queries of a tile, `[tokens, groupSize, d]`, and the rows that each sees.
  private func load(
    _ tile: Tile, tokens: some RandomAccessCollection<Int>, in scratch: borrowing Scratch
  ) -> (queries: FloatRows, begins: ListView<UInt32>, ends: ListView<UInt32>) {
    let (call, layer) = (tile.call, tile.layer)
    let head = heads(of: call.layer)[tile.kvHead]
    let (g, d) = (layer.groupSize, layer.headDimension)
    let count = tokens.count * g
    let queries = unsafe scratch.floats(count * d)
    unsafe call.queries.gather(
      heads: layer.group(of: tile.kvHead), tokens: tokens, width: d, into: queries)
    let (begins, ends) = unsafe (scratch.rows(count), scratch.rows(count))
    let rowsBefore = head.rows.count - call.tokenCount
    for (number, token) in tokens.enumerated() {
      let row = rowsBefore + token
      for query in number * g..<(number + 1) * g {
        begins[query] = UInt32(head.firstVisibleRow(for: row))
        ends[query] = UInt32(row + 1)
      }
    }
    return unsafe (FloatRows(queries, count: count, dimension: d), begins, ends)
  }

  /// Attention of a tile's tokens to a part of the rows, for ``attendTile(_:tokens:learners:workspace:)``.
  ///
  /// - Parameter number: of the tile among those that are divided.
  func attendPart(
    _ part: Int, of tile: Tile, number: Int, tokens: some RandomAccessCollection<Int>, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    let rows = heads(of: tile.call.layer)[tile.kvHead].rows
    let (queries, begins, ends) = load(tile, tokens: tokens, in: scratch)
    let own = tileParts.rows(of: part, rows.count)
    for query in 0..<queries.count {
      begins[query] = UInt32(min(max(Int(begins[query]), own.lowerBound), own.upperBound) - own.lowerBound)
      ends[query] = UInt32(min(max(Int(ends[query]), own.lowerBound), own.upperBound) - own.lowerBound)
    }
    let states = tileParts.states(tile: number, part: part, count: queries.count)
    states.clear()
    unsafe workspace.kernels.unsafePrefill(
      queries, scale: tile.layer.scale, to: rows.keyValues.from(own.lowerBound),
      visible: VisibleKeys(begins: begins.base, ends: ends.base, keyCount: own.count), states: states,
      scratch: scratch.floats(Kernels.prefillScratchCount(dimension: rows.dimension)))
  }

  /// Causal attention of some tokens of a batch, in rising order.
  ///
  /// - Parameter learners: engines whose heads see queries and outputs.
  /// - Returns: products of a query with a key.
  @discardableResult
  func attendTile(
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
    let rowsBefore = head.rows.count - call.tokenCount
    let (group, visibleBegin, visibleEnd) = load(tile, tokens: tokens, in: scratch)
    let queries = unsafe group.base
    let states = unsafe StatePointers(count: count, dimension: d, in: scratch)
    var computed = 0
    if let number = tile.parts {
      for part in 0..<tileParts.count {
        let part = tileParts.states(tile: number, part: part, count: count)
        for query in 0..<count { states.merge(part, query: query, kernels: kernels) }
      }
    } else if tile.isChoosing, let prompting = head.prompting {
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

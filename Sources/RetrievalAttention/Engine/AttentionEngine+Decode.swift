// One decode step of a layer: tasks for all heads in one run of the workers, and the merge of what they gave.
// A step is of one token, or of one and the drafts that follow it.

import AttentionKernels
import Platform
import VectorIndex

extension AttentionEngine {
  /// One token, or a few that are generated at once: each KV head as its policy says, in parts and shares where it can
  /// use several workers.
  func decode(_ call: AttentionCall, options: CallOptions, parallel: ParallelRunner) {
    let layer = layerShape(of: call)
    if layer.isBent {
      attendBent(call, parallel: parallel)
      return count(call, reads: heads(of: call.layer).map { ReadStatistics.Head(retrieved: $0.rows.count) })
    }
    let layerHeads = heads(of: call.layer)
    let isExact = options.isExact && layer.slidingWindow == nil
    let (fixed, headObserver) = (options.fixed, options.observer?.onHead)
    let mode: Mode = isExact ? .exact : fixed != nil ? .probed : .policy
    let workers = parallel.workerCount
    let blocks = QueryBlocks(
      groupSize: layer.groupSize, tokenCount: call.tokenCount,
      isDivided: fixed == nil && !isExact && layerHeads[0].takesBlocks)
    let step = DecodeStep(
      kvHeadCount: layerHeads.count, blocks: blocks,
      parts: isExact
        ? ExactHead.partCount(rows: layerHeads[0].rows.count, workers: workers)
        : fixed != nil ? 1 : layerHeads[0].partCount(workers: workers),
      shares: isExact ? 0 : layerHeads[0].shareCount,
      dimension: layer.headDimension)
    decoding.prepare(step)
    let trace = options.trace.flatMap { $0.watches(call.layer) && layer.slidingWindow == nil ? $0 : nil }
    let recorders = (0..<step.taskCount).map { index in
      let kvHead = blocks.kvHead(of: step.task(index).head)
      let isTraced = trace?.watches(call.layer, layer.group(of: kvHead)) ?? false
      return headObserver != nil || isTraced ? ReadRecorder() : nil
    }
    let states = decoding.states(step)
    let (progress, planWorkspaces) = (decoding.progress, decoding.planWorkspaces)
    let reads = unsafe decoding.reads.list
    parallel.run(step.taskCount) { index, worker in
      let task = step.task(index)
      let workspace = workspaces[worker]
      let scratch = workspace.scope()
      let (tokens, count) = (blocks.tokens(of: task.head), blocks.queryCount(of: task.head))
      let queries = unsafe scratch.floats(count * step.dimension)
      unsafe call.queries.gather(
        heads: blocks.heads(of: task.head), tokens: tokens, width: layer.headDimension, into: queries)
      unsafe workspace.kernels.unsafeScale(queries, by: layer.scale, count: count * step.dimension)
      workspace.recorder = recorders[index]
      workspace.stages?.begin(.wait)
      progress.wait(for: task, of: step)
      let running = unsafe StatePointers(count: count, dimension: step.dimension, in: scratch)
      let headStep = unsafe HeadStep(
        queries: FloatRows(queries, count: count, dimension: step.dimension), states: running,
        workspace: workspace, block: blocks.block(of: task.head),
        hiddenRows: call.tokenCount - 1 - tokens.lowerBound)
      let head = layerHeads[blocks.kvHead(of: task.head)]
      unsafe reads.base[index] = run(
        task, in: layer, head: head, headStep, mode, memory: (states, planWorkspaces[task.head]))
      if task.work == .part(0) { attendToDrafts(headStep, tokenCount: tokens.count, rows: head.rows) }
      running.finish(into: states.slot(step.slot(of: task)))
      progress.finished(task)
      workspace.stages?.begin(nil)
    }
    workspaces[0].stages?.begin(.merge)
    if let fixed { take(fixed, call: call, layer: layer, step: step, states: states) }
    collect(
      call, layer: layer, states: states, isLearned: !options.isExact,
      trace: trace.map { (note: $0, recorders: recorders) })
    workspaces[0].stages?.begin(nil)
    unsafe count(call, reads: decoding.reads.list.first(step.taskCount), blocks: blocks.headBlocks)
    guard let headObserver, layer.slidingWindow == nil, call.tokenCount == 1 else { return }
    for number in layerHeads.indices {
      let tasks = (0..<step.taskCount).filter { blocks.kvHead(of: step.task($0).head) == number }
      let scratch = workspaces[0].scope()
      observe(
        call, kvHead: number, finished: states.group(of: number, in: scratch),
        recorders: (0..<blocks.count).map { block in
          tasks.filter { blocks.block(of: step.task($0).head) == block }.compactMap { recorders[$0] }
        },
        bytes: tasks.reduce(0) {
          $0 + decoding.reads[$1].byteCount(rowBytes: layerHeads[number].rows.keyValueBytes)
        },
        workspace: workspaces[0], observer: headObserver)
    }
  }

  private enum Mode {
    case policy
    /// All rows, whatever the policy.
    case exact
    /// A few of the fixed rows instead of all, which are attended to elsewhere.
    case probed
  }

  private func run(
    _ task: DecodeTask, in layer: LayerShape, head: EngineHead, _ headStep: HeadStep, _ mode: Mode,
    memory: (states: StepStates, planWorkspace: Workspace)
  ) -> ReadStatistics.Head {
    let (states, planWorkspace) = memory
    let step = states.step
    let workspace = headStep.workspace
    switch task.work {
    case .part(let part):
      workspace.stages?.begin(.exact)
      let partStep = headStep.with(headStep.states, workspace, part: part, parts: step.parts)
      switch mode {
      case .policy: return head.policy.attend(partStep)
      case .exact: return ExactHead.attend(partStep, to: head.rows)
      case .probed: return head.fixedRows?.probe(partStep) ?? head.policy.attend(partStep)
      }
    case .plan:
      let scratch = workspace.scope()
      let known = unsafe scratch.list(headStep.groupSize)
      let first = step.slot(head: task.head)
      for h in 0..<known.count {
        known[h] = unsafe (1..<step.parts).reduce(states.slot(first).logSumExps[h]) {
          unsafe logSumExp($0, states.slot(first + $1).logSumExps[h])
        }
      }
      if mode == .probed { head.fixedRows?.expectFixed(known) }
      if let sinks = layer.sinks {
        addSinks(sinks[step.blocks.heads(of: task.head)], to: known, headStep, rows: head.rows)
      }
      // Ends the plan of the layer before, of which nothing is left to do.
      planWorkspace.renew()
      planWorkspace.stages = workspace.stages
      planWorkspace.recorder = workspace.recorder
      let planStep = headStep.with(headStep.states, planWorkspace)
      return head.planning?.plan(planStep, known: known) ?? ReadStatistics.Head()
    case .share(let share):
      let tail = states.tail(head: task.head, share: share)
      tail.clear()
      return head.planning?.attend(share: share, headStep, tail: tail) ?? ReadStatistics.Head()
    }
  }

  /// Merges each head's parts, hands the result to the host and shows it to the policy.
  private func collect(
    _ call: AttentionCall, layer: LayerShape, states: StepStates, isLearned: Bool,
    trace: (note: AttentionTrace, recorders: [ReadRecorder?])?
  ) {
    let step = states.step
    let (g, d) = (layer.groupSize, step.dimension)
    let workspace = workspaces[0]
    for unit in 0..<step.headCount {
      let first = step.slot(head: unit)
      for slot in 1..<step.slots { states.slot(first).merge(states.slot(first + slot)) }
      if step.shares > 0 { states.addTail(head: unit, into: first, workspace: workspace) }
    }
    for (number, head) in heads(of: call.layer).enumerated() {
      let scratch = workspace.scope()
      let finished = states.group(of: number, in: scratch)
      let tokens = 0..<call.tokenCount
      if let trace, trace.note.watches(call.layer, layer.group(of: number)) {
        note(
          call, layer: layer, kvHead: number, finished: finished, recorders: trace.recorders,
          trace: trace.note)
      }
      let observed = tokens.filter {
        let position = call.firstPosition + $0
        return isLearned && shows(position: position, layer: call.layer)
          && head.wants(position: position, batchEnd: position + 1)
      }
      guard !observed.isEmpty || layer.sinks != nil else {
        hand(finished, to: call, kvHead: number, tokens: tokens, kernels: workspace.kernels)
        continue
      }
      workspace.stages?.begin(.index)
      let count = tokens.count * g
      let queries = unsafe scratch.floats(count * d)
      unsafe call.queries.gather(
        heads: layer.group(of: number), tokens: tokens, width: layer.headDimension, into: queries)
      if let offsets = head.rows.keyOffsets {
        unsafe workspace.kernels.unsafeAddProducts(
          of: offsets, with: FloatRows(queries, count: count, dimension: d), by: layer.scale,
          to: finished.logSumExps, scratch: scratch.floats(count))
      }
      hand(finished, to: call, kvHead: number, tokens: tokens, kernels: workspace.kernels)
      for token in observed {
        unsafe head.observing?.observe(
          ObservedToken(
            position: call.firstPosition + token, queries: queries + token * g * d, scale: layer.scale,
            outputs: finished.outputs + token * g * d, logSumExps: finished.logSumExps + token * g,
            groupSize: g, dimension: d),
          workspace: workspace)
      }
      workspace.stages?.begin(.merge)
    }
  }

  /// Hands a KV head's tokens to a trace, with the rows that their blocks have read.
  private func note(
    _ call: AttentionCall, layer: LayerShape, kvHead: Int, finished: OutputPointers,
    recorders: [ReadRecorder?], trace: AttentionTrace
  ) {
    let workspace = workspaces[0]
    let step = decoding.step
    let (g, d) = (layer.groupSize, layer.headDimension)
    let rows = rows(layer: call.layer, kvHead: kvHead)
    for token in 0..<call.tokenCount {
      let scratch = workspace.scope()
      let units = (0..<step.headCount).filter {
        step.blocks.kvHead(of: $0) == kvHead && step.blocks.tokens(of: $0).contains(token)
      }
      let parts = (0..<step.taskCount).filter { units.contains(step.task($0).head) }
        .compactMap { recorders[$0]?.rows }
      let read = unsafe scratch.rows(parts.reduce(0) { $0 + $1.count })
      for (place, row) in parts.joined().enumerated() { read[place] = row }
      let queries = unsafe scratch.floats(g * d)
      unsafe call.queries.gather(
        heads: layer.group(of: kvHead), tokens: CollectionOfOne(token), width: d, into: queries)
      unsafe trace.note(
        TracedHead(number: call.layer, layer: layer, kvHead: kvHead, position: call.firstPosition + token),
        queries: FloatRows(queries, count: g, dimension: d), logSumExps: finished.logSumExps + token * g,
        read: .listed(read), rows: rows, workspace: workspace)
    }
  }

  /// Adds the attention of a block's tokens to those of them that come before: only the first of the block has no more
  /// than the rows that all see.
  private func attendToDrafts(_ step: HeadStep, tokenCount: Int, rows: HeadRows) {
    guard tokenCount > 1 else { return }
    let scratch = step.workspace.scope()
    let count = step.queries.count
    let (begins, ends) = unsafe (scratch.rows(count), scratch.rows(count))
    begins.fill(0)
    for query in 0..<count { ends[query] = UInt32(query * tokenCount / count) }
    unsafe step.workspace.kernels.unsafePrefill(
      step.queries, scale: 1, to: rows.keyValues.from(rows.count - step.hiddenRows),
      visible: VisibleKeys(begins: begins.base, ends: ends.base, keyCount: tokenCount - 1),
      states: step.states, scratch: scratch.floats(Kernels.prefillScratchCount(dimension: rows.dimension)))
  }

  /// Adds the sinks of some heads to what is known of other keys `[tokens, heads]`, as far as it tells what still
  /// matters.
  private func addSinks(
    _ sinks: ArraySlice<Float>, to known: ListView<Float>, _ step: HeadStep, rows: HeadRows
  ) {
    let scratch = step.workspace.scope()
    let count = known.count
    let shifted = unsafe scratch.floats(count)
    for query in 0..<count {
      unsafe shifted[query] = sinks[sinks.startIndex + query % sinks.count]
    }
    if let offsets = rows.keyOffsets {
      unsafe step.workspace.kernels.unsafeAddProducts(
        of: offsets, with: step.queries, by: -1, to: shifted, scratch: scratch.floats(count))
    }
    for h in 0..<count { known[h] = unsafe logSumExp(known[h], shifted[h]) }
  }

  /// - Parameter blocks: of query heads of each KV head, each of which reads keys for itself. What tokens read together
  ///   counts once.
  private func count(_ call: AttentionCall, reads: some Sequence<ReadStatistics.Head>, blocks: Int = 1) {
    let layer = layerShape(of: call)
    if call.layer == firstLayer { statistics.steps += call.tokenCount }
    guard layer.slidingWindow == nil else { return }
    let visible = (0..<call.tokenCount).reduce(0) { $0 + tokenCounts[call.layer] + $1 + 1 }
    statistics.visibleKeys += visible * layer.kvHeadCount * blocks
    let rowBytes = rows(layer: call.layer, kvHead: 0).keyValueBytes
    for read in reads { statistics.add(read, rowBytes: rowBytes) }
  }
}

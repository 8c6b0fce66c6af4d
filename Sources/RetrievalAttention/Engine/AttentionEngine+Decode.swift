// One decode step of a layer: tasks for all heads in one run of the workers, and the merge of what they gave.

import AttentionKernels
import Platform
import VectorIndex

extension AttentionEngine {
  /// One token: each KV head as its policy says, in parts and shares where it can use several workers.
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
      groupSize: layer.groupSize, isDivided: fixed == nil && (isExact || layerHeads[0].takesBlocks))
    let step = DecodeStep(
      headCount: layerHeads.count * blocks.count,
      parts: isExact
        ? ExactHead.partCount(rows: layerHeads[0].rows.count, workers: workers)
        : fixed != nil ? 1 : layerHeads[0].partCount(workers: workers),
      shares: isExact ? 0 : layerHeads[0].shareCount,
      groupSize: blocks.size, dimension: layer.headDimension)
    decoding.prepare(step)
    let recorders = headObserver == nil ? [] : (0..<step.taskCount).map { _ in ReadRecorder() }
    let states = decoding.states(step)
    let (progress, planWorkspaces) = (decoding.progress, decoding.planWorkspaces)
    let reads = unsafe decoding.reads.list
    parallel.run(step.taskCount) { index, worker in
      let task = step.task(index)
      let workspace = workspaces[worker]
      let scratch = workspace.scope()
      let queries = unsafe scratch.floats(step.groupSize * step.dimension)
      unsafe call.queries.gather(
        heads: blocks.heads(of: task.head), tokens: 0..<1, width: layer.headDimension, into: queries)
      unsafe workspace.kernels.unsafeScale(queries, by: layer.scale, count: step.groupSize * step.dimension)
      workspace.recorder = recorders.isEmpty ? nil : recorders[index]
      workspace.stages?.begin(.wait)
      progress.wait(for: task, of: step)
      let running = unsafe StatePointers(count: step.groupSize, dimension: step.dimension, in: scratch)
      let headStep = unsafe HeadStep(
        queries: FloatRows(queries, count: step.groupSize, dimension: step.dimension), states: running,
        workspace: workspace, block: blocks.block(of: task.head))
      unsafe reads.base[index] = run(
        task, in: layer, head: layerHeads[blocks.kvHead(of: task.head)], headStep, mode,
        memory: (states, planWorkspaces[task.head]))
      running.finish(into: states.slot(step.slot(of: task)))
      progress.finished(task)
      workspace.stages?.begin(nil)
    }
    workspaces[0].stages?.begin(.merge)
    if let fixed { take(fixed, call: call, layer: layer, step: step, states: states) }
    collect(call, layer: layer, blocks: blocks, states: states, isLearned: !options.isExact)
    workspaces[0].stages?.begin(nil)
    unsafe count(call, reads: decoding.reads.list.first(step.taskCount), blocks: blocks.count)
    guard let headObserver, layer.slidingWindow == nil else { return }
    for number in layerHeads.indices {
      let tasks = (0..<step.taskCount).filter { blocks.kvHead(of: step.task($0).head) == number }
      let scratch = workspaces[0].scope()
      observe(
        call, kvHead: number, finished: states.group(of: number, blocks: blocks, in: scratch),
        recorders: (0..<blocks.count).map { block in
          tasks.filter { blocks.block(of: step.task($0).head) == block }.map { recorders[$0] }
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
      let known = unsafe scratch.list(step.groupSize)
      let first = step.slot(head: task.head)
      for h in 0..<step.groupSize {
        known[h] = unsafe (1..<step.parts).reduce(states.slot(first).logSumExps[h]) {
          unsafe logSumExp($0, states.slot(first + $1).logSumExps[h])
        }
      }
      if mode == .probed { head.fixedRows?.expectFixed(known) }
      if let sinks = layer.sinks {
        let heads = task.head * step.groupSize..<(task.head + 1) * step.groupSize
        addSinks(sinks[heads], to: known, headStep, rows: head.rows)
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
    _ call: AttentionCall, layer: LayerShape, blocks: QueryBlocks, states: StepStates, isLearned: Bool
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
      let finished = states.group(of: number, blocks: blocks, in: scratch)
      let position = call.firstPosition
      let isObserved =
        isLearned && shows(position: position, layer: call.layer)
        && head.wants(position: position, batchEnd: position + 1)
      guard isObserved || layer.sinks != nil else {
        hand(finished, to: call, kvHead: number, tokens: 0..<1, kernels: workspace.kernels)
        continue
      }
      workspace.stages?.begin(.index)
      let queries = unsafe scratch.floats(g * d)
      unsafe call.queries.gather(
        heads: layer.group(of: number), tokens: 0..<1, width: layer.headDimension, into: queries)
      if let offsets = head.rows.keyOffsets {
        unsafe workspace.kernels.unsafeAddProducts(
          of: offsets, with: FloatRows(queries, count: g, dimension: d), by: layer.scale,
          to: finished.logSumExps, scratch: scratch.floats(g))
      }
      hand(finished, to: call, kvHead: number, tokens: 0..<1, kernels: workspace.kernels)
      if isObserved {
        unsafe head.observing?.observe(
          ObservedToken(
            position: position, queries: queries, scale: layer.scale, outputs: finished.outputs,
            logSumExps: finished.logSumExps, groupSize: g, dimension: d),
          workspace: workspace)
      }
      workspace.stages?.begin(.merge)
    }
  }

  /// Adds sinks `[groupSize]` to what is known of other keys, as far as it tells what still matters.
  private func addSinks(
    _ sinks: ArraySlice<Float>, to known: ListView<Float>, _ step: HeadStep, rows: HeadRows
  ) {
    let scratch = step.workspace.scope()
    let shifted = unsafe scratch.floats(sinks.count)
    for (h, sink) in sinks.enumerated() { unsafe shifted[h] = sink }
    if let offsets = rows.keyOffsets {
      unsafe step.workspace.kernels.unsafeAddProducts(
        of: offsets, with: step.queries, by: -1, to: shifted, scratch: scratch.floats(sinks.count))
    }
    for h in 0..<sinks.count { known[h] = unsafe logSumExp(known[h], shifted[h]) }
  }

  /// - Parameter blocks: of each KV head, each of which reads keys for itself.
  private func count(_ call: AttentionCall, reads: some Sequence<ReadStatistics.Head>, blocks: Int = 1) {
    let layer = layerShape(of: call)
    if call.layer == firstLayer { statistics.steps += 1 }
    guard layer.slidingWindow == nil else { return }
    statistics.visibleKeys += (tokenCounts[call.layer] + 1) * layer.kvHeadCount * blocks
    let rowBytes = rows(layer: call.layer, kvHead: 0).keyValueBytes
    for read in reads { statistics.add(read, rowBytes: rowBytes) }
  }
}

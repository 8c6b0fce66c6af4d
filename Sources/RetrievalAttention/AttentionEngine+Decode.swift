// One decode step of a layer: tasks for all heads in one run of the workers, and the merge of what they gave.

import AttentionKernels
import VectorIndex

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

extension AttentionEngine {
  /// One token: each KV head as its policy says, in parts and shares where it can use several workers.
  ///
  /// - Parameter fixed: attention to rows in no index, computed at the same time.
  func decode(_ batch: LayerBatch, fixed: (any FixedAttention)?, parallel: ParallelRunner) {
    let layer = shape.layers[batch.layer]
    let layerHeads = heads[batch.layer]
    let isExact = ignoresIndex && layer.slidingWindow == nil
    let workers = parallel.workerCount
    let step = DecodeStep(
      headCount: layerHeads.count,
      parts: isExact
        ? ExactHead.partCount(rows: layerHeads[0].rows.count, workers: workers)
        : fixed != nil ? 1 : layerHeads[0].partCount(workers: workers),
      shares: isExact ? 0 : layerHeads[0].shareCount,
      groupSize: layer.groupSize, dimension: layer.headDimension)
    decoding.prepare(step)
    let recorders = headObserver == nil ? [] : (0..<step.taskCount).map { _ in ReadRecorder() }
    let states = decoding.states(step)
    let (progress, planWorkspaces) = (decoding.progress, decoding.planWorkspaces)
    decoding.reads.withUnsafeMutableBufferPointer { reads in
      let reads = reads.baseAddress!
      parallel.run(step.taskCount) { index, worker in
        let task = step.task(index)
        let workspace = workspaces[worker]
        let scratch = workspace.scope()
        let queries = scratch.floats(step.groupSize * step.dimension)
        batch.gatherQueries(
          kvHead: task.head, tokens: 0..<1, groupSize: step.groupSize, into: queries)
        workspace.kernels.unsafeScale(queries, by: layer.scale, count: step.groupSize * step.dimension)
        workspace.recorder = recorders.isEmpty ? nil : recorders[index]
        workspace.stages?.begin(.wait)
        progress.wait(for: task, of: step)
        reads[index] = run(
          task, of: step, head: layerHeads[task.head], isExact: isExact, isProbed: fixed != nil,
          queries: queries, states: states, workspace: workspace, planWorkspace: planWorkspaces[task.head])
        progress.finished(task)
        workspace.stages?.begin(nil)
      }
    }
    workspaces[0].stages?.begin(.merge)
    if let fixed { take(fixed, batch: batch, layer: layer, step: step, states: states) }
    collect(batch, layer: layer, step: step, states: states)
    workspaces[0].stages?.begin(nil)
    count(batch, tasks: step.taskCount)
    guard let headObserver, layer.slidingWindow == nil else { return }
    for number in layerHeads.indices {
      let tasks = (0..<step.taskCount).filter { step.task($0).head == number }
      observe(
        batch, kvHead: number, output: states.outputs(step.slot(head: number)),
        recorders: tasks.map { recorders[$0] }[...],
        bytes: tasks.reduce(0) {
          $0 + decoding.reads[$1].byteCount(rowBytes: shape.format.bytesPerRow(dimension: step.dimension))
        },
        workspace: workspaces[0], observer: headObserver)
    }
  }

  private func run(
    _ task: DecodeTask, of step: DecodeStep, head: any HeadPolicy, isExact: Bool, isProbed: Bool,
    queries: UnsafePointer<Float>, states: StepStates, workspace: Workspace, planWorkspace: Workspace
  ) -> ReadStatistics.Head {
    let scratch = workspace.scope()
    let (g, d) = (step.groupSize, step.dimension)
    let running = RunningStates(count: g, dimension: d, in: scratch)
    let slot = step.slot(of: task)
    let read: ReadStatistics.Head
    switch task.work {
    case .part(let part):
      workspace.stages?.begin(.exact)
      if isProbed, let head = head as? RetrievalHead {
        read = head.probe(queries, states: running, workspace: workspace)
        break
      }
      read =
        isExact
        ? ExactHead.attend(
          head.rows, part: part, of: step.parts, queries: queries, states: running, workspace: workspace)
        : head.attend(part: part, of: step.parts, queries: queries, states: running, workspace: workspace)
    case .plan:
      let known = scratch.floats(g)
      let first = step.slot(head: task.head)
      for h in 0..<g {
        known[h] = (1..<step.parts).reduce(states.logSumExps(first)[h]) {
          Self.logSumExp($0, states.logSumExps(first + $1)[h])
        }
      }
      if isProbed { (head as? RetrievalHead)?.expectFixed(known, count: g) }
      // Ends the plan of the layer before, of which nothing is left to do.
      planWorkspace.renew()
      planWorkspace.stages = workspace.stages
      planWorkspace.recorder = workspace.recorder
      read = head.plan(queries, known: known, states: running, workspace: planWorkspace)
    case .share(let share):
      let tail = states.tail(head: task.head, share: share)
      tail.clear()
      read = head.attend(
        share: share, queries: queries, states: running, tail: tail, workspace: workspace)
    }
    states.finish(running, slot: slot, kernels: workspace.kernels)
    return read
  }

  /// Merges each head's parts, hands the result to the host and shows it to the policy.
  private func collect(_ batch: LayerBatch, layer: LayerShape, step: DecodeStep, states: StepStates) {
    let (g, d) = (step.groupSize, step.dimension)
    let workspace = workspaces[0]
    for (number, head) in heads[batch.layer].enumerated() {
      let first = step.slot(head: number)
      for slot in 1..<step.slots { states.merge(first + slot, into: first, kernels: workspace.kernels) }
      if step.shares > 0 { states.addTail(head: number, into: first, workspace: workspace) }
      batch.scatterOutputs(states.outputs(first), kvHead: number, tokens: 0..<1, groupSize: g)
      let position = batch.firstPosition
      guard !ignoresIndex, head.wants(position: position, batchEnd: position + 1) else { continue }
      workspace.stages?.begin(.index)
      let scratch = workspace.scope()
      let queries = scratch.floats(g * d)
      batch.gatherQueries(kvHead: number, tokens: 0..<1, groupSize: g, into: queries)
      if let offsets = head.rows.keyOffsets {
        workspace.kernels.unsafeAddProducts(
          of: offsets, with: queries, count: g, dimension: d, by: layer.scale, to: states.logSumExps(first),
          scratch: scratch.floats(g))
      }
      head.observe(
        ObservedToken(
          position: position, queries: queries, scale: layer.scale, outputs: states.outputs(first),
          logSumExps: states.logSumExps(first)),
        workspace: workspace)
      workspace.stages?.begin(.merge)
    }
  }

  private func count(_ batch: LayerBatch, tasks: Int) {
    let layer = shape.layers[batch.layer]
    if batch.layer == 0 { statistics.steps += 1 }
    guard layer.slidingWindow == nil else { return }
    statistics.visibleKeys += (tokenCounts[batch.layer] + 1) * layer.kvHeadCount
    let rowBytes = shape.format.bytesPerRow(dimension: layer.headDimension)
    for index in 0..<tasks { statistics.add(decoding.reads[index], rowBytes: rowBytes) }
  }

  /// `log(exp(a) + exp(b))`.
  private static func logSumExp(_ a: Float, _ b: Float) -> Float {
    let highest = max(a, b)
    return highest > -.infinity ? highest + log(exp(a - highest) + exp(b - highest)) : highest
  }
}

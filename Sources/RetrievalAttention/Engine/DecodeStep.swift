// How a decode step of a layer is divided into tasks, and where their results go.

import AttentionKernels
import Platform
import Synchronization
import VectorIndex

/// Queries of a KV head that go through a step together: those of all its query heads and of all tokens that are
/// attended to at once, as long as they are not so many that they would choose too much between them, as where one
/// latent key has 128 query heads (DeepSeek V3).
struct QueryBlocks {
  /// Query heads of a KV head.
  let groupSize: Int
  /// Tokens that are attended to at once.
  let tokenCount: Int
  /// Query heads of a block.
  let headsEach: Int
  /// Most tokens of a block; the last one may have fewer.
  let tokensEach: Int

  /// A pass over keys with more queries than this chooses keys for queries that do not want them.
  private static let largest = 16
  private static let smallest = 4

  /// - Parameter isDivided: whether the heads of the layer take blocks at all.
  init(groupSize: Int, tokenCount: Int = 1, isDivided: Bool) {
    self.groupSize = groupSize
    self.tokenCount = tokenCount
    let sizes = stride(from: Self.largest, through: Self.smallest, by: -1)
    let fitting = isDivided && groupSize > Self.largest ? sizes.first { groupSize % $0 == 0 } : nil
    headsEach = fitting ?? groupSize
    guard isDivided else {
      tokensEach = tokenCount
      return
    }
    let most = fitting == nil ? max(1, Self.largest / groupSize) : 1
    let blocks = (tokenCount + most - 1) / most
    tokensEach = (tokenCount + blocks - 1) / blocks
  }

  /// Blocks that the query heads of a KV head are divided into.
  var headBlocks: Int { groupSize / headsEach }
  /// For each KV head.
  var count: Int { headBlocks * ((tokenCount + tokensEach - 1) / tokensEach) }
  /// Most queries of a block.
  var size: Int { headsEach * tokensEach }

  /// The KV head of a unit: units are the blocks of all KV heads, in order, those of the first tokens first.
  func kvHead(of unit: Int) -> Int { unit / count }
  /// Which block of its KV head a unit is.
  func block(of unit: Int) -> Int { unit % count }
  /// The query heads of a unit.
  func heads(of unit: Int) -> Range<Int> {
    let first = kvHead(of: unit) * groupSize + block(of: unit) % headBlocks * headsEach
    return first..<first + headsEach
  }
  /// The tokens of a unit.
  func tokens(of unit: Int) -> Range<Int> {
    let first = block(of: unit) / headBlocks * tokensEach
    return first..<min(tokenCount, first + tokensEach)
  }
  /// Queries of a unit, `[tokens, heads]`.
  func queryCount(of unit: Int) -> Int { tokens(of: unit).count * headsEach }
}

/// A task of one head.
struct DecodeTask {
  enum Work: Equatable {
    case part(Int)
    case plan
    case share(Int)
  }
  /// A KV head, or a block of its query heads: see ``QueryBlocks``.
  var head: Int
  var work: Work
}

/// Tasks of a decode step, in the order in which they start: the parts of all heads, then the plan of each, then the
/// shares of what was planned. A plan waits for the parts of its head, a share for the plan.
struct DecodeStep {
  var kvHeadCount: Int
  /// What goes through it together; each block counts as a head here.
  var blocks: QueryBlocks
  /// Of each head.
  var parts: Int
  /// Of each head; 0 without plans.
  var shares: Int
  var dimension: Int

  var headCount: Int { kvHeadCount * blocks.count }
  /// Most queries of a head.
  var groupSize: Int { blocks.size }
  private var plans: Int { shares > 0 ? 1 : 0 }
  var taskCount: Int { headCount * (parts + plans + shares) }
  /// States of a head: one for each task.
  var slots: Int { parts + plans + shares }
  /// Floats of a share's estimates.
  var tailSize: Int { TailSums.floatCount(queries: groupSize, dimension: dimension) }

  func task(_ index: Int) -> DecodeTask {
    if index < headCount * parts { return DecodeTask(head: index / parts, work: .part(index % parts)) }
    let index = index - headCount * parts
    if index < headCount { return DecodeTask(head: index, work: .plan) }
    return DecodeTask(head: (index - headCount) / shares, work: .share((index - headCount) % shares))
  }

  func slot(head: Int) -> Int { head * slots }

  func slot(of task: DecodeTask) -> Int {
    switch task.work {
    case .part(let part): slot(head: task.head) + part
    case .plan: slot(head: task.head) + parts
    case .share(let share): slot(head: task.head) + parts + 1 + share
    }
  }

  /// Tasks of its head that must be done before a task begins.
  func prerequisites(of task: DecodeTask) -> Int {
    switch task.work {
    case .part: 0
    case .plan: parts
    case .share: parts + 1
    }
  }
}

/// Normalized outputs and log-sum-exps of a step, in slots of one state for each query of the group, and the estimates
/// of each share.
struct StepStates {
  private let outputs: ListView<Float>
  private let logSumExps: ListView<Float>
  private let tails: ListView<Float>
  let step: DecodeStep
  private var groupSize: Int { step.groupSize }
  private var dimension: Int { step.dimension }

  init(
    _ step: DecodeStep, outputs: ListView<Float>, logSumExps: ListView<Float>, tails: ListView<Float>
  ) {
    self.outputs = outputs
    self.logSumExps = logSumExps
    self.tails = tails
    self.step = step
  }

  func slot(_ number: Int) -> OutputPointers {
    let count = step.blocks.queryCount(of: number / step.slots)
    return unsafe OutputPointers(
      outputs: outputs.from(number * groupSize * dimension).first(count * dimension).base,
      logSumExps: logSumExps.from(number * groupSize).first(count).base, count: count, dimension: dimension)
  }

  /// The merged states of all blocks of a KV head, `[tokens, its group, d]`: where they are, or together in `scratch`.
  func group(of kvHead: Int, in scratch: borrowing Scratch) -> OutputPointers {
    let blocks = step.blocks
    guard blocks.count > 1 else { return slot(step.slot(head: kvHead)) }
    let count = blocks.tokenCount * blocks.groupSize
    let whole = unsafe OutputPointers(
      outputs: scratch.floats(count * dimension), logSumExps: scratch.floats(count), count: count,
      dimension: dimension)
    var first = 0
    for block in 0..<blocks.count {
      let part = slot(step.slot(head: kvHead * blocks.count + block))
      unsafe (whole.outputs + first * dimension).update(from: part.outputs, count: part.count * dimension)
      unsafe (whole.logSumExps + first).update(from: part.logSumExps, count: part.count)
      first += part.count
    }
    return whole
  }

  func tail(head: Int, share: Int) -> TailSums {
    unsafe TailSums(
      tails.from((head * step.shares + share) * step.tailSize).first(step.tailSize).base,
      queries: step.blocks.queryCount(of: head), dimension: dimension)
  }

  /// Adds the estimates of all shares of a head to a state.
  func addTail(head: Int, into slot: Int, workspace: Workspace) {
    let scratch = workspace.scope()
    let tail = tail(head: head, share: 0)
    for share in 1..<step.shares { tail.add(self.tail(head: head, share: share), kernels: workspace.kernels) }
    let merged = self.slot(slot)
    let states = unsafe merged.running(sums: scratch.floats(merged.count))
    tail.add(to: states, kernels: workspace.kernels)
    states.finish(into: merged)
  }
}

/// Memory of decode steps, reused from one to the next.
struct DecodeMemory: ~Copyable {
  private var outputs = RowBuffer<Float>()
  private var logSumExps = RowBuffer<Float>()
  private var tails = RowBuffer<Float>()
  /// What each task read.
  private(set) var reads = RowBuffer<ReadStatistics.Head>()
  /// Where the plan of each head lies.
  private(set) var planWorkspaces: [Workspace] = []
  private(set) var progress = StepProgress(headCount: 1)
  /// The present one.
  private(set) var step = DecodeStep(
    kvHeadCount: 0, blocks: QueryBlocks(groupSize: 1, isDivided: false), parts: 0, shares: 0, dimension: 0)

  mutating func prepare(_ step: DecodeStep) {
    self.step = step
    outputs.reserve(step.headCount * step.slots * step.groupSize * step.dimension)
    logSumExps.reserve(step.headCount * step.slots * step.groupSize)
    tails.reserve(step.headCount * step.shares * step.tailSize)
    reads.removeAll()
    for _ in 0..<step.taskCount { reads.append(.init()) }
    while planWorkspaces.count < step.headCount { planWorkspaces.append(Workspace()) }
    if progress.headCount < step.headCount { progress = StepProgress(headCount: step.headCount) }
    progress.reset()
  }

  func states(_ step: DecodeStep) -> StepStates {
    unsafe StepStates(
      step, outputs: outputs.room, logSumExps: logSumExps.room, tails: tails.room)
  }
}

/// How many tasks of each head are done.
///
/// `@unchecked`: the pointer is never changed, and what it points to is atomic.
@safe final class StepProgress: @unchecked Sendable {
  let headCount: Int
  private let done: UnsafeMutablePointer<Atomic<Int>>
  /// Counters of two heads are on different cache lines.
  private static let stride = 16
  /// Looks before the thread lets others run.
  private static let spins = 2000

  init(headCount: Int) {
    self.headCount = headCount
    unsafe done = .allocate(capacity: headCount * Self.stride)
    for i in 0..<headCount * Self.stride { unsafe (done + i).initialize(to: Atomic(0)) }
  }

  deinit { unsafe done.deallocate() }

  func reset() {
    for head in 0..<headCount { unsafe done[head * Self.stride].store(0, ordering: .relaxed) }
  }

  func finished(_ task: DecodeTask) {
    unsafe done[task.head * Self.stride].add(1, ordering: .releasing)
  }

  /// Returns when what a task needs is there. Tasks start in order, so somebody is working on it.
  func wait(for task: DecodeTask, of step: DecodeStep) {
    let count = step.prerequisites(of: task)
    var looks = 0
    while unsafe done[task.head * Self.stride].load(ordering: .acquiring) < count {
      looks += 1
      if looks > Self.spins { sched_yield() }
    }
  }
}

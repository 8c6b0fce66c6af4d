// Retrieval attention for one KV head: sink and window exactly, everything between from the index.

import AttentionKernels
package import VectorIndex

/// Rows are kept in this order: sink, indexed rows (in the index's own order), window.
package final class RetrievalHead: HeadPolicy, DividedHead, PlanningHead, ObservingHead, UpdatedHead,
  MeasuredHead, EvictingHead, TunableHead, BlockedHead, DraftHead
{
  package let rows: HeadRows
  package internal(set) var index: any AttentionIndex {
    didSet { clusters = index as? ClusterIndex }
  }
  /// The index, when its work can be divided.
  private(set) var clusters: ClusterIndex?
  /// Clusters of rows that wait to be indexed, while a prompt is read: its rows follow those of ``index``.
  var draft: ClusterIndex?
  /// Of the decode step that is going on, for each block of queries.
  private let plans: [PlanBox]

  /// A place of its own for each block: they are planned at once.
  private final class PlanBox { var plan: ClusterPlan? }

  /// By how much fixed rows weigh more than those that are probed, `[groupSize]`: see ``probe(_:states:workspace:)``.
  var fixedExcess: [Float] = []
  package let samples: TrainingSamples
  let settings: IndexedSegments
  private let makeIndex: () throws(AttentionError) -> any AttentionIndex
  let rotary: RotaryEmbedding?

  /// - Parameter makeIndex: an empty index of any kind.
  package init(
    rows: HeadRows, settings: IndexedSegments, groupSize: Int, rotary: RotaryEmbedding?,
    makeIndex: @escaping () throws(AttentionError) -> any AttentionIndex
  ) throws(AttentionError) {
    self.rows = rows
    self.makeIndex = makeIndex
    index = try makeIndex()
    clusters = index as? ClusterIndex
    self.settings = settings
    self.rotary = rotary
    samples = TrainingSamples(groupSize: groupSize, dimension: rows.dimension)
    let blocks = QueryBlocks(
      groupSize: groupSize, tokenCount: AttentionEngine.maximumDrafts + 1, isDivided: true)
    plans = (0..<blocks.count).map { _ in PlanBox() }
  }

  /// An empty index that is searched as the present one is.
  func emptyIndex() throws(AttentionError) -> any AttentionIndex {
    let empty = try makeIndex()
    if let clusters { (empty as? ClusterIndex)?.search = clusters.search }
    return empty
  }

  package var search: ClusterIndex.SearchParameters? {
    get { clusters?.search }
    set {
      if let newValue { clusters?.search = newValue }
    }
  }

  var indexedEnd: Int { settings.sinkCount + index.rowCount }
  /// Rows of the window: everything behind the index.
  package var windowRows: Int { rows.count - indexedEnd }
  private var usesIndex: Bool { index.rowCount > 0 }

  package var takesBlocks: Bool { usesIndex && clusters != nil }

  package var indexedRowCount: Int { index.rowCount }
  package var indexByteCount: Int { index.byteCount + (draft?.byteCount ?? 0) }
  package var sampleByteCount: Int { samples.byteCount }

  package func partCount(workers: Int) -> Int {
    guard usesIndex else { return ExactHead.partCount(rows: rows.count, workers: workers) }
    return clusters == nil ? 1 : max(1, min(workers / 2, (rows.count - index.rowCount) / 128, 4))
  }

  /// One for each slice, however few workers there are: the same sums in the same order.
  package var shareCount: Int { usesIndex && clusters != nil ? ClusterPlan.maximumSlices : 0 }

  package func checkTruncation(to count: Int) throws(AttentionError) {
    guard index.rowCount == 0 && draft == nil || count >= movedEnd else {
      throw .cannotTruncate(to: count, indexed: movedEnd)
    }
  }

  /// The first row from which on all rows are in the order of the text.
  var movedEnd: Int {
    var end = rows.count
    while end > indexedEnd, unsafe Int(rows.positions[end - 1]) == end - 1 { end -= 1 }
    return end
  }

  package func truncate(to count: Int) throws(AttentionError) {
    try checkTruncation(to: count)
    rows.removeLast(to: count)
    samples.removeAll(from: count)
  }

  /// Sink and window, and all of an index whose work cannot be divided.
  package func attend(_ step: HeadStep) -> ReadStatistics.Head {
    guard usesIndex else { return ExactHead.attend(step, to: rows) }
    let (queries, states, workspace) = (step.queries, step.states, step.workspace)
    let sink = settings.sinkCount
    let fixed = rows.count - step.hiddenRows - index.rowCount
    let range = fixed * step.part / step.parts..<fixed * (step.part + 1) / step.parts
    let inSink = range.clamped(to: 0..<sink)
    attend(inSink, queries: queries, states: states, workspace: workspace)
    if range.upperBound > sink {
      let begin = max(range.lowerBound, sink) + index.rowCount
      attend(
        begin..<range.upperBound + index.rowCount, queries: queries, states: states, workspace: workspace)
    }
    var read = ReadStatistics.Head(fixed: range.count)
    guard clusters == nil else { return read }
    workspace.recorder?.offset = sink
    workspace.stages?.begin(.retrieved)
    add(index.attend(indexCall(step), states: states), to: &read)
    return read
  }

  private func attend(
    _ range: Range<Int>, queries: FloatRows, states: StatePointers, workspace: Workspace
  ) {
    guard !range.isEmpty else { return }
    states.attend(queries, to: range, of: rows, workspace: workspace)
    workspace.recorder?.read(range)
  }

  package func plan(_ step: HeadStep, known: ListView<Float>) -> ReadStatistics.Head {
    let (queries, states, workspace) = (step.queries, step.states, step.workspace)
    var read = ReadStatistics.Head()
    guard let clusters else { return read }
    let g = states.count
    let scratch = workspace.lasting
    let (maxima, sums) = unsafe (scratch.floats(g), scratch.floats(g))
    unsafe maxima.update(from: known.base, count: g)
    // A state with keys, brought to a sum of one; one without is empty.
    for h in 0..<g { unsafe sums[h] = known[h] > -.infinity ? 1 : 0 }
    workspace.recorder?.offset = settings.sinkCount
    let made = unsafe clusters.plan(
      QueryGroup(queries), rows: indexedRows,
      known: StatePointers(
        maxima: maxima, sums: sums, accumulators: states.accumulators, count: g, dimension: states.dimension),
      states: states, in: scratch, recorder: workspace.recorder)
    plans[step.block].plan = made
    add(made.read, to: &read)
    return read
  }

  package func attend(share: Int, _ step: HeadStep, tail: TailSums) -> ReadStatistics.Head {
    let (states, workspace) = (step.states, step.workspace)
    var read = ReadStatistics.Head()
    guard let clusters, let plan = plans[step.block].plan, share < plan.sliceCount else { return read }
    workspace.recorder?.offset = settings.sinkCount
    add(
      clusters.attend(
        indexCall(step),
        slice: share, of: plan, states: states, tail: tail),
      to: &read)
    return read
  }

  private func indexCall(_ step: HeadStep) -> IndexCall {
    IndexCall(
      QueryGroup(step.queries), rows: indexedRows,
      dimension: rows.dimension, workspace: step.workspace, recorder: step.workspace.recorder)
  }

  private var indexedRows: IndexRows {
    rows.indexRows(from: settings.sinkCount, count: index.rowCount)
  }

  private func add(_ count: ReadCount, to read: inout ReadStatistics.Head) {
    read.retrieved += count.retrieved
    read.indexBytes += count.bytes - count.retrieved * rows.keyValueBytes
  }

  package func wants(position: Int, batchEnd: Int) -> Bool {
    samples.wants(position: position, batchEnd: batchEnd)
  }

  package func observe(_ token: ObservedToken, workspace: Workspace) {
    unsafe samples.record(
      position: token.position, queries: token.queries, scale: token.scale, outputs: token.outputs,
      logSumExps: token.logSumExps, workspace: workspace)
  }

  package func needsUpdate(_ moment: UpdateMoment) -> Bool {
    moment == .betweenBatches
      ? nextSegment(finishing: false) > 0 || draftableRows > 0
      : nextSegment(finishing: true) > 0 || (draft?.rowCount ?? 0) > 0
  }

  package func update(_ moment: UpdateMoment, askPosition: Int, workspace: Workspace) {
    updateIndex(finishing: moment != .betweenBatches, askPosition: askPosition, workspace: workspace)
    if moment == .betweenBatches {
      updateDraft(workspace: workspace)
    } else {
      draft = nil
    }
  }

  /// Rows that the next call of ``updateIndex(finishing:askPosition:workspace:)`` would insert first; 0 for none.
  package func nextSegment(finishing: Bool) -> Int {
    let waiting = windowRows - settings.windowCount
    if index.rowCount == 0, waiting < max(1, settings.minimumIndexedCount) { return 0 }
    if waiting >= settings.segmentCount { return settings.segmentCount }
    if index.rowCount == 0 { return finishing ? waiting : 0 }
    return finishing && waiting >= settings.insertionCount ? waiting : 0
  }

  /// Moves rows that left the window into the index, in segments.
  ///
  /// - Parameters:
  ///   - finishing: also insert a segment that is not full: at the end of a prompt, and when generated tokens
  ///     have filled a block.
  ///   - askPosition: where the queries to come will stand; the sample is moved there.
  package func updateIndex(finishing: Bool, askPosition: Int, workspace: Workspace) {
    var count = nextSegment(finishing: finishing)
    guard count > 0 else { return }
    if let search { draft = draft?.nextDraft(search: search) }
    let scratch = workspace.scope()
    let training = samples.trainingSet(
      askPosition: askPosition, rotary: rotary, keyOffsets: rows.keyOffsets, in: scratch)
    while count > 0 {
      let first = indexedEnd
      rows.willChange(from: first)
      unsafe index.insert(
        NewRows(
          keys: rows.keys.from(first), values: rows.values.from(first), positions: rows.positions + first,
          count: count),
        all: rows.indexRows(from: settings.sinkCount, count: index.rowCount + count),
        training: training, workspace: workspace)
      count = nextSegment(finishing: finishing)
    }
  }
}

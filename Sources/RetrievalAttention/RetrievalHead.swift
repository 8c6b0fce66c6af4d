// Retrieval attention for one KV head: sink and window exactly, everything between from the index.

package import VectorIndex

/// Rows are kept in this order: sink, indexed rows (in the index's own order), window.
package final class RetrievalHead: HeadPolicy {
  package let rows: HeadRows
  package internal(set) var index: any AttentionIndex
  package let samples: TrainingSamples
  let settings: IndexedSegments
  private let makeIndex: () throws(AttentionError) -> any AttentionIndex
  private let rotary: RotaryEmbedding?

  /// - Parameter makeIndex: an empty index of any kind.
  package init(
    rows: HeadRows, settings: IndexedSegments, groupSize: Int, rotary: RotaryEmbedding?,
    makeIndex: @escaping () throws(AttentionError) -> any AttentionIndex
  ) throws(AttentionError) {
    self.rows = rows
    self.makeIndex = makeIndex
    index = try makeIndex()
    self.settings = settings
    self.rotary = rotary
    samples = TrainingSamples(groupSize: groupSize, dimension: rows.dimension)
  }

  /// An empty index that is searched as the present one is.
  func emptyIndex() throws(AttentionError) -> any AttentionIndex {
    let empty = try makeIndex()
    if let clusters = empty as? ClusterIndex, let present = index as? ClusterIndex {
      clusters.search = present.search
    }
    return empty
  }

  private var indexedEnd: Int { settings.sinkCount + index.rowCount }
  /// Rows of the window: everything behind the index.
  package var windowRows: Int { rows.count - indexedEnd }
  private var usesIndex: Bool { index.rowCount > 0 }

  package var indexedRowCount: Int { index.rowCount }
  package var indexByteCount: Int { index.byteCount }
  package var sampleByteCount: Int { samples.byteCount }

  package func partCount(workers: Int) -> Int {
    usesIndex ? 1 : ExactHead.partCount(rows: rows.count, workers: workers)
  }

  package func checkTruncation(to count: Int) throws(AttentionError) {
    guard index.rowCount == 0 || count >= indexedEnd else {
      throw .cannotTruncate(to: count, indexed: indexedEnd)
    }
  }

  package func truncate(to count: Int) throws(AttentionError) {
    try checkTruncation(to: count)
    rows.removeLast(to: count)
    samples.removeAll(from: count)
  }

  package func attend(
    part: Int, of parts: Int, queries: UnsafePointer<Float>, states: RunningStates, workspace: Workspace
  ) -> ReadStatistics.Head {
    guard usesIndex else {
      return ExactHead.attend(
        rows, part: part, of: parts, queries: queries, states: states, workspace: workspace)
    }
    let d = rows.dimension
    let sink = settings.sinkCount
    let window = windowRows
    states.attend(queries, keys: rows.keys, values: rows.values, rows: sink, workspace: workspace)
    states.attend(
      queries, keys: rows.keys + indexedEnd * d, values: rows.values + indexedEnd * d, rows: window,
      workspace: workspace)
    if let recorder = workspace.recorder {
      recorder.read(0..<sink)
      recorder.read(indexedEnd..<rows.count)
      recorder.offset = sink
    }
    let read = index.attend(
      QueryGroup(queries: queries, count: states.count),
      rows: IndexRows(keys: rows.keys + sink * d, values: rows.values + sink * d, count: index.rowCount),
      states: StatePointers(maxima: states.maxima, sums: states.sums, accumulators: states.accumulators),
      workspace: workspace, recorder: workspace.recorder)
    return ReadStatistics.Head(
      retrieved: read.retrieved, fixed: sink + window, indexBytes: read.bytes - read.retrieved * 4 * d)
  }

  package func wants(position: Int, batchEnd: Int) -> Bool {
    TrainingSamples.wants(position: position, batchEnd: batchEnd)
  }

  package func observe(_ token: ObservedToken, workspace: Workspace) {
    samples.record(
      position: token.position, queries: token.queries, scale: token.scale, outputs: token.outputs,
      logSumExps: token.logSumExps, workspace: workspace)
  }

  package func needsUpdate(_ moment: UpdateMoment) -> Bool {
    nextSegment(finishing: moment != .betweenBatches) > 0
  }

  package func update(_ moment: UpdateMoment, askPosition: Int, workspace: Workspace) {
    updateIndex(finishing: moment != .betweenBatches, askPosition: askPosition, workspace: workspace)
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
    let training = samples.trainingSet(askPosition: askPosition, rotary: rotary, workspace: workspace)
    while count > 0 {
      let first = indexedEnd
      let d = rows.dimension
      let sink = settings.sinkCount
      rows.willChange(from: first)
      index.insert(
        NewRows(
          keys: rows.keys + first * d, values: rows.values + first * d, positions: rows.positions + first,
          count: count),
        all: IndexRows(
          keys: rows.keys + sink * d, values: rows.values + sink * d, count: index.rowCount + count),
        training: training, workspace: workspace)
      count = nextSegment(finishing: finishing)
    }
  }
}

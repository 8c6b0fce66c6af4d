// One KV head: what exact attention gives, and how close each kind of index comes.

import AttentionKernels
import RetrievalAttention
import VectorIndex

/// Measures indexes over the rows of one KV head between sink and window.
///
/// Indexed are the rows from the sink to the window of the first query. Rows between the end of the index and a later
/// query are attended to exactly, with its window.
final class HeadMeasurement {
  /// What one setting of an index gave, in the order of queries, heads of a group together.
  struct Samples {
    /// Relative errors, `[queries, groupSize]`.
    var errors: [Double] = []
    /// Recalls, `[queries, groupSize]`.
    var recalls: [Double] = []
    /// Keys scored for a group as a share of the indexed rows, `[queries]`.
    var scored: [Double] = []
    /// For each query head, `[queries]`.
    var bytes: [Double] = []
    /// For each query head, `[timed queries]`.
    var microseconds: [Double] = []
    var buildSeconds = 0.0
    /// For the rows that were inserted last; 0 without any.
    var insertSeconds = 0.0
    var indexBytes = 0
  }

  let indexed: Range<Int>
  private let head: CapturedHead
  private let settings: IndexBenchmark.Settings
  private let workspace: Workspace
  private let eviction: CacheEviction
  private let references: [Float]  // [queries, groupSize, d]
  private let topRows: [[Int]]  // [queries * groupSize], offsets into the indexed rows
  private let training: (queries: [Float], outputs: [Float], logSumExps: [Float])

  private var d: Int { head.dimension }
  private var group: Int { head.groupSize }

  init(
    head: CapturedHead, settings: IndexBenchmark.Settings, rotary: RotaryEmbedding?, workspace: Workspace,
    eviction: CacheEviction
  ) throws {
    let askPosition = head.queryPositions.min() ?? 0
    let visible = head.visibleRows(at: askPosition)
    let end = visible - settings.window
    guard end > settings.sink else {
      throw IndexBenchmarkError.nothingToIndex(
        head: head.name, visible: visible, sink: settings.sink, window: settings.window)
    }
    indexed = settings.sink..<end
    self.head = head
    self.settings = settings
    self.workspace = workspace
    self.eviction = eviction
    references =
      Self.attention(head, queries: head.queries, positions: head.queryPositions, workspace: workspace)
      .outputs
    topRows = Self.topRows(head, indexed: indexed, k: settings.recallCount, workspace: workspace)
    // Outputs belong to where a query stood; the index learns it as if it stood where questions will be asked.
    let attention = Self.attention(
      head, queries: head.trainingQueries, positions: head.trainingPositions, workspace: workspace)
    var moved = head.trainingQueries
    let width = head.groupSize * head.dimension
    unsafe moved.withUnsafeMutableBufferPointer { rows in
      guard let start = rows.baseAddress, let rotary else { return }
      for (index, position) in head.trainingPositions.enumerated() {
        unsafe rotary.shift(
          start + index * width, count: head.groupSize, stride: head.dimension, by: askPosition - position)
      }
    }
    training = (moved, attention.outputs, attention.logSumExps)
  }

  /// Builds an index and measures it at all its settings.
  func measure(_ kind: IndexKind, onPoint: (Int) throws -> Void) throws -> [Samples] {
    let index = try kind.makeIndex(dimension: d)
    let rows = WorkingRows(head)
    let clock = ContinuousClock()
    let last = min(max(0, settings.inserted), indexed.count)
    let buildSeconds =
      clock.measure { insert(into: index, rows: rows, upTo: indexed.count - last) } / .seconds(1)
    let insertSeconds =
      clock.measure { insert(into: index, rows: rows, upTo: indexed.count) } / .seconds(1)
    var origins = [Int](repeating: 0, count: indexed.count)
    for row in origins.indices {
      origins[row] = unsafe Int(rows.positions[indexed.lowerBound + row]) - indexed.lowerBound
    }
    let recorder = ReadRecorder()
    var wasRead = [Bool](repeating: false, count: indexed.count)
    return try kind.points.enumerated().map { number, point in
      point.apply(to: index)
      var samples = Samples()
      samples.buildSeconds = buildSeconds
      samples.insertSeconds = last > 0 ? insertSeconds : 0
      samples.indexBytes = index.byteCount
      for query in head.queryPositions.indices {
        recorder.removeAll()
        let scratch = workspace.scope()
        let (read, _, outputs) = unsafe attend(
          query, index: index, rows: rows, recorder: recorder, in: scratch)
        unsafe compare(query, outputs, into: &samples)
        for row in recorder.rows { wasRead[origins[Int(row)]] = true }
        for h in 0..<group {
          let top = topRows[query * group + h]
          samples.recalls.append(Double(top.count { wasRead[$0] }) / Double(top.count))
        }
        for row in recorder.rows { wasRead[origins[Int(row)]] = false }
        samples.scored.append(Double(read.scored) / Double(indexed.count))
        samples.bytes.append(Double(read.bytes) / Double(group))
        if isTimed(query) {
          let scratch = workspace.scope()
          let time = unsafe attend(query, index: index, rows: rows, recorder: nil, in: scratch).time
          samples.microseconds.append(time / .microseconds(1) / Double(group))
        }
      }
      try onPoint(number)
      return samples
    }
  }

  /// Timed queries are spread over all of them.
  private func isTimed(_ query: Int) -> Bool {
    let (count, timed) = (head.queryPositions.count, min(settings.timedQueries, head.queryPositions.count))
    return (query + 1) * timed / count > query * timed / count
  }

  /// In segments, as a context grows, until the index has `total` rows.
  private func insert(into index: any AttentionIndex, rows: WorkingRows, upTo total: Int) {
    let start = indexed.lowerBound
    // One element more: an empty array has no address.
    unsafe (training.queries + [0]).withUnsafeBufferPointer { queries in
      unsafe (training.outputs + [0]).withUnsafeBufferPointer { outputs in
        unsafe (training.logSumExps + [0]).withUnsafeBufferPointer { logSumExps in
          let learned = unsafe TrainingQueries(
            queries: queries.baseAddress!, outputs: outputs.baseAddress!, logSumExps: logSumExps.baseAddress!,
            count: training.logSumExps.count, groupSize: group)
          while index.rowCount < total {
            let count = min(settings.segment, total - index.rowCount)
            let first = start + index.rowCount
            unsafe index.insert(
              NewRows(
                keys: rows.keys.from(first), values: rows.values.from(first),
                positions: rows.positions + first, count: count),
              all: IndexRows(
                keys: rows.keys.from(start), values: rows.values.from(start), count: index.rowCount + count),
              training: learned, workspace: workspace)
          }
        }
      }
    }
  }

  /// Attends to sink and window, then through the index; the outputs are in `result`. Without a recorder the
  /// caches are emptied in between.
  private func attend(
    _ query: Int, index: any AttentionIndex, rows: WorkingRows, recorder: ReadRecorder?,
    in result: borrowing Scratch
  ) -> (read: ReadCount, time: Duration, outputs: UnsafePointer<Float>) {
    let outputs = unsafe result.floats(group * d)
    let scratch = workspace.scope()
    let states = unsafe StatePointers(count: group, dimension: d, in: scratch)
    return unsafe head.queries.withUnsafeBufferPointer { all in
      let queries = unsafe all.baseAddress! + query * group * d
      let end = indexed.upperBound
      let asked = unsafe FloatRows(queries, count: group, dimension: d)
      unsafe states.attend(
        asked, to: KeyValueRows(keys: rows.keys, values: rows.values), count: indexed.lowerBound,
        workspace: workspace)
      unsafe states.attend(
        asked, to: KeyValueRows(keys: rows.keys, values: rows.values).from(end),
        count: head.visibleRows(at: head.queryPositions[query]) - end, workspace: workspace)
      if recorder == nil { eviction.evict() }
      var read = ReadCount()
      let time = ContinuousClock().measure {
        read = unsafe index.attend(
          IndexCall(
            QueryGroup(queries: queries, count: group),
            rows: IndexRows(
              keys: rows.keys.from(indexed.lowerBound), values: rows.values.from(indexed.lowerBound),
              count: indexed.count),
            dimension: d, workspace: workspace, recorder: recorder),
          states: states)
      }
      unsafe states.finish(
        into: OutputPointers(
          outputs: outputs, logSumExps: scratch.floats(group), count: group, dimension: d))
      return unsafe (read, time, UnsafePointer(outputs))
    }
  }

  /// Appends the errors of outputs `[groupSize, d]`.
  private func compare(_ query: Int, _ outputs: UnsafePointer<Float>, into samples: inout Samples) {
    for h in 0..<group {
      var (difference, norm) = (0.0, 0.0)
      for i in 0..<d {
        let expected = Double(references[(query * group + h) * d + i])
        let error = unsafe Double(outputs[h * d + i]) - expected
        difference += error * error
        norm += expected * expected
      }
      samples.errors.append((difference / max(norm, 1e-30)).squareRoot())
    }
  }
}

extension HeadMeasurement {
  /// Exact causal attention of queries `[count, groupSize, d]`: outputs of the same shape and natural log-sum-exps
  /// `[count, groupSize]`.
  private static func attention(
    _ head: CapturedHead, queries: [Float], positions: [Int], workspace: Workspace
  ) -> (outputs: [Float], logSumExps: [Float]) {
    let (d, group) = (head.dimension, head.groupSize)
    var outputs = [Float](repeating: 0, count: queries.count)
    var logSumExps = [Float](repeating: 0, count: positions.count * group)
    let total = logSumExps.count
    let block = Kernels.preferredPrefillRows
    for first in stride(from: 0, to: total, by: block) {
      let count = min(block, total - first)
      let scratch = workspace.scope()
      let states = unsafe StatePointers(count: count, dimension: d, in: scratch)
      let begins = unsafe scratch.indices(count)
      let ends = unsafe scratch.indices(count)
      for row in 0..<count {
        unsafe begins[row] = 0
        unsafe ends[row] = UInt32(head.visibleRows(at: positions[(first + row) / group]))
      }
      unsafe queries.withUnsafeBufferPointer { queries in
        unsafe head.keys.withUnsafeBufferPointer { keys in
          unsafe head.values.withUnsafeBufferPointer { values in
            unsafe workspace.kernels.unsafePrefill(
              FloatRows(queries.baseAddress! + first * d, count: count, dimension: d), scale: 1,
              to: KeyValueRows(
                keys: PackedRows(keys.baseAddress!, stride: d),
                values: PackedRows(values.baseAddress!, stride: d)),
              visible: VisibleKeys(begins: begins, ends: ends, keyCount: head.tokenCount), states: states,
              scratch: scratch.floats(Kernels.prefillScratchCount(dimension: d)))
          }
        }
      }
      unsafe outputs.withUnsafeMutableBufferPointer { outputs in
        unsafe logSumExps.withUnsafeMutableBufferPointer { logSumExps in
          unsafe states.finish(
            into: OutputPointers(
              outputs: outputs.baseAddress! + first * d, logSumExps: logSumExps.baseAddress! + first,
              count: count, dimension: d))
        }
      }
    }
    return (outputs, logSumExps)
  }

  /// The indexed rows of the highest scores of each query head: at most k.
  private static func topRows(
    _ head: CapturedHead, indexed: Range<Int>, k: Int, workspace: Workspace
  ) -> [[Int]] {
    let scratch = workspace.scope()
    let (d, n) = (head.dimension, indexed.count)
    let kept = min(k, n)
    let scores = unsafe scratch.floats(head.groupSize * n)
    let top = unsafe scratch.indices(kept)
    return head.queryPositions.indices.flatMap { query in
      unsafe head.queries.withUnsafeBufferPointer { queries in
        unsafe head.keys.withUnsafeBufferPointer { keys in
          unsafe workspace.kernels.unsafeDot(
            FloatRows(queries.baseAddress! + query * head.groupSize * d, count: head.groupSize, dimension: d),
            with: PackedRows(keys.baseAddress! + indexed.lowerBound * d, stride: d), .first(n), scores: scores
          )
        }
      }
      return (0..<head.groupSize).map { h in
        _ = unsafe HighestScores.select(kept, of: scores + h * n, count: n, into: top)
        return (0..<kept).map { unsafe Int(top[$0]) }
      }
    }
  }
}

/// Rows that an index may put in another order; the captured ones stay as they are. It owns their memory.
@safe private final class WorkingRows {
  let keys: PackedRows
  let values: PackedRows
  let positions: UnsafeMutablePointer<UInt32>
  private let memory: UnsafeMutablePointer<UInt16>

  init(_ head: CapturedHead) {
    let dimension = head.keys.count / max(1, head.tokenCount)
    unsafe memory = .allocate(capacity: head.keys.count + head.values.count)
    unsafe memory.initialize(from: head.keys, count: head.keys.count)
    unsafe (memory + head.keys.count).initialize(from: head.values, count: head.values.count)
    keys = unsafe PackedRows(memory, stride: dimension)
    values = unsafe PackedRows(memory + head.keys.count, stride: dimension)
    unsafe positions = .allocate(capacity: head.tokenCount)
    for row in 0..<head.tokenCount { unsafe (positions + row).initialize(to: UInt32(row)) }
  }

  deinit {
    unsafe memory.deallocate()
    unsafe positions.deallocate()
  }
}

// Kinds of index side by side, on the vectors of a real model.

import AttentionKernels
import Evaluation
import VectorIndex

/// Measures kinds of index on captured heads: recall, output error, bytes and time.
///
///     let input = try IndexBenchmarkInput(directory: "capture")
///     let benchmark = try IndexBenchmark(input: input)
///     try benchmark.run()
///     let points = benchmark.report.points
///
/// One thread. Sink and window are attended to first and exactly, whatever the index; they are in the errors, but
/// not in bytes and times.
package final class IndexBenchmark {
  package struct Settings: Sendable {
    /// Names of ``IndexCatalog/names``.
    package var kinds = IndexCatalog.names
    package var sweep = IndexSweep()
    /// The k of recall.
    package var recallCount = 100
    /// First rows, which are not indexed.
    package var sink = 128
    /// Last rows before a query and its own, which are not indexed.
    package var window = 512
    /// Most rows inserted at once: a long context is indexed in segments.
    package var segment = 8192
    /// Rows that are inserted last, in one go, and timed apart: as generated tokens are.
    package var inserted = 0
    /// Queries of a head that are timed, spread over all.
    package var timedQueries = 16
    /// Bytes walked through before each timed call; nil for a quarter more than the largest cache.
    package var evictedBytes: Int?

    package init() {}
  }

  package enum Progress: Sendable {
    /// Settings measured, over all heads.
    case measured(head: String, index: String, done: Int, total: Int)
  }

  private let input: IndexBenchmarkInput
  private let settings: Settings
  private let kinds: [IndexKind]
  private let eviction: CacheEviction
  private let workspace = Workspace()
  private var samples: [[[HeadMeasurement.Samples]]]  // [kinds][points][heads]
  private var header: IndexBenchmarkReport.Header

  /// Throws ``IndexBenchmarkError`` for settings that make no sense.
  package init(input: IndexBenchmarkInput, settings: Settings = Settings()) throws(IndexBenchmarkError) {
    self.input = input
    self.settings = settings
    try Self.check(settings)
    var kinds: [IndexKind] = []
    for name in settings.kinds {
      guard let kind = IndexCatalog.kind(name, sweep: settings.sweep) else {
        throw .unknownKind(name, known: IndexCatalog.names)
      }
      kinds.append(kind)
    }
    self.kinds = kinds
    samples = kinds.map { $0.points.map { _ in [] } }
    let evictedBytes = settings.evictedBytes ?? CacheEviction.defaultByteCount
    eviction = CacheEviction(byteCount: evictedBytes)
    header = IndexBenchmarkReport.Header(
      input: input.name, heads: 0, headDimension: 0, groupSize: 0, candidates: 0, queries: 0,
      timedQueries: 0, trainingQueries: 0, k: settings.recallCount, sink: settings.sink,
      window: settings.window,
      segment: settings.segment, threads: 1, simd: SIMDLevel.active.rawValue, evictedBytes: evictedBytes,
      interrupted: true)
  }

  private static func check(_ settings: Settings) throws(IndexBenchmarkError) {
    let most = TokenCounts.maximum
    for (name, value, range) in [
      ("k of recall", settings.recallCount, 1...most), ("sink", settings.sink, 0...most),
      ("window", settings.window, 1...most), ("segment", settings.segment, 1...most),
      ("number of timed queries", settings.timedQueries, 1...most),
      ("evicted bytes", settings.evictedBytes ?? 0, 0...(1 << 36)),
      ("number of kinds", settings.kinds.count, 1...most),
    ] + settings.sweep.k.map({ ("k", $0, 1...most) })
      + settings.sweep.beamWidth.map({ ("beam width", $0, 1...most) })
      + settings.sweep.probes.map({ ("probes", $0, 1...most) }) where !range.contains(value)
    {
      throw .invalidSetting(name: name, value: "\(value)", requirement: "in \(range)")
    }
    for tolerance in settings.sweep.tolerance where !(tolerance.isFinite && tolerance >= 0) {
      throw .invalidSetting(name: "tolerance", value: "\(tolerance)", requirement: "zero or positive")
    }
  }

  /// What has been measured so far; complete after ``run(onProgress:)``, of fewer heads when that threw.
  package var report: IndexBenchmarkReport {
    var points: [IndexBenchmarkReport.Point] = []
    for (kind, ofKind) in zip(kinds, samples) {
      for (point, heads) in zip(kind.points, ofKind) where !heads.isEmpty {
        points.append(
          IndexBenchmarkReport.Point(
            index: kind.name, parameters: point.parameters, groupSize: header.groupSize, heads: heads))
      }
    }
    return IndexBenchmarkReport(header: header, points: points)
  }

  /// Checks before a run what can be known of whether ``IndexBenchmarkReport/merge(_:)`` will take another report.
  ///
  /// Throws ``IndexBenchmarkError/cannotMerge(field:ours:theirs:)``.
  package func expectMergeable(_ other: IndexBenchmarkReport) throws(IndexBenchmarkError) {
    var expected = header
    expected.heads = input.headCount
    try expected.expectSame(
      [("heads", \.heads), ("k", \.k), ("sink", \.sink), ("window", \.window)], as: other.header)
  }

  /// Throws ``NumpyFile/NumpyError``, ``CaptureError``, ``IndexBenchmarkError`` or, when its task is cancelled,
  /// `CancellationError`; ``report`` then covers the heads before.
  package func run(onProgress: (Progress) -> Void = { _ in }) throws {
    let pointCount = kinds.reduce(0) { $0 + $1.points.count }
    var done = header.heads * pointCount
    for number in header.heads..<input.headCount {
      let head = try input.load(number)
      let measurement = try HeadMeasurement(
        head: head, settings: settings, rotary: input.rope(of: head).rotary, workspace: workspace,
        eviction: eviction)
      try adopt(head, candidates: measurement.indexed.count)
      let measured = try kinds.map { kind in
        try Task.checkCancellation()
        return try measurement.measure(kind) { _ in
          done += 1
          onProgress(
            .measured(
              head: head.name, index: kind.name, done: done, total: input.headCount * pointCount))
          try Task.checkCancellation()
        }
      }
      for kind in kinds.indices {
        for point in measured[kind].indices { samples[kind][point].append(measured[kind][point]) }
      }
      header.heads += 1
    }
    header.interrupted = false
  }

  /// Heads are averaged, so they must be alike.
  private func adopt(_ head: CapturedHead, candidates: Int) throws {
    let found = [
      ("head dimension", head.dimension, header.headDimension),
      ("group size", head.groupSize, header.groupSize),
      ("number of queries", head.queryPositions.count, header.queries),
      ("number of candidates", candidates, header.candidates),
    ]
    if header.heads > 0 {
      for (name, value, first) in found where value != first {
        throw IndexBenchmarkError.unlikeHeads(head: head.name, name: name, value: value, first: first)
      }
    }
    header.headDimension = head.dimension
    header.groupSize = head.groupSize
    header.queries = head.queryPositions.count
    header.timedQueries = min(settings.timedQueries, head.queryPositions.count)
    header.trainingQueries = head.trainingPositions.count
    header.candidates = candidates
  }
}

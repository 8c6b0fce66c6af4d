// What a benchmark of indexes found, as JSON has it.

import Evaluation
import Foundation

/// The conditions of a run and what each index did at each setting. Other libraries' results have the same form.
package struct IndexBenchmarkReport: Sendable, Hashable, Codable {
  package struct Header: Sendable, Hashable, Codable {
    /// The capture or the file of keys.
    package var input: String
    /// KV heads.
    package var heads: Int
    package var headDimension: Int
    /// Query heads that share a KV head.
    package var groupSize: Int
    /// Indexed rows of a head.
    package var candidates: Int
    /// Queries of a query head; all of them count for errors and recall.
    package var queries: Int
    /// Queries of a head that were timed.
    package var timedQueries: Int
    package var trainingQueries: Int
    /// Recall is the share found of so many rows of the highest scores.
    package var k: Int
    package var sink: Int
    package var window: Int
    /// Most rows inserted at once.
    package var segment: Int
    package var threads: Int
    /// The instruction set that was used.
    package var simd: String
    /// Bytes walked through before each timed call, so that it finds the caches without its data.
    package var evictedBytes: Int
    /// Whether Ctrl-C ended it early.
    package var interrupted: Bool
  }

  /// What the time of a point covers.
  package enum TimeScope: String, Sendable, Codable {
    /// The search and the attention to what it found.
    case attention
    /// The search alone.
    case search
  }

  /// One index at one setting, over all queries of all heads.
  package struct Point: Sendable, Hashable, Codable {
    package var index: String
    package var parameters: [String: Double]
    /// Mean share of the k candidates of the highest scores that were read exactly, 0...1.
    package var recall: Double
    /// Mean of `|output - exact| / |exact|`.
    package var meanError: Double
    /// 95th percentile of the same.
    package var p95Error: Double
    /// The mean of the query head that has the highest mean.
    package var worstHeadError: Double
    /// Keys scored in any form for a group, as a share of the candidates. Above 1 when query heads are served apart
    /// and score the same keys.
    package var keysScored: Double
    /// Bytes read from index and rows, for each query head; sink and window do not count.
    package var bytesPerQuery: Double
    /// Median time for each query head; sink and window do not count.
    package var microsecondsPerQuery: Double
    /// Mean over KV heads.
    package var buildSeconds: Double
    /// Mean over KV heads, for the rows that were inserted last; nil when none were.
    package var insertSeconds: Double?
    /// Mean over KV heads, without keys and values.
    package var indexBytes: Double
    package var timeScope = TimeScope.attention
  }

  package var header: Header
  package var points: [Point]

  /// Adds the points of another run over the same rows.
  ///
  /// Throws ``IndexBenchmarkError/cannotMerge(field:ours:theirs:)``.
  package mutating func merge(_ other: IndexBenchmarkReport) throws(IndexBenchmarkError) {
    try header.expectSame(
      [
        ("heads", \.heads), ("headDimension", \.headDimension), ("groupSize", \.groupSize),
        ("candidates", \.candidates), ("queries", \.queries), ("k", \.k), ("sink", \.sink),
        ("window", \.window),
      ], as: other.header)
    points += other.points
  }

  /// Reads what `--json` or the benchmark of peers wrote.
  ///
  /// Throws ``IndexBenchmarkError/unreadableReport(path:reason:)``.
  package init(contentsOf path: String) throws(IndexBenchmarkError) {
    do {
      self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    } catch let error as DecodingError {
      throw .unreadableReport(path: path, reason: "\(error)")
    } catch {
      throw .unreadableReport(path: path, reason: error.localizedDescription)
    }
  }

  init(header: Header, points: [Point]) {
    self.header = header
    self.points = points
  }
}

extension IndexBenchmarkReport.Header {
  /// Throws ``IndexBenchmarkError/cannotMerge(field:ours:theirs:)`` for the first field that differs.
  func expectSame(
    _ fields: [(name: String, path: KeyPath<Self, Int>)], as other: Self
  ) throws(IndexBenchmarkError) {
    for (name, path) in fields where self[keyPath: path] != other[keyPath: path] {
      throw .cannotMerge(field: name, ours: self[keyPath: path], theirs: other[keyPath: path])
    }
  }
}

extension IndexBenchmarkReport.Point {
  /// - Parameter heads: what the heads gave; not empty.
  init(index: String, parameters: [IndexKind.Parameter], groupSize: Int, heads: [HeadMeasurement.Samples]) {
    func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(values.count, 1)) }
    let errors = heads.flatMap(\.errors)
    self.index = index
    self.parameters = Dictionary(parameters.map { ($0.name, $0.value) }) { $1 }
    recall = mean(heads.flatMap(\.recalls))
    meanError = mean(errors)
    let sorted = errors.sorted()
    p95Error = sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, sorted.count * 95 / 100)]
    worstHeadError =
      heads.flatMap { head in
        (0..<groupSize).map { h in
          mean(stride(from: h, to: head.errors.count, by: groupSize).map { head.errors[$0] })
        }
      }.max() ?? 0
    keysScored = mean(heads.flatMap(\.scored))
    bytesPerQuery = mean(heads.flatMap(\.bytes))
    microsecondsPerQuery = TimeSpread(heads.flatMap(\.microseconds))?.median ?? 0
    buildSeconds = mean(heads.map(\.buildSeconds))
    let inserted = mean(heads.map(\.insertSeconds))
    insertSeconds = inserted > 0 ? inserted : nil
    indexBytes = mean(heads.map { Double($0.indexBytes) })
  }
}

// Each kind of index with rows, for checks of what all of them have in common.

import AttentionKernels
import Testing
import VectorIndex

enum KeyValueKind: CaseIterable {
  case clusters, clustersWithoutCodes, lists, scan, scanOfKeys, graph

  /// No rows yet. With all of their parameters spelled out: tests of storage have initializers of their own.
  func make(dimension d: Int) throws -> any Rows {
    switch self {
    case .clusters: return try KeyValueIndex(ClusterIndex(dimension: d, build: .init()))
    case .clustersWithoutCodes:
      var build = ClusterIndex.BuildParameters()
      (build.usesCodes, build.clusterSize) = (false, 32)
      return try KeyValueIndex(ClusterIndex(dimension: d, build: build))
    case .lists: return try KeyValueIndex(IVFIndex(dimension: d, build: .init()))
    case .scan: return try KeyValueIndex(ScanIndex(dimension: d))
    case .scanOfKeys: return try KeyValueIndex(ScanIndex(dimension: d, build: .init(codes: .float16)))
    case .graph: return try KeyValueIndex(GraphIndex(dimension: d))
    }
  }

  func open(_ path: String, verifying: Bool = true) throws -> any Rows {
    switch self {
    case .clusters, .clustersWithoutCodes:
      try KeyValueIndex<ClusterIndex>(contentsOf: path, verifying: verifying)
    case .lists: try KeyValueIndex<IVFIndex>(contentsOf: path, verifying: verifying)
    case .scan, .scanOfKeys: try KeyValueIndex<ScanIndex>(contentsOf: path, verifying: verifying)
    case .graph: try KeyValueIndex<GraphIndex>(contentsOf: path, verifying: verifying)
    }
  }
}

/// What all kinds have, under one name.
protocol Rows {
  var count: Int { get }
  var ids: [UInt32] { get }
  @discardableResult
  func insert(
    keys: Span<UInt16>, values: Span<UInt16>, trainingQueries: Span<Float>, groupSize: Int
  ) throws(KeyValueIndexError) -> Range<UInt32>
  func remove(ids: some Sequence<UInt32>) throws(KeyValueIndexError)
  func attend(queries: Span<Float>, states: inout SoftmaxStates) throws(KeyValueIndexError) -> ReadCount
  func search(queries: Span<Float>, count: Int) throws(KeyValueIndexError) -> (
    rows: [[ScoredRow]], read: ReadCount
  )
  func save(to path: String) throws(IndexFileError)
}

extension KeyValueIndex: Rows {}

extension Rows {
  /// Outputs, log-sum-exps and what was read, for three queries.
  func answer(_ queries: [Float], dimension d: Int) throws -> Answer {
    var states = try SoftmaxStates(count: queries.count / d, dimension: d)
    let read = try attend(queries: queries.span, states: &states)
    let (outputs, logSumExps) = states.finished()
    return Answer(
      outputs: outputs.map(\.bitPattern), logSumExps: logSumExps.map(\.bitPattern), read: read,
      found: try search(queries: queries.span, count: 20).rows, ids: ids)
  }
}

/// Everything that an index answers, to be compared bit by bit.
struct Answer: Equatable {
  var outputs: [UInt32]
  var logSumExps: [UInt32]
  var read: ReadCount
  var found: [[ScoredRow]]
  var ids: [UInt32]
}

/// A head's rows in f16, with queries.
struct HeadRows {
  let dimension: Int
  let keys: [UInt16]
  let values: [UInt16]
  let head: SyntheticHead
  let sample: [Float]

  init(rows: Int, dimension: Int, seed: UInt64 = 61) {
    head = SyntheticHead(rows: rows, dimension: dimension, seed: seed)
    self.dimension = dimension
    keys = halves(head.keys)
    values = halves(head.values)
    sample = head.queries(48, seed: 1)
  }

  /// Inserts the rows of a range, or those of it that `isKept`.
  @discardableResult
  func insert(
    _ range: Range<Int>, into rows: any Rows, isKept: (Int) -> Bool = { _ in true }
  ) throws -> Range<UInt32> {
    let kept = range.filter(isKept)
    func part(_ all: [UInt16]) -> [UInt16] { kept.flatMap { all[$0 * dimension..<($0 + 1) * dimension] } }
    return try rows.insert(
      keys: part(keys).span, values: part(values).span, trainingQueries: sample.span, groupSize: 3)
  }

  /// The best rows of a query by all of their keys.
  func best(_ count: Int, for query: [Float]) -> [UInt32] {
    let keys = floats(keys)
    let scores = (0..<keys.count / dimension).map { row in
      var sum = 0.0
      for i in 0..<dimension { sum += Double(query[i]) * Double(keys[row * dimension + i]) }
      return sum
    }
    return scores.indices.sorted { scores[$0] > scores[$1] }.prefix(count).map { UInt32($0) }
  }
}

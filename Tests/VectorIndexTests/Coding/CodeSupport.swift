// Scores of codes beside exact ones.

import AttentionKernels
import VectorIndex

/// What codes may miss, for queries unlike the keys. Loosening one is a change to review.
enum CodeTolerance {
  /// Least share of the best 100 of 4096 rows that are the best 100 by their codes. Measured: 1, .996, .958, .881,
  /// .755 and more.
  static func recall(_ codes: KeyCodes) -> Double {
    switch codes {
    case .float16: 1
    case .lvq8: 0.99
    case .lvq4: 0.93
    case .pq2: 0.84
    case .pq1: 0.7
    }
  }

  /// The same among the best 200 by their codes. Measured: 1, 1, 1, .997, .952 and more.
  static func recallOfTwice(_ codes: KeyCodes) -> Double {
    switch codes {
    case .float16, .lvq8: 1
    case .lvq4: 0.998
    case .pq2: 0.98
    case .pq1: 0.92
    }
  }

  /// Largest root of the mean squared error of scores, in standard deviations of a query's scores. Measured: up to
  /// 3e-7, .0030, .050, .139, .248.
  static func error(_ codes: KeyCodes) -> Double {
    switch codes {
    case .float16: 1e-6
    case .lvq8: 0.005
    case .lvq4: 0.065
    case .pq2: 0.18
    case .pq1: 0.32
    }
  }
}

/// Approximate and exact scores `[queries][rows]`.
struct CodeScores {
  var approximate: [[Float]]
  var exact: [[Float]]

  /// Mean share of each query's best `k` rows that are among its best `candidates` by their codes.
  func recall(at k: Int, of candidates: Int) -> Double {
    mean(
      zip(exact, approximate).map { exact, approximate in
        let found = Set(Self.best(approximate, candidates))
        return Double(Self.best(exact, k).filter(found.contains).count) / Double(k)
      })
  }

  /// Of each query: root mean squared error, less the error all rows share, in standard deviations of its scores.
  var relativeError: Double {
    mean(
      zip(exact, approximate).map { exact, approximate in
        let errors = zip(exact, approximate).map { Double($0) - Double($1) }
        return Self.deviation(errors) / Self.deviation(exact.map { Double($0) })
      })
  }

  private static func deviation(_ values: [Double]) -> Double {
    let center = mean(values)
    return mean(values.map { ($0 - center) * ($0 - center) }).squareRoot()
  }

  static func best(_ scores: [Float], _ k: Int) -> [Int] {
    Array(scores.indices.sorted { (scores[$0], $1) > (scores[$1], $0) }.prefix(k))
  }
}

extension IndexedRows where Index == ScanIndex {
  convenience init(
    _ head: SyntheticHead, _ codes: KeyCodes, seed: UInt64 = 0, workspace: Workspace = Workspace()
  ) {
    self.init(
      keys: head.keys, values: head.values,
      index: ScanIndex(dimension: head.dimension, build: .init(codes: codes, seed: seed)),
      workspace: workspace)
  }

  /// Scores of the rows of a range by their codes, `[queries][range]`.
  func codeScores(_ queries: [Float], _ range: Range<Int>) -> [[Float]] {
    let m = queries.count / dimension
    let scratch = workspace.scope()
    let found = scratch.list(m * range.count)
    found.fill(.nan)
    queries.withUnsafeBufferPointer { queries in
      keys.withUnsafeBufferPointer { keys in
        values.withUnsafeBufferPointer { values in
          let scratch = workspace.scope()
          let prepared = index.scorer.prepare(
            QueryGroup(queries: queries.baseAddress!, count: m), in: scratch)
          index.scorer.score(
            range, of: prepared,
            rows: IndexRows(
              keys: PackedRows(keys.baseAddress!, stride: dimension),
              values: PackedRows(values.baseAddress!, stride: dimension), count: index.rowCount),
            scores: ScoreRows(found, stride: range.count), kernels: workspace.kernels)
        }
      }
    }
    return (0..<m).map { Array(found[$0 * range.count..<($0 + 1) * range.count]) }
  }

  /// Scores of all rows for queries in groups of `groupSize`.
  func scores(_ queries: [Float], groupSize: Int = 4) -> CodeScores {
    let d = dimension
    let keys = floats(self.keys)
    let all = stride(from: 0, to: queries.count, by: groupSize * d).flatMap { first in
      codeScores(Array(queries[first..<min(first + groupSize * d, queries.count)]), 0..<index.rowCount)
    }
    let exact = (0..<queries.count / d).map { query in
      (0..<index.rowCount).map { row in
        (0..<d).reduce(Float(0)) { $0 + queries[query * d + $1] * keys[row * d + $1] }
      }
    }
    return CodeScores(approximate: all, exact: exact)
  }
}

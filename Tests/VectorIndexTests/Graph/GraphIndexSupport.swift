// Graphs over rows, and how much of the exact result they find.

import AttentionKernels
import Foundation
import VectorIndex

extension GraphIndex.BuildParameters {
  static func with(
    _ construction: GraphIndex.Construction, sharing: GraphIndex.Sharing = .shared, maxDegree: Int? = nil,
    buildBeamWidth: Int? = nil, nearestCount: Int? = nil
  ) -> Self {
    var build = GraphIndex.BuildParameters(construction)
    build.sharing = sharing
    if let maxDegree { build.maxDegree = maxDegree }
    if let buildBeamWidth { build.buildBeamWidth = buildBeamWidth }
    if let nearestCount { build.nearestCount = nearestCount }
    return build
  }
}

extension GraphIndex.SearchParameters {
  static func with(beamWidth: Int, k: Int = 100) -> Self {
    var search = GraphIndex.SearchParameters()
    search.beamWidth = beamWidth
    search.k = k
    return search
  }
}

/// What a search found, on average over queries.
struct SearchQuality {
  /// Share of the exact k rows.
  var recall = 0.0
  /// Share of the indexed keys that were scored, for a group.
  var scored = 0.0
}

extension IndexedRows where Index == GraphIndex {
  convenience init(keys: [Float], values: [Float], dimension: Int, build: GraphIndex.BuildParameters) throws {
    self.init(keys: keys, values: values, index: try GraphIndex(dimension: dimension, build: build))
  }

  /// The rows found for each query of a group.
  func search(_ queries: [Float], k: Int, beamWidth: Int) -> (rows: [[UInt32]], read: ReadCount) {
    queries.withUnsafeBufferPointer { queries in
      keys.withUnsafeBufferPointer { keys in
        index.search(
          QueryGroup(queries: queries.baseAddress!, count: queries.count / dimension),
          keys: PackedRows(keys.baseAddress!, stride: dimension),
          k: k, beamWidth: beamWidth, workspace: workspace)
      }
    }
  }

  /// Rows that score at least as high as the exact k-th; equal keys are equally good. Scores in Double.
  func goodRows(_ query: ArraySlice<Float>, k: Int) -> Set<UInt32> {
    let keys = floats(Array(keys[..<(index.rowCount * dimension)]))
    let scores = (0..<index.rowCount).map { row in
      zip(query, keys[row * dimension..<(row + 1) * dimension]).reduce(0.0) {
        $0 + Double($1.0) * Double($1.1)
      }
    }
    // Sums in f32 differ from these by less, relative to scores below 100.
    let threshold = scores.sorted(by: >)[min(k, scores.count) - 1] - 1e-5
    return Set(scores.indices.lazy.filter { scores[$0] >= threshold }.map { UInt32($0) })
  }

  /// Searches for `queries` group by group.
  func quality(_ queries: [Float], groupSize: Int = 1, k: Int = 100, beamWidth: Int) -> SearchQuality {
    let width = groupSize * dimension
    var quality = SearchQuality()
    let groups = queries.count / width
    for group in 0..<groups {
      let asked = queries[group * width..<(group + 1) * width]
      let (rows, read) = search(Array(asked), k: k, beamWidth: beamWidth)
      for query in 0..<groupSize {
        let begin = asked.startIndex + query * dimension
        let good = goodRows(asked[begin..<begin + dimension], k: k)
        let found = Set(rows[query]).intersection(good).count
        quality.recall += Double(found) / Double(min(k, index.rowCount) * groupSize * groups)
      }
      quality.scored += Double(read.scored) / Double(index.rowCount * groups)
    }
    return quality
  }

  /// Whether a search that may follow every link finds every row.
  func reachesAllRows() -> Bool {
    let rows = index.rowCount
    let found = search([Float](repeating: 0.1, count: dimension), k: rows, beamWidth: rows).rows[0]
    return Set(found) == Set((0..<rows).map { UInt32($0) })
  }
}

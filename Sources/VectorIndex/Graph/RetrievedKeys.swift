// The keys that training queries retrieve, exactly, and the other way round.

package import AttentionKernels

/// The keys of largest inner product of each training query, and the queries that retrieve each key.
package struct RetrievedKeys: ~Copyable {
  /// Keys for each query.
  package let width: Int
  package let queryCount: Int
  private var lists = RowBuffer<UInt32>()  // [queries, width], best first
  private var starts = RowBuffer<UInt32>()  // [keys + 1]
  private var members = RowBuffer<UInt32>()  // [queries * width] queries, key by key

  /// Scores every key for every query: `2 * queryCount * keyCount * d` operations. The keys stay packed: turning
  /// them to f32 for a matrix product would cost a copy of twice their size.
  ///
  /// - Parameter excluded: keys that no query retrieves.
  package init(
    of queries: FloatRows, keys: PackedRows, keyCount: Int,
    excluded: UnsafeBufferPointer<UInt32> = .init(start: nil, count: 0), width limit: Int,
    workspace: Workspace
  ) {
    let queryCount = queries.count
    let scratch = workspace.scope()
    width = min(limit, keyCount - excluded.count)
    self.queryCount = queryCount
    let best = lists.grow(by: queryCount * width)
    let block = 24
    let scores = scratch.floats(min(block, queryCount) * keyCount)
    var heap = RowBuffer<RankedRow>(capacity: width)
    for begin in stride(from: 0, to: queryCount, by: block) {
      let n = min(block, queryCount - begin)
      workspace.kernels.unsafeDot(
        FloatRows(queries[begin], count: n, dimension: queries.dimension, stride: queries.stride), with: keys,
        .first(keyCount), scores: scores)
      for query in 0..<n {
        for key in excluded { scores[query * keyCount + Int(key)] = -.infinity }
        Self.select(
          scores + query * keyCount, count: keyCount, heap: &heap, width: width,
          result: best + (begin + query) * width)
      }
    }
    invert(keyCount: keyCount)
  }

  /// The keys of a query, best first.
  package func keys(of query: Int) -> UnsafeBufferPointer<UInt32> {
    UnsafeBufferPointer(start: lists.base + query * width, count: width)
  }

  /// The queries that retrieve a key.
  package func queries(of key: Int) -> UnsafeBufferPointer<UInt32> {
    let begin = Int(starts.base[key])
    return UnsafeBufferPointer(start: members.base + begin, count: Int(starts.base[key + 1]) - begin)
  }

  /// The `width` best of `count` scores. A heap with its worst on top refuses most of them by one comparison. Unlike
  /// ``HighestScores``, which would tell one order of equal keys from another: graphs of keys that are alike would be
  /// linked in another way.
  private static func select(
    _ scores: UnsafePointer<Float>, count: Int, heap: inout RowBuffer<RankedRow>, width: Int,
    result: UnsafeMutablePointer<UInt32>
  ) {
    let heap = heap.base
    for i in 0..<width { heap[i] = RankedRow(scores[i], row: UInt32(i)) }
    var all = UnsafeMutableBufferPointer(start: heap, count: width)
    all.sort()
    var threshold = heap[0].value
    for i in width..<count where scores[i] > threshold {
      let candidate = RankedRow(scores[i], row: UInt32(i))
      var hole = 0
      while true {
        var child = 2 * hole + 1
        guard child < width else { break }
        if child + 1 < width, heap[child + 1] < heap[child] { child += 1 }
        guard heap[child] < candidate else { break }
        heap[hole] = heap[child]
        hole = child
      }
      heap[hole] = candidate
      threshold = heap[0].value
    }
    all.sort(by: >)
    for i in 0..<width { result[i] = heap[i].row }
  }

  private mutating func invert(keyCount: Int) {
    let total = queryCount * width
    let starts = starts.grow(by: keyCount + 1)
    let members = members.grow(by: total)
    starts.update(repeating: 0, count: keyCount + 1)
    for i in 0..<total { starts[Int(lists.base[i])] += 1 }
    var sum: UInt32 = 0
    for key in 0...keyCount {
      sum += starts[key]
      starts[key] = sum
    }
    // Each start is now the end of its key; filling from behind moves it to the beginning.
    for query in (0..<queryCount).reversed() {
      for key in keys(of: query) {
        starts[Int(key)] -= 1
        members[Int(starts[Int(key)])] = UInt32(query)
      }
    }
  }
}

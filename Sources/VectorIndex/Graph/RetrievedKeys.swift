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
    excluded: ListView<UInt32> = .empty, width limit: Int,
    workspace: Workspace
  ) {
    let queryCount = queries.count
    let scratch = workspace.scope()
    width = min(limit, keyCount - excluded.count)
    self.queryCount = queryCount
    let best = unsafe lists.grow(by: queryCount * width)
    let block = 24
    let scores = unsafe scratch.list(min(block, queryCount) * keyCount)
    var heap = RowBuffer<RankedRow>(capacity: width)
    for begin in stride(from: 0, to: queryCount, by: block) {
      let n = min(block, queryCount - begin)
      unsafe workspace.kernels.unsafeDot(
        FloatRows(queries[begin], count: n, dimension: queries.dimension, stride: queries.stride), with: keys,
        .first(keyCount), scores: scores.base)
      for query in 0..<n {
        for key in excluded { scores[query * keyCount + Int(key)] = -.infinity }
        unsafe Self.select(
          scores.from(query * keyCount).first(keyCount), heap: &heap,
          result: ListView(best + (begin + query) * width, count: width))
      }
    }
    invert(keyCount: keyCount)
  }

  /// The keys of a query, best first.
  package func keys(of query: Int) -> ListView<UInt32> {
    unsafe lists.list.from(query * width).first(width)
  }

  /// The queries that retrieve a key.
  package func queries(of key: Int) -> ListView<UInt32> {
    let begin = Int(starts[key])
    return unsafe members.list.from(begin).first(Int(starts[key + 1]) - begin)
  }

  /// As many of the best scores as there is room for. A heap with its worst on top refuses most of them by one
  /// comparison. Unlike ``HighestScores``, which would tell one order of equal keys from another: graphs of keys that
  /// are alike would be linked in another way.
  private static func select(
    _ scores: ListView<Float>, heap: inout RowBuffer<RankedRow>, result: ListView<UInt32>
  ) {
    let (scores, count, width) = unsafe (scores.base, scores.count, result.count)
    let heap = unsafe heap.base
    for i in 0..<width { unsafe heap[i] = RankedRow(scores[i], row: UInt32(i)) }
    let all = unsafe ListView(heap, count: width)
    all.sort()
    var threshold = unsafe heap[0].value
    for i in width..<count where unsafe scores[i] > threshold {
      let candidate = unsafe RankedRow(scores[i], row: UInt32(i))
      var hole = 0
      while true {
        var child = 2 * hole + 1
        guard child < width else { break }
        if child + 1 < width, unsafe heap[child + 1] < heap[child] { child += 1 }
        guard unsafe heap[child] < candidate else { break }
        unsafe heap[hole] = heap[child]
        hole = child
      }
      unsafe heap[hole] = candidate
      threshold = unsafe heap[0].value
    }
    all.sort(by: >)
    for i in 0..<width { result[i] = unsafe heap[i].row }
  }

  private mutating func invert(keyCount: Int) {
    let total = queryCount * width
    let starts = unsafe starts.grow(by: keyCount + 1)
    let members = unsafe members.grow(by: total)
    unsafe starts.update(repeating: 0, count: keyCount + 1)
    for i in 0..<total { unsafe starts[Int(lists.base[i])] += 1 }
    var sum: UInt32 = 0
    for key in 0...keyCount {
      unsafe sum += starts[key]
      unsafe starts[key] = sum
    }
    // Each start is now the end of its key; filling from behind moves it to the beginning.
    for query in (0..<queryCount).reversed() {
      for key in keys(of: query) {
        unsafe starts[Int(key)] -= 1
        unsafe members[Int(starts[Int(key)])] = UInt32(query)
      }
    }
  }
}

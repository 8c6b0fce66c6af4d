// The queries of the last tokens, for policies that choose keys by what recent queries attended to.

import AttentionKernels
import Platform
import RetrievalAttention
import VectorIndex

/// The scaled queries of the last `capacity` tokens of one KV head's group, f32.
///
/// Tokens may be recorded from several threads at once as long as no two share a place, that is, stand a multiple of
/// `capacity` apart.
struct RecentQueries: ~Copyable {
  let capacity: Int
  private let width: Int
  private var queries = RowBuffer<Float>()  // [capacity, groupSize, d]
  private var positions = RowBuffer<Int32>()  // [capacity], -1 for an empty place

  init(capacity: Int, groupSize: Int, dimension: Int) {
    self.capacity = capacity
    width = groupSize * dimension
    unsafe queries.grow(by: capacity * width)
    unsafe positions.grow(by: capacity).update(repeating: -1, count: capacity)
  }

  var byteCount: Int { queries.byteCount + positions.byteCount }

  func record(_ token: ObservedToken, workspace: Workspace) {
    let target = unsafe queries.base + token.position % capacity * width
    unsafe target.update(from: token.queries, count: width)
    unsafe workspace.kernels.unsafeScale(target, by: token.scale, count: width)
    unsafe positions.base[token.position % capacity] = Int32(token.position)
  }

  /// `[groupSize, d]`, nil when that token's queries are not known.
  func queries(at position: Int) -> UnsafePointer<Float>? {
    guard position >= 0, unsafe Int(positions.base[position % capacity]) == position else { return nil }
    return unsafe UnsafePointer(queries.base + position % capacity * width)
  }

  /// Forgets tokens from position `end` on.
  func removeAll(from end: Int) {
    for place in 0..<capacity where unsafe Int(positions.base[place]) >= end {
      unsafe positions.base[place] = -1
    }
  }

  /// Calls `body` with the scores of each known token of a range, one after the other: `[groupSize, position + 1]`
  /// scores of the keys that it sees, one query `stride` after the other.
  func forEachToken(
    in range: Range<Int>, groupSize: Int, rows: HeadRows, workspace: Workspace,
    body: (_ position: Int, _ scores: UnsafeMutablePointer<Float>, _ stride: Int) -> Void
  ) {
    let scratch = workspace.scope()
    let d = rows.dimension
    let scores = unsafe scratch.floats(groupSize * rows.count)
    for position in range {
      guard let queries = unsafe queries(at: position) else { continue }
      unsafe workspace.kernels.unsafeDot(
        FloatRows(queries, count: groupSize, dimension: d), with: rows.keys, .first(position + 1),
        scores: scores, scoreStride: rows.count)
      unsafe body(position, scores, rows.count)
    }
  }
}

extension Kernels {
  /// Replaces scores by softmax weights and returns the natural logarithm of the denominator; `count` is positive.
  @discardableResult
  func softmax(_ scores: UnsafeMutablePointer<Float>, count: Int) -> Float {
    var highest = unsafe scores[0]
    for i in 1..<max(1, count) { highest = unsafe max(highest, scores[i]) }
    for i in 0..<count { unsafe scores[i] -= highest }
    unsafe unsafeExp(scores, scores, count: count)
    var total: Float = 0
    for i in 0..<count { unsafe total += scores[i] }
    unsafe unsafeScale(scores, by: 1 / total, count: count)
    return highest + log(total)
  }
}

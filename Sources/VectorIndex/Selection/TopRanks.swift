// The best k of a stream of scores, without sorting it.

package import AttentionKernels

/// The `limit` best-scored rows of those seen so far, for one query.
///
/// Ranks (see ``Kernels/rank(score:index:)``) above a threshold are appended; when twice the limit have come, the best
/// half is selected in linear time and its lowest becomes the threshold. Rows must come in ascending order for equal
/// scores to go to the lower row. Expected cost over n random scores: n comparisons in vectors and about
/// `4 * limit * log2(n / limit)` others.
@safe package struct TopRanks {
  package let limit: Int
  /// Room for ``capacity(limit:)``.
  package let base: UnsafeMutablePointer<UInt64>
  package private(set) var count = 0
  private var threshold = -Float.infinity

  /// Scores that are collected at a time.
  private static let step = 512

  package static func capacity(limit: Int) -> Int { 2 * limit + step }

  package init(limit: Int, base: UnsafeMutablePointer<UInt64>) {
    self.limit = limit
    unsafe self.base = base
  }

  package mutating func collect(
    _ scores: UnsafePointer<Float>, count n: Int, firstRow: Int, kernels: Kernels
  ) {
    var i = 0
    while i < n {
      let part = min(Self.step, n - i)
      unsafe count += kernels.unsafeCollect(
        scores: scores + i, count: part, above: threshold, firstIndex: UInt32(firstRow + i),
        ranks: base + count)
      if count >= 2 * limit { prune() }
      i += part
    }
  }

  /// Leaves the best `limit`, in no order.
  package mutating func prune() {
    guard count > limit else { return }
    unsafe Self.select(base, count: count, limit: limit)
    count = limit
    threshold = Kernels.score(ofRank: (0..<limit).reduce(UInt64.max) { unsafe min($0, base[$1]) })
  }

  /// Moves the `limit` highest to the front (quickselect; ranks are all different).
  static func select(_ base: UnsafeMutablePointer<UInt64>, count: Int, limit: Int) {
    var low = 0
    var high = count
    while high - low > 1 {
      let pivot = unsafe median(base[low], base[low + (high - low) / 2], base[high - 1])
      // Without branches on the data: which side a rank goes to is as good as random.
      var next = low
      for i in low..<high {
        let rank = unsafe base[i]
        unsafe base[i] = base[next]
        unsafe base[next] = rank
        next += rank > pivot ? 1 : 0
      }
      // Ranks above the pivot stand in low..<next; the pivot is the highest of the others.
      if limit < next {
        high = next
      } else if limit == next {
        return
      } else {
        if let place = (next..<high).first(where: { unsafe base[$0] == pivot }) {
          unsafe base[place] = base[next]
          unsafe base[next] = pivot
        }
        low = next + 1
        if limit == low { return }
      }
    }
  }

  private static func median(_ a: UInt64, _ b: UInt64, _ c: UInt64) -> UInt64 {
    max(min(a, b), min(max(a, b), c))
  }
}

// The few best of many scores in one pass, without memory of its own.

/// Selection with a heap of the best so far, its worst on top: for short lists. ``TopRanks`` finds the same rows and
/// is faster where thousands are wanted, or where scores come in parts. Nothing is assumed of not-a-numbers but that
/// they end somewhere.
package struct HighestScores {
  /// Writes the indices of the `limit` highest of `count` scores, in no order, and returns how many there are. Of
  /// equal scores those of lower index come first.
  ///
  /// Cost: a comparison for each score, and `log limit` more for each that is among the best when it is seen.
  package static func select(
    _ limit: Int, of scores: UnsafePointer<Float>, count: Int, into heap: UnsafeMutablePointer<UInt32>
  ) -> Int {
    let size = max(0, min(limit, count))
    guard size > 0 else { return 0 }
    for i in 0..<size { unsafe heap[i] = UInt32(i) }
    for i in stride(from: size / 2 - 1, through: 0, by: -1) { unsafe sink(heap, size, from: i, scores) }
    var worst = unsafe scores[Int(heap[0])]
    for i in size..<count where unsafe scores[i] > worst {
      unsafe heap[0] = UInt32(i)
      unsafe sink(heap, size, from: 0, scores)
      worst = unsafe scores[Int(heap[0])]
    }
    return size
  }

  private static func sink(
    _ heap: UnsafeMutablePointer<UInt32>, _ size: Int, from start: Int, _ scores: UnsafePointer<Float>
  ) {
    var parent = start
    let moved = unsafe heap[start]
    while 2 * parent + 1 < size {
      var child = 2 * parent + 1
      if child + 1 < size, unsafe isWorse(heap[child + 1], heap[child], scores) { child += 1 }
      guard unsafe isWorse(heap[child], moved, scores) else { break }
      unsafe heap[parent] = heap[child]
      parent = child
    }
    unsafe heap[parent] = moved
  }

  private static func isWorse(_ a: UInt32, _ b: UInt32, _ scores: UnsafePointer<Float>) -> Bool {
    let (first, second) = unsafe (scores[Int(a)], scores[Int(b)])
    return first < second || (first == second && a > b)
  }
}

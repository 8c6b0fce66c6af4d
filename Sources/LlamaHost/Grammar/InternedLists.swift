// Lists of numbers, each kept once.

/// Numbers lists so that equal ones have the same number.
struct InternedLists {
  private(set) var values: [UInt64] = []
  private var starts: [Int] = [0]
  private var hashes: [Int] = []
  /// Open addressing; -1 is free.
  private var buckets: [Int32] = Array(repeating: -1, count: 64)

  var count: Int { hashes.count }

  /// Bytes in use.
  var memory: Int { values.count * 8 + count * 16 + buckets.count * 4 }

  subscript(index: Int) -> ArraySlice<UInt64> { values[starts[index]..<starts[index + 1]] }

  func range(_ index: Int) -> Range<Int> { starts[index]..<starts[index + 1] }

  /// The number of `list`, which is the count of lists so far when it is new.
  mutating func intern(_ list: [UInt64]) -> Int {
    var hasher = Hasher()
    unsafe list.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
    let hash = hasher.finalize()
    var bucket = hash & (buckets.count - 1)
    while buckets[bucket] >= 0 {
      let index = Int(buckets[bucket])
      if hashes[index] == hash, self[index].elementsEqual(list) { return index }
      bucket = (bucket + 1) & (buckets.count - 1)
    }
    buckets[bucket] = Int32(count)
    hashes.append(hash)
    values += list
    starts.append(values.count)
    if count * 2 > buckets.count { grow() }
    return count - 1
  }

  private mutating func grow() {
    buckets = Array(repeating: -1, count: buckets.count * 2)
    for (index, hash) in hashes.enumerated() {
      var bucket = hash & (buckets.count - 1)
      while buckets[bucket] >= 0 { bucket = (bucket + 1) & (buckets.count - 1) }
      buckets[bucket] = Int32(index)
    }
  }
}

/// The smallest number first.
struct MinimumHeap {
  private var values: [UInt32] = []

  mutating func insert(_ value: UInt32) {
    values.append(value)
    var index = values.count - 1
    while index > 0, values[index] < values[(index - 1) / 2] {
      values.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  mutating func popMinimum() -> UInt32? {
    guard let first = values.first, let last = values.popLast() else { return nil }
    guard !values.isEmpty else { return first }
    values[0] = last
    var index = 0
    while true {
      var child = 2 * index + 1
      guard child < values.count else { return first }
      if child + 1 < values.count, values[child + 1] < values[child] { child += 1 }
      guard values[child] < values[index] else { return first }
      values.swapAt(index, child)
      index = child
    }
  }
}

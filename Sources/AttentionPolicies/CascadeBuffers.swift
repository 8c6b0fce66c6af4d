// The sub-buffers of a cascade, without attention: which rows are kept, and what happens when one more comes.

import RetrievalAttention

/// A chain of buffers of rows with the moving average of the attention that each row got.
///
/// A new row enters the first buffer. Each buffer hands its oldest row on to the next when it overflows; the next takes
/// every second row that it is handed, and of the others each may only replace the newest row in the buffer, if its
/// average is higher. What the last buffer hands on is lost. Until all buffers are full, each takes every row, so that
/// nothing is lost before it has to be.
struct CascadeBuffers: EvictionState {
  /// A row that is kept.
  struct Entry {
    var row: UInt32
    var average: Float
  }

  /// Rows that each buffer holds.
  let capacity: Int
  let bufferCount: Int
  private(set) var rowCount = 0
  /// Rows that came in each buffer, oldest first, in a ring that begins at `heads[i]`.
  private var rings: [Entry]  // [bufferCount, capacity]
  private var heads: [Int]
  private var counts: [Int]
  /// Rows that each buffer was handed.
  private var arrivals: [Int]

  init(capacity: Int, bufferCount: Int) {
    self.capacity = capacity
    self.bufferCount = bufferCount
    rings = Array(repeating: Entry(row: 0, average: 0), count: capacity * bufferCount)
    heads = Array(repeating: 0, count: bufferCount)
    counts = heads
    arrivals = heads
  }

  mutating func copy(_ other: CascadeBuffers) {
    rowCount = other.rowCount
    for i in rings.indices { rings[i] = other.rings[i] }
    for i in 0..<bufferCount {
      heads[i] = other.heads[i]
      counts[i] = other.counts[i]
      arrivals[i] = other.arrivals[i]
    }
  }

  /// Rows that are kept.
  var count: Int { counts.reduce(0, +) }

  private func place(_ buffer: Int, _ index: Int) -> Int {
    let place = heads[buffer] + index
    return buffer * capacity + (place < capacity ? place : place - capacity)
  }

  /// Calls `body` with each entry, which it may change.
  mutating func forEach(_ body: (inout Entry) -> Void) {
    for buffer in 0..<bufferCount {
      for index in 0..<counts[buffer] { body(&rings[place(buffer, index)]) }
    }
  }

  /// Takes note of rows that are kept elsewhere.
  mutating func skip(to row: Int) { rowCount = row }

  /// Takes the next row.
  mutating func insert(_ row: Int, average: Float) {
    rowCount = row + 1
    let isFilling = count < capacity * bufferCount
    var moved = Entry(row: UInt32(row), average: average)
    for buffer in 0..<bufferCount {
      arrivals[buffer] += 1
      guard isFilling || buffer == 0 || arrivals[buffer] % 2 == 1 else {
        let newest = place(buffer, counts[buffer] - 1)
        if moved.average > rings[newest].average { rings[newest] = moved }
        return
      }
      guard counts[buffer] == capacity else {
        counts[buffer] += 1
        rings[place(buffer, counts[buffer] - 1)] = moved
        return
      }
      // The oldest goes, and its place becomes that of the newest.
      let oldest = place(buffer, 0)
      swap(&rings[oldest], &moved)
      heads[buffer] = heads[buffer] + 1 == capacity ? 0 : heads[buffer] + 1
    }
  }
}

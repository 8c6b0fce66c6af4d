// The links of one graph: rows of equal capacity in one flat array.

/// Links from row to row. A row is its count followed by `capacity` places, so that a visit touches one run of
/// memory.
final class LinkTable {
  /// Links a row can hold.
  let capacity: Int
  /// Links that pruning leaves a row; the places above it take reverse links, so that not each one means pruning.
  let maxDegree: Int
  private(set) var rowCount = 0
  /// Where searches start.
  var entryPoints: [UInt32] = []
  private(set) var places = RowBuffer<UInt32>()  // [rows, 1 + capacity]

  init(maxDegree: Int, capacity: Int) {
    self.maxDegree = maxDegree
    self.capacity = capacity
  }

  /// Links that are there already; what a damaged file could break has been checked.
  init(
    maxDegree: Int, capacity: Int, rowCount: Int, places: consuming RowBuffer<UInt32>, entryPoints: [UInt32]
  ) {
    self.maxDegree = maxDegree
    self.capacity = capacity
    self.rowCount = rowCount
    self.places = places
    self.entryPoints = entryPoints
  }

  var byteCount: Int { places.byteCount + entryPoints.count * MemoryLayout<UInt32>.stride }

  /// Adds rows without links.
  func append(rows count: Int) {
    let stride = capacity + 1
    let new = places.grow(by: count * stride)
    new.initialize(repeating: 0, count: count * stride)
    rowCount += count
  }

  /// The links as plain pointers, for the inner loop of a search; valid until rows are added.
  var links: Links { Links(places: places.base, stride: capacity + 1) }

  struct Links {
    fileprivate let places: UnsafePointer<UInt32>
    fileprivate let stride: Int

    subscript(row: Int) -> UnsafeBufferPointer<UInt32> {
      let place = places + row &* stride
      return UnsafeBufferPointer(start: place + 1, count: Int(place[0]))
    }
  }

  subscript(row: Int) -> UnsafeMutableBufferPointer<UInt32> {
    let place = places.base + row * (capacity + 1)
    return UnsafeMutableBufferPointer(start: place + 1, count: Int(place[0]))
  }

  /// Replaces the links of a row.
  func set(_ row: Int, to links: UnsafeBufferPointer<UInt32>) {
    precondition(links.count <= capacity, "\(links.count) links exceed the capacity of \(capacity)")
    let place = places.base + row * (capacity + 1)
    place[0] = UInt32(links.count)
    if let start = links.baseAddress { (place + 1).update(from: start, count: links.count) }
  }

  /// Adds a link that is not there yet. False when the row is full.
  func add(_ link: UInt32, to row: Int) -> Bool {
    let links = self[row]
    if links.contains(link) { return true }
    guard links.count < capacity else { return false }
    let place = places.base + row * (capacity + 1)
    place[1 + links.count] = link
    place[0] += 1
    return true
  }
}

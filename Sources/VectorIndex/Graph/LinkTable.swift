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
    let new = unsafe places.grow(by: count * stride)
    unsafe new.initialize(repeating: 0, count: count * stride)
    rowCount += count
  }

  /// The links by their address, for the inner loop of a search; valid until rows are added.
  @unsafe var links: Links { unsafe Links(places: places.list, stride: capacity + 1) }

  struct Links {
    fileprivate let places: ListView<UInt32>
    fileprivate let stride: Int

    @unsafe subscript(row: Int) -> ListView<UInt32> {
      let place = unsafe places.base + row &* stride
      return unsafe ListView(place + 1, count: Int(place[0]))
    }
  }

  subscript(row: Int) -> ListView<UInt32> {
    check(row)
    let place = unsafe places.base + row * (capacity + 1)
    return unsafe ListView(place + 1, count: Int(place[0]))
  }

  private func check(_ row: Int) { precondition(row >= 0 && row < rowCount, "row \(row) of \(rowCount)") }

  /// Replaces the links of a row.
  func set(_ row: Int, to links: ListView<UInt32>) {
    precondition(links.count <= capacity, "\(links.count) links exceed the capacity of \(capacity)")
    check(row)
    let place = unsafe places.base + row * (capacity + 1)
    unsafe place[0] = UInt32(links.count)
    unsafe (place + 1).update(from: links.base, count: links.count)
  }

  /// Adds a link that is not there yet. False when the row is full.
  func add(_ link: UInt32, to row: Int) -> Bool {
    let links = self[row]
    if links.contains(link) { return true }
    guard links.count < capacity else { return false }
    let place = unsafe places.base + row * (capacity + 1)
    unsafe place[1 + links.count] = link
    unsafe place[0] += 1
    return true
  }
}

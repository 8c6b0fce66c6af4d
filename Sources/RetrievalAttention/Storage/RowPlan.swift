// Which rows go into a new segment, and which old segments stay.

/// Appending the tail of a context forever would make a session of thousands of small files. So a new segment takes
/// over the one before it unless that one is larger: as in a log-structured merge tree, each row is then written a
/// logarithmic number of times, and the number of segments is logarithmic, too.
struct RowPlan {
  private(set) var firstRows: [StoredHead: Int] = [:]
  private(set) var keptFiles: [SegmentFile] = []
  private(set) var hasRows = false

  init(engine: AttentionEngine, destination: SegmentDestination) {
    var rows: [StoredHead: HeadRows] = [:]
    for (layer, heads) in engine.heads.enumerated() {
      for (number, head) in heads.enumerated() { rows[StoredHead(layer: layer, head: number)] = head.rows }
    }
    firstRows = rows.mapValues(\.firstUnsavedRow)
    var files: [(file: SegmentFile, firstRows: [StoredHead: Int])] = (engine.storage.image?.rows ?? []).map {
      ($0, $0.firstRows { rows[$0]?.keys.stride })
    }
    func byteCount(_ count: (StoredHead, HeadRows) -> Int) -> Int {
      rows.reduce(0) { $0 + max(0, count($1.key, $1.value)) * $1.value.bytesPerRow }
    }
    let hasForeign = files.contains { !destination.accepts($0.file) }
    let hasChanges = rows.contains { $0.value.firstUnsavedRow < $0.value.count }
    while let last = files.last, hasForeign || hasChanges {
      if destination.accepts(last.file) {
        // A fork does not copy to memory what is on a disk.
        if case .memory = destination, last.file.home != nil { break }
        let old = byteCount { place, _ in (firstRows[place] ?? 0) - (last.firstRows[place] ?? .max) }
        let new = byteCount { place, rows in rows.count - (firstRows[place] ?? 0) }
        if old > new { break }
      }
      for (place, row) in last.firstRows { firstRows[place] = min(firstRows[place] ?? 0, row) }
      files.removeLast()
    }
    // An old segment all of whose rows were replaced is of no use any more.
    var replaced = firstRows
    for (file, first) in files.reversed() {
      guard first.contains(where: { $0.value < replaced[$0.key] ?? 0 }) else { continue }
      keptFiles.insert(file, at: 0)
      for (place, row) in first { replaced[place] = min(replaced[place] ?? row, row) }
    }
    hasRows = rows.contains { (firstRows[$0.key] ?? 0) < $0.value.count }
  }
}

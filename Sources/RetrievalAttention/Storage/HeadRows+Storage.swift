// Rows that lie in a file: mapped over the reserved addresses, so that attention does not know.

import Platform
import VectorIndex

extension HeadRows {
  /// Of ``keyOffsets`` in a segment of state.
  static let offsetTag: FileTag = "koff"

  /// The bytes of `area` that hold rows from `first` on, and a little before, since pieces start at multiples of a
  /// page: their place in the area, and where they are now.
  func unsavedBytes(_ area: RowArea, from first: Int) -> (place: Int, bytes: UnsafeRawBufferPointer) {
    let width = bytesPerRow(area)
    let alignment = SegmentLayout.rowAlignment
    let place = first * width / alignment * alignment
    return unsafe (place, UnsafeRawBufferPointer(start: base(area) + place, count: count * width - place))
  }

  func bytesPerRow(_ area: RowArea) -> Int {
    switch area {
    case .keys: keys.stride
    case .values: values.stride
    case .positions: 4
    }
  }

  private func base(_ area: RowArea) -> UnsafeMutableRawPointer {
    switch area {
    case .keys: unsafe UnsafeMutableRawPointer(mutating: keys.base)
    case .values: unsafe UnsafeMutableRawPointer(mutating: values.base)
    case .positions: unsafe UnsafeMutableRawPointer(positions)
    }
  }

  /// Puts an array of a segment where it belongs; what is written there later stays private.
  func restore(_ area: RowArea, _ entry: SegmentEntry, of file: SegmentFile) throws(StorageError) {
    let limit = capacity * bytesPerRow(area)
    guard entry.place % SegmentLayout.rowAlignment == 0, entry.byteCount <= limit,
      entry.place <= limit - entry.byteCount
    else {
      throw .damaged(
        path: file.path, what: "\(entry.tag) of layer \(entry.layer), head \(entry.head)",
        expected: "at most \(limit) bytes, at a multiple of \(SegmentLayout.rowAlignment)",
        actual: "\(entry.byteCount) at \(entry.place)")
    }
    guard entry.byteCount > 0 else { return }
    let target = unsafe base(area) + entry.place
    guard Int(sysconf(Int32(_SC_PAGESIZE))) <= SegmentLayout.rowAlignment else {
      // Larger pages than the file was made for: the rows are read instead.
      try unsafe SegmentFile.read(
        file.descriptor, into: UnsafeMutableRawBufferPointer(start: target, count: entry.byteCount),
        at: entry.offset, path: file.path)
      return
    }
    // The areas of a head lie 64 KiB apart at least, so whole pages stay within them.
    memory.willMap(file.path)
    let (access, flags) = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | mapWithoutReserve)
    let mapped = unsafe mmap(target, entry.byteCount, access, flags, file.descriptor, off_t(entry.offset))
    guard unsafe mapped != MAP_FAILED else { throw .system(operation: "mmap", path: file.path, code: errno) }
  }

  /// Takes over what was taken away from the keys that were saved.
  func restoreKeyOffsets(from source: HeadSource) throws(StorageError) {
    guard source.state[Self.offsetTag] != nil else { return didRestore(keyOffsets: RowBuffer()) }
    let offsets = try source.array(Self.offsetTag, of: Float.self, count: dimension)
    guard keys.format == .int8, (0..<dimension).allSatisfy({ offsets[$0].isFinite }) else {
      throw .damaged(
        path: source.statePath,
        what: "\(Self.offsetTag) of layer \(source.place.layer), head \(source.place.head)",
        expected: keys.format == .int8 ? "finite numbers" : "nothing, with keys in \(keys.format.rawValue)",
        actual: "something else")
    }
    didRestore(keyOffsets: offsets)
  }

  /// Gives back the memory of rows that are unchanged in their file, but for the first and last ones, which every
  /// token reads; they are read again when they are needed.
  func releaseRestoredPages() {
    #if os(Linux)
      let page = Int(sysconf(Int32(_SC_PAGESIZE)))
      // On larger pages rows were copied, and dropping a copy would lose it.
      guard page <= SegmentLayout.rowAlignment else { return }
      for area in RowArea.areas(of: self) where area != .positions {
        let width = bytesPerRow(area)
        let start = (128 * width + page - 1) / page * page
        // Up to the last whole page without a change: dropping a changed one would lose the change.
        let end = min(firstUnsavedRow, count - 1024) * width / page * page
        if end > start { unsafe madvise(base(area) + start, end - start, MADV_DONTNEED) }
      }
    #endif
  }
}

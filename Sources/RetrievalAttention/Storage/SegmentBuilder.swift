// Writing a segment: what belongs into it is collected, then written from start to end, the header last.

import Platform
import VectorIndex

/// Where new segments go.
package enum SegmentDestination {
  /// Memory that lives as long as somebody has it open: for forks.
  case memory
  /// Files of a session's directory, numbered by the commit that they belong to. `home` stands for the session: paths
  /// are not enough, since a session may be removed and another one made in its place.
  case directory(String, commit: Int, home: String)
}

/// Collects the arrays of a segment, whose memory must stay as it is until ``write(to:)`` returns.
@safe struct SegmentBuilder {
  @unsafe private enum Source {
    case bytes(UnsafeRawBufferPointer, whenWritten: (() -> Void)?)
    case index(IndexFileWriter)
  }

  private let kind: SegmentKind
  private var entries: [SegmentEntry] = []
  private var sources: [Source] = unsafe []

  init(_ kind: SegmentKind) { self.kind = kind }

  var isEmpty: Bool { entries.isEmpty }

  mutating func add(
    _ tag: FileTag, layer: Int = 0, head: Int = 0, place: Int = 0, _ bytes: UnsafeRawBufferPointer,
    whenWritten: (() -> Void)? = nil
  ) {
    unsafe add(tag, layer, head, place, byteCount: bytes.count, .bytes(bytes, whenWritten: whenWritten))
  }

  mutating func add<Element>(_ tag: FileTag, layer: Int = 0, head: Int = 0, _ list: ListView<Element>) {
    unsafe add(
      tag, layer: layer, head: head,
      UnsafeRawBufferPointer(start: list.base, count: list.count * MemoryLayout<Element>.stride))
  }

  mutating func add(layer: Int, head: Int, _ index: IndexFileWriter) {
    unsafe add("indx", layer, head, 0, byteCount: index.byteCount, .index(index))
  }

  private mutating func add(
    _ tag: FileTag, _ layer: Int, _ head: Int, _ place: Int, byteCount: Int, _ source: Source
  ) {
    entries.append(
      SegmentEntry(
        tag: tag, layer: layer, head: head, offset: 0, byteCount: byteCount, place: place, checksum: 0))
    unsafe sources.append(source)
  }

  /// Writes the segment; nothing is left of it after an error. A file is on the disk when this returns.
  consuming func write(to destination: SegmentDestination) throws(StorageError) -> SegmentFile {
    let (descriptor, path) = try Self.create(kind, destination)
    do throws(StorageError) {
      let output = SegmentOutput(descriptor: descriptor, path: path)
      let (offsets, end) = SegmentHeader.offsets(of: entries.map(\.byteCount), kind: kind)
      for i in entries.indices {
        entries[i].offset = offsets[i]
        var sum = CRC32C()
        var position = offsets[i]
        func put(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
          try unsafe output.write(bytes, at: position)
          unsafe sum.update(bytes)
          position += bytes.count
        }
        switch unsafe sources[i] {
        case .bytes(let bytes, let whenWritten):
          try unsafe put(bytes)
          whenWritten?()
        case .index(let index): try unsafe index.forEachPart(put)
        }
        entries[i].checksum = sum.value
      }
      let (header, bytes) = SegmentHeader.make(kind: kind, entries: entries, byteCount: end)
      // The gaps between entries were never written: they read as zeros.
      guard ftruncate(descriptor, off_t(end)) == 0 else {
        throw .system(operation: "ftruncate", path: path, code: errno)
      }
      try unsafe bytes.withUnsafeBufferPointer { (bytes) throws(StorageError) in
        try unsafe output.write(UnsafeRawBufferPointer(bytes), at: 0)
      }
      if case .directory = destination { try output.synchronize() }
      return SegmentFile(descriptor: descriptor, header: header, path: path)
    } catch {
      close(descriptor)
      if case .directory = destination { unsafe unlink(path) }
      throw error
    }
  }

  private static func create(
    _ kind: SegmentKind, _ destination: SegmentDestination
  ) throws(StorageError) -> (descriptor: Int32, path: String) {
    switch destination {
    case .memory:
      return (try makeMemoryFile(), "a fork's memory")
    case .directory(let directory, let commit, _):
      let path = "\(directory)/\(name(kind, commit: commit))"
      let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      guard descriptor >= 0 else { throw .system(operation: "open", path: path, code: errno) }
      return (descriptor, path)
    }
  }

  /// `rows-000001`
  static func name(_ kind: SegmentKind, commit: Int) -> String {
    let digits = String(commit)
    return "\(kind.rawValue.lowercased())-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
  }

  /// A file without a name.
  private static func makeMemoryFile() throws(StorageError) -> Int32 {
    let descriptor = MemoryFile.open(name: "retrieval-attention")
    if descriptor >= 0 { return descriptor }
    guard errno == ENOSYS else {
      throw .system(operation: "memfd_create", path: "a fork's memory", code: errno)
    }
    // A temporary file without a name is as good: the system writes it out when it needs the memory.
    let folder = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    var name = Array("\(folder)/retrieval-attention-XXXXXX".utf8CString)
    let file = unsafe mkstemp(&name)
    guard file >= 0 else { throw .system(operation: "mkstemp", path: folder, code: errno) }
    unsafe unlink(name)
    _ = fcntl(file, F_SETFD, FD_CLOEXEC)
    return file
  }
}

/// Writes to a descriptor, however many calls it takes.
package struct SegmentOutput {
  private let descriptor: Int32
  private let path: String

  package init(descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
    var done = 0
    while done < bytes.count {
      // Systems take at most about 2^31 bytes a call.
      var count = min(bytes.count - done, 1 << 30)
      if let limit = WriteLimit.current {
        count = limit.take(count)
        guard count > 0 else { throw .system(operation: "write", path: path, code: ENOSPC) }
      }
      let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[done..<done + count])
      let written = unsafe pwrite(descriptor, part.baseAddress, part.count, off_t(offset + done))
      if written < 0 {
        if errno == EINTR { continue }
        throw .system(operation: "write", path: path, code: errno)
      }
      done += written
    }
  }

  package func synchronize() throws(StorageError) {
    while fsync(descriptor) != 0 {
      if errno == EINTR { continue }
      throw .system(operation: "fsync", path: path, code: errno)
    }
  }
}

/// A disk that is full after some bytes, for tests.
package final class WriteLimit: @unchecked Sendable {
  @TaskLocal package static var current: WriteLimit?
  package private(set) var bytesLeft: Int

  package init(bytes: Int) { bytesLeft = bytes }

  /// How many of `count` bytes still fit. Called by one task, as a task-local value is.
  func take(_ count: Int) -> Int {
    let taken = min(count, bytesLeft)
    bytesLeft -= taken
    return taken
  }
}

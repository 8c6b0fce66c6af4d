// An open segment, on disk or in memory: written once, then only mapped.

import Platform
import VectorIndex

/// A complete segment that stays readable as long as this object lives, also when its file is removed.
///
/// Nobody writes to it any more, so any number of engines may map it, each with changes of its own.
package final class SegmentFile {
  package let header: SegmentHeader
  /// For errors: the path, or what the memory is for.
  package let path: String
  /// The session whose manifest counts on this file; nil for memory, and before that.
  package internal(set) var home: String?
  /// The last part of the path.
  package var name: String { String(path.split(separator: "/").last ?? "") }
  let descriptor: Int32

  init(descriptor: Int32, header: SegmentHeader, path: String) {
    self.descriptor = descriptor
    self.header = header
    self.path = path
  }

  deinit { close(descriptor) }

  /// Opens a file of a session and checks its header, not its contents.
  package convenience init(opening path: String, home: String?) throws(StorageError) {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0, !path.utf8.contains(0) else {
      let code = descriptor >= 0 ? EINVAL : errno
      if descriptor >= 0 { close(descriptor) }
      throw .system(operation: "open", path: path, code: code)
    }
    do throws(StorageError) {
      let header = try Self.readHeader(descriptor, path: path)
      self.init(descriptor: descriptor, header: header, path: path)
      self.home = home
    } catch {
      close(descriptor)
      throw error
    }
  }

  private static func readHeader(_ descriptor: Int32, path: String) throws(StorageError) -> SegmentHeader {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw .system(operation: "fstat", path: path, code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notASegment(path: path) }
    let size = Int(status.st_size)
    guard size >= SegmentLayout.fixedHeader else {
      throw .damaged(
        path: path, what: "size", expected: "at least \(SegmentLayout.fixedHeader)", actual: "\(size)")
    }
    let fixed = try read(descriptor, count: SegmentLayout.fixedHeader, at: 0, path: path)
    let headerSize = try unsafe fixed.withUnsafeBufferPointer { (bytes) throws(StorageError) in
      try unsafe SegmentHeader.size(
        fixedPart: ByteReader(UnsafeRawBufferPointer(bytes)), path: path, fileSize: size)
    }
    let bytes = try read(descriptor, count: headerSize, at: 0, path: path)
    return try unsafe bytes.withUnsafeBufferPointer { (bytes) throws(StorageError) in
      try unsafe SegmentHeader(ByteReader(UnsafeRawBufferPointer(bytes)), path: path, fileSize: size)
    }
  }

  /// Whether the file is shorter than it was when it was opened.
  var isCut: Bool {
    var status = stat()
    return unsafe fstat(descriptor, &status) == 0 && Int(status.st_size) < header.byteCount
  }

  /// Reads `count` bytes from `offset` on.
  private static func read(
    _ descriptor: Int32, count: Int, at offset: Int, path: String
  ) throws(StorageError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    try unsafe bytes.withUnsafeMutableBufferPointer { (target) throws(StorageError) in
      try unsafe read(descriptor, into: UnsafeMutableRawBufferPointer(target), at: offset, path: path)
    }
    return bytes
  }

  static func read(
    _ descriptor: Int32, into target: UnsafeMutableRawBufferPointer, at offset: Int, path: String
  ) throws(StorageError) {
    var done = 0
    while done < target.count {
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: target[done...])
      let count = unsafe pread(descriptor, part.baseAddress, min(part.count, 1 << 30), off_t(offset + done))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .system(operation: "read", path: path, code: count < 0 ? errno : EIO) }
      done += count
    }
  }

  /// Writes the same file once more, as where a link is not possible.
  package func copy(to path: String) throws(StorageError) {
    let mapping = try map()
    let target = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard target >= 0 else { throw .system(operation: "open", path: path, code: errno) }
    defer { close(target) }
    let output = SegmentOutput(descriptor: target, path: path)
    // Only what is there: gaps stay gaps.
    let headerSize = SegmentHeader.size(entryCount: header.entries.count)
    try unsafe output.write(UnsafeRawBufferPointer(rebasing: mapping.bytes[..<headerSize]), at: 0)
    for entry in header.entries {
      try unsafe output.write(UnsafeRawBufferPointer(mapping[entry]), at: entry.offset)
    }
    guard ftruncate(target, off_t(header.byteCount)) == 0 else {
      throw .system(operation: "ftruncate", path: path, code: errno)
    }
    try output.synchronize()
  }

  /// The whole segment as private memory: changes stay with whoever asked.
  func map() throws(StorageError) -> SegmentMapping {
    try SegmentMapping(self)
  }

  /// Compares all bytes with their checksums. Cost: one pass over the file.
  package func verify() throws(StorageError) {
    // Again from the file: it may have changed since it was opened.
    let header = try Self.readHeader(descriptor, path: path)
    guard header == self.header else {
      throw .damaged(
        path: path, what: "header", expected: "what it was when opened", actual: "something else")
    }
    let chunkSize = 1 << 20
    var chunk = [UInt8](repeating: 0, count: chunkSize)
    func forEachChunk(
      _ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Void
    ) throws(StorageError) {
      for start in stride(from: range.lowerBound, to: range.upperBound, by: chunkSize) {
        let count = min(chunkSize, range.upperBound - start)
        try unsafe chunk.withUnsafeMutableBufferPointer { (bytes) throws(StorageError) in
          let part = unsafe UnsafeMutableRawBufferPointer(
            UnsafeMutableBufferPointer(rebasing: bytes[..<count]))
          try unsafe Self.read(descriptor, into: part, at: start, path: path)
          try unsafe body(UnsafeRawBufferPointer(part))
        }
      }
    }
    var end = SegmentHeader.size(entryCount: header.entries.count)
    for (number, entry) in header.entries.enumerated() {
      try unsafe forEachChunk(end..<entry.offset) { (bytes) throws(StorageError) in
        guard unsafe bytes.allSatisfy({ $0 == 0 }) else {
          throw .damaged(
            path: path, what: "a byte before entry \(number)", expected: "0", actual: "not 0")
        }
      }
      var sum = CRC32C()
      try unsafe forEachChunk(entry.offset..<entry.end) { (bytes) throws(StorageError) in
        unsafe sum.update(bytes)
      }
      guard sum.value == entry.checksum else {
        throw .damaged(
          path: path,
          what: "the checksum of entry \(number) (\(entry.tag), layer \(entry.layer), head \(entry.head))",
          expected: String(entry.checksum, radix: 16), actual: String(sum.value, radix: 16))
      }
      end = entry.end
    }
  }
}

/// A private, writable mapping of a whole segment, undone when the last reference goes.
final class SegmentMapping {
  private let mapping: FileMapping
  private let file: SegmentFile

  init(_ file: SegmentFile) throws(StorageError) {
    self.file = file
    do {
      mapping = try FileMapping(
        descriptor: file.descriptor, byteCount: file.header.byteCount, path: file.path)
    } catch {
      guard case .system(let operation, let code) = error else { throw .notASegment(path: file.path) }
      throw .system(operation: operation, path: file.path, code: code)
    }
  }

  var bytes: UnsafeMutableRawBufferPointer { unsafe mapping.bytes }

  /// The file, if it became shorter and something was missing when it was read; nil otherwise.
  var cutFile: String? { mapping.cutFile }

  @unsafe func reader(of entry: SegmentEntry) -> ByteReader {
    unsafe ByteReader(UnsafeRawBufferPointer(self[entry]))
  }

  subscript(entry: SegmentEntry) -> UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[entry.offset..<entry.end])
  }
}

/// Darwin takes no notice of the flag, and Linux needs it: a context larger than memory may be mapped writable.
let mapWithoutReserve = MAP_NORESERVE

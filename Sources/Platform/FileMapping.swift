// A file as memory.

import Foundation

/// A private mapping of a whole file, undone when the last reference goes.
///
/// Pages are read when they are touched. Writing to the memory copies the page and never reaches the file. The file may
/// be replaced or removed meanwhile. When another program cuts it short, touching what is missing ends the process; in
/// a watched mapping that reads as zeros instead: look at ``cutFile`` before anything is used that was read.
@safe package final class FileMapping {
  /// Why a file cannot be mapped.
  package enum Failure: Error, Equatable {
    case system(operation: String, code: Int32)
    case isDirectory
    /// A device or a pipe.
    case notARegularFile
    case tooSmall(byteCount: Int)
  }

  package let bytes: UnsafeMutableRawBufferPointer
  private var watch: MappingWatch?

  /// Maps the file of a path, of at least `minimum` bytes, which is at least 1.
  package convenience init(path: String, minimum: Int = 1, isWatched: Bool = true) throws(Failure) {
    // Not to wait for the other end of a pipe, should it be one.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0, !path.utf8.contains(0) else {
      let code = descriptor >= 0 ? EINVAL : errno
      if descriptor >= 0 { close(descriptor) }
      throw .system(operation: "open", code: code)
    }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw .system(operation: "fstat", code: errno) }
    if status.st_mode & S_IFMT == S_IFDIR { throw .isDirectory }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notARegularFile }
    let count = Int(status.st_size)
    guard count >= minimum else { throw .tooSmall(byteCount: count) }
    try self.init(descriptor: descriptor, byteCount: count, path: path, isWatched: isWatched)
  }

  /// Maps the first bytes of an open file; `path` is its name in errors.
  package init(descriptor: Int32, byteCount: Int, path: String, isWatched: Bool = true) throws(Failure) {
    // Linux has to be told that the memory need not be there: more than it has may be mapped writable.
    let (access, flags) = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE)
    guard let start = unsafe mmap(nil, byteCount, access, flags, descriptor, 0), unsafe start != MAP_FAILED
    else {
      throw .system(operation: "mmap", code: errno)
    }
    unsafe bytes = UnsafeMutableRawBufferPointer(start: start, count: byteCount)
    watch = unsafe isWatched ? MappingWatch(start, byteCount: byteCount, path: path) : nil
  }

  deinit {
    // Before others may get the addresses.
    watch = nil
    unsafe munmap(bytes.baseAddress, bytes.count)
  }

  /// For reading it from the beginning, as long as the mapping is there.
  package var reader: ByteReader { unsafe ByteReader(UnsafeRawBufferPointer(bytes)) }

  /// The file, if it became shorter and something was missing when it was read; nil otherwise.
  package var cutFile: String? { watch.flatMap { $0.isCut ? $0.path : nil } }
}

// A file as memory.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// A private mapping of a whole file, undone when the last reference goes.
///
/// Pages are read when they are touched. Writing to the memory copies the page and never reaches the file, so a
/// loaded index may change elements in place. The file may be replaced or removed meanwhile, but it must not be
/// cut short or written to: touching what is no longer there ends the process.
final class FileMapping {
  let bytes: UnsafeMutableRawBufferPointer

  /// - Throws: ``IndexFileError/system(operation:path:code:)``, ``IndexFileError/notARegularFile(path:)``,
  ///   ``IndexFileError/wrongSize(path:expected:actual:)`` for less than `minimum` bytes, which is at least 1.
  init(path: String, minimum: Int) throws(IndexFileError) {
    // Not to wait for the other end of a pipe, should it be one.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0, !path.utf8.contains(0) else {
      let code = descriptor >= 0 ? EINVAL : errno
      if descriptor >= 0 { close(descriptor) }
      throw .system(operation: "open", path: path, code: code)
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .system(operation: "fstat", path: path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notARegularFile(path: path) }
    let count = Int(status.st_size)
    guard count >= minimum else {
      throw .wrongSize(path: path, expected: UInt64(minimum), actual: UInt64(count))
    }
    let (access, flags) = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE)
    guard let start = mmap(nil, count, access, flags, descriptor, 0), start != MAP_FAILED else {
      throw .system(operation: "mmap", path: path, code: errno)
    }
    bytes = UnsafeMutableRawBufferPointer(start: start, count: count)
  }

  deinit {
    munmap(bytes.baseAddress, bytes.count)
  }
}

/// The system's words for an error code.
func systemMessage(_ code: Int32) -> String { String(cString: strerror(code)) }

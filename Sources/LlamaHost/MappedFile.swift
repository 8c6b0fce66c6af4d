// A file's bytes, mapped read-only.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A read-only mapping, undone when the last reference goes.
///
/// The bytes of a file that someone cuts short meanwhile end the process; this is for headers, read at once.
final class MappedFile {
  let bytes: UnsafeRawBufferPointer

  init(path: String) throws(GGUFError) {
    var status = stat()
    guard stat(path, &status) == 0 else {
      let code = errno
      // A component that is no directory means that there is no such file, too.
      if code == ENOENT || code == ENOTDIR { throw .notFound(path: path) }
      throw .unreadable(path: path, reason: Self.text(code))
    }
    if status.st_mode & S_IFMT == S_IFDIR { throw .isDirectory(path: path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .unreadable(path: path, reason: "it is not a regular file")
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .unreadable(path: path, reason: Self.text(errno)) }
    defer { close(descriptor) }
    // Again on the open file: the name may mean another one by now.
    guard fstat(descriptor, &status) == 0 else { throw .unreadable(path: path, reason: Self.text(errno)) }
    let count = Int(status.st_size)
    guard count > 0 else { throw .empty(path: path) }
    guard let start = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED else {
      throw .unreadable(path: path, reason: Self.text(errno))
    }
    bytes = UnsafeRawBufferPointer(start: start, count: count)
  }

  deinit {
    if let start = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: start), bytes.count) }
  }

  private static func text(_ code: Int32) -> String { String(cString: strerror(code)) }
}

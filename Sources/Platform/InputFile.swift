// Bytes of files and pipes, never more than there is room for.

package import Foundation

/// Reading a file, a pipe or standard input whole, up to a limit.
package enum InputFile {
  /// Why the bytes could not be had.
  package enum Failure: Error, Equatable {
    /// Larger than allowed; `byteCount` is nil for a pipe, whose size nobody knows.
    case tooLarge(byteCount: Int?, limit: Int)
    case isDirectory
    /// A system call failed; `code` is its `errno`.
    case system(code: Int32)
  }

  /// The bytes of a file or pipe. A file that is too large is told by its size, before anything of it is read.
  package static func read(_ path: String, limit: Int) throws(Failure) -> Data {
    guard !path.utf8.contains(0) else { throw .system(code: ENOENT) }
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(code: errno) }
    defer { close(descriptor) }
    return try read(descriptor, limit: limit)
  }

  /// The bytes that are left in an open file or pipe.
  package static func read(_ descriptor: Int32, limit: Int) throws(Failure) -> Data {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw .system(code: errno) }
    if status.st_mode & S_IFMT == S_IFDIR { throw .isDirectory }
    let size = status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : nil
    if let size, size > limit { throw .tooLarge(byteCount: size, limit: limit) }
    var data = Data()
    data.reserveCapacity(size ?? 0)
    var chunk = [UInt8](repeating: 0, count: 1 << 18)
    while true {
      let count = unsafe Foundation.read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .system(code: errno) }
      guard count > 0 else { return data }
      // Files of /proc and pipes have no size, and a file may grow meanwhile.
      guard data.count + count <= limit else { throw .tooLarge(byteCount: nil, limit: limit) }
      data.append(contentsOf: chunk[..<count])
    }
  }
}

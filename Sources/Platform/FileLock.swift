// One process at a time.

import Foundation

/// The right to something that several processes could want, such as a folder. It goes with the process, however that
/// ends.
package final class FileLock: Sendable {
  package enum Failure: Error, Equatable {
    /// Another one has it; what that one has written about itself.
    case held(owner: String)
    case system(operation: String, code: Int32)
  }

  private let descriptor: Int32

  /// Takes the lock that a file stands for, which is made if there is none.
  ///
  /// - Parameters:
  ///   - owner: is written into the file, to tell others who has it; nil leaves the file as it is.
  ///   - mode: of a file that is made; nil makes none, and a missing one is an error.
  package init(_ path: String, owner: String? = nil, mode: mode_t? = 0o666) throws(Failure) {
    descriptor = unsafe open(path, O_RDWR | O_CLOEXEC | (mode == nil ? 0 : O_CREAT), mode ?? 0)
    guard descriptor >= 0 else { throw .system(operation: "open", code: errno) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      var bytes = [UInt8](repeating: 0, count: 200)
      let count = unsafe pread(descriptor, &bytes, bytes.count, 0)
      close(descriptor)
      guard code == EWOULDBLOCK else { throw .system(operation: "flock", code: code) }
      let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
      throw .held(owner: text.trimmingCharacters(in: .whitespacesAndNewlines))
    }
    guard let owner else { return }
    // Only to tell people; the lock works without.
    _ = ftruncate(descriptor, 0)
    _ = unsafe Array(owner.utf8).withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, 0) }
  }

  deinit { close(descriptor) }

  /// Lets another process have it, while this object lives on.
  package func release() { flock(descriptor, LOCK_UN) }
}

// Standard output and standard error: both can be full, closed, or a pipe that nobody reads.

import Foundation
import Synchronization

/// One of the process's two outputs. Writing never ends the process: the first failure is kept, and nothing is written
/// after it, so that a program can go on to where it may end, and tell then.
///
/// Thread-safe.
package final class StandardStream: Sendable {
  package static let output = StandardStream(descriptor: STDOUT_FILENO, name: "standard output")
  package static let error = StandardStream(descriptor: STDERR_FILENO, name: "standard error")

  /// Why nothing more could be written.
  package struct Failure: Error, Equatable, CustomStringConvertible {
    package var stream: String
    /// The system's error code.
    package var code: Int32

    /// Whether whoever read a pipe has left: the program is to end, and nobody is there to be told.
    package var isClosedPipe: Bool { code == EPIPE }
    /// Whether the stream was closed before the program began.
    package var isClosed: Bool { code == EBADF }

    package var description: String { unsafe "cannot write to \(stream): \(String(cString: strerror(code)))" }
  }

  private let descriptor: Int32
  private let name: String
  private let state = Mutex<Failure?>(nil)

  init(descriptor: Int32, name: String) {
    self.descriptor = descriptor
    self.name = name
  }

  /// What went wrong, if anything did.
  package var failure: Failure? { state.withLock { $0 } }

  /// Writes a text at once.
  ///
  /// - Returns: the failure, when this is the first text that could not be written.
  @discardableResult
  package func write(_ text: String) -> Failure? {
    var text = text
    return text.withUTF8 { bytes in
      state.withLock { failure -> Failure? in
        guard failure == nil else { return nil }
        var done = 0
        while done < bytes.count {
          let count = unsafe Foundation.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
          if count < 0, errno == EINTR { continue }
          if count < 0, errno == EAGAIN {
            // Another program made the terminal or pipe non-blocking.
            var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            unsafe poll(&request, 1, -1)
            continue
          }
          guard count >= 0 else {
            failure = Failure(stream: name, code: errno)
            return failure
          }
          done += count
        }
        return nil
      }
    }
  }

  /// To be called before anything is opened: descriptors of closed streams would be given to files, and what is written
  /// to the streams would go there. A pipe without a reader becomes an error instead of the end of the process.
  package static func prepare() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) == -1 && errno == EBADF {
      // Open for the other direction, so that using it is the error that it was.
      _ = unsafe open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
    signal(SIGPIPE, SIG_IGN)
  }
}

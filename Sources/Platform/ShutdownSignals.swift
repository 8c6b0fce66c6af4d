// Signals that end a server: the first one in good order, the next one at once.

import Foundation
import Synchronization

/// Catches signals for one server of the process.
///
/// The handler itself ends the process at the second signal, so that this needs no thread to be free: not on one CPU
/// that computes, nor when the server hangs. As `kill -9` does, it can leave nothing half written: sessions appear
/// complete or not at all.
package struct ShutdownSignals: Sendable {
  private let numbers: [Int32]
  /// Ends with the first signal.
  package let first: AsyncStream<Void>

  /// Catches signals of these numbers from now on.
  package init(_ numbers: [Int32]) {
    self.numbers = numbers
    let (stream, continuation) = AsyncStream<Void>.makeStream()
    first = stream
    var ends: [Int32] = [-1, -1]
    guard !numbers.isEmpty, unsafe pipe(&ends) == 0 else { return }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let reader = ends[0]
    count.store(0, ordering: .releasing)
    writer.store(ends[1], ordering: .releasing)
    let thread = Thread {
      var byte: UInt8 = 0
      while unsafe read(reader, &byte, 1) < 0, errno == EINTR {}
      close(reader)
      continuation.finish()
    }
    thread.name = "signals"
    thread.start()
    for number in numbers { _ = signal(number, take) }
  }

  /// Gives the signals back.
  package func stop() {
    for number in numbers { _ = signal(number, SIG_DFL) }
    let end = writer.exchange(-1, ordering: .acquiringAndReleasing)
    if end >= 0 { close(end) }
  }
}

// A handler can reach nothing but globals, and may call only what is safe in handlers.

/// Signals that came.
private let count = Atomic(0)
/// Where the thread hears of the first one.
private let writer = Atomic<Int32>(-1)

private func take(_ number: Int32) {
  guard count.wrappingAdd(1, ordering: .acquiringAndReleasing).oldValue == 0 else { _exit(128 + number) }
  let code = errno
  var byte: UInt8 = 1
  _ = unsafe write(writer.load(ordering: .acquiring), &byte, 1)
  errno = code
}

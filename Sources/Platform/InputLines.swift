// Lines of standard input, none of them endless.

import Foundation

/// Lines of an open file or pipe, one after another.
package struct InputLines {
  /// A line that has no end within the limit, in bytes.
  package struct TooLong: Error, Equatable, CustomStringConvertible {
    package var limit: Int

    package var description: String { "a line of the input has more than \(limit) bytes" }
  }

  private let descriptor: Int32
  private let limit: Int
  private var bytes: [UInt8] = []
  /// Bytes of ``bytes`` in which there is no end of a line.
  private var searched = 0
  private var isAtEnd = false

  package init(descriptor: Int32 = STDIN_FILENO, limit: Int) {
    self.descriptor = descriptor
    self.limit = limit
  }

  /// The next line without its end, invalid UTF-8 replaced; nil behind the last one, and when nothing can be read any
  /// more.
  package mutating func next() throws(TooLong) -> String? {
    while true {
      if let end = bytes[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        return take(end, dropping: end + 1)
      }
      searched = bytes.count
      if isAtEnd { return bytes.isEmpty ? nil : take(bytes.count, dropping: bytes.count) }
      guard bytes.count <= limit else { throw TooLong(limit: limit) }
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      let count = unsafe read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      if count > 0 { bytes += chunk[..<count] } else { isAtEnd = true }
    }
  }

  private mutating func take(_ end: Int, dropping count: Int) -> String {
    var line = bytes[..<end]
    if line.last == UInt8(ascii: "\r") { line.removeLast() }
    defer {
      bytes.removeFirst(count)
      searched = 0
    }
    return String(decoding: line, as: UTF8.self)
  }
}

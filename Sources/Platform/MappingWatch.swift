// Mapped files that somebody cuts short.

import CSystemCalls

/// Keeps a process alive when a file becomes shorter that it has mapped: missing pages read as zeros, and ``isCut``
/// tells that what was computed from them is worthless.
///
/// Whoever reads watched memory must look before a result is used: ``cutCount`` first, which is one load.
package final class MappingWatch: Sendable {
  private let number: Int32
  /// The file, for errors.
  package let path: String

  /// - Parameters:
  ///   - start: of whole pages, mapped until this object is gone.
  package init(_ start: UnsafeMutableRawPointer, byteCount: Int, path: String) {
    number = unsafe ra_watch_mapping(start, byteCount)
    self.path = path
  }

  deinit { ra_unwatch_mapping(number) }

  /// Whether something was missing when it was touched.
  package var isCut: Bool { ra_mapping_is_cut(number) != 0 }

  /// How often something was missing in any mapping of this process.
  package static var cutCount: UInt32 { ra_mapping_cut_count() }

  /// What a program says as its last words when a mapped file is cut short that nobody watches, as the model's own.
  package static func endProcess(saying sentence: StaticString) {
    sentence.withUTF8Buffer { bytes in
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
      for index in 0..<bytes.count { unsafe copy[index] = CChar(bitPattern: bytes[index]) }
      unsafe copy[bytes.count] = 0
      unsafe ra_set_bus_error_sentence(copy)
    }
  }
}

// Names inside an index file: four ASCII characters, readable in a hex dump.

/// The name of a kind of index, a section or a parameter: four printable ASCII characters.
///
/// In a file: the four bytes in reading order.
package struct FileTag: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  /// The four bytes as a little-endian number.
  package let code: UInt32

  package init(code: UInt32) {
    self.code = code
  }

  package init(stringLiteral text: String) {
    precondition(
      text.utf8.count == 4 && text.utf8.allSatisfy { 0x20...0x7e ~= $0 },
      "the tag \"\(text)\" is not four ASCII characters")
    code = text.utf8.reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// The characters; for bytes that are none, as a damaged file may have, the number in hexadecimal.
  package var description: String {
    let bytes = (0..<4).map { UInt8(truncatingIfNeeded: code >> (8 * UInt32($0))) }
    guard bytes.allSatisfy({ 0x20...0x7e ~= $0 }) else { return "0x" + String(code, radix: 16) }
    return String(decoding: bytes, as: UTF8.self)
  }
}

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

  /// A letter and a number of up to three digits, as `l007`: one of several sections of the same content.
  package init(_ letter: Unicode.Scalar, _ number: Int) {
    precondition(0...999 ~= number, "the number \(number) of a tag is not in 0...999")
    precondition(0x20...0x7e ~= letter.value, "the letter of a tag is not in ASCII")
    let digits = [number / 100, number / 10 % 10, number % 10].map { 0x30 + UInt32($0) }
    code = letter.value | digits[0] << 8 | digits[1] << 16 | digits[2] << 24
  }

  /// The characters; for bytes that are none, as a damaged file may have, the number in hexadecimal.
  package var description: String {
    let bytes = (0..<4).map { UInt8(truncatingIfNeeded: code >> (8 * UInt32($0))) }
    guard bytes.allSatisfy({ 0x20...0x7e ~= $0 }) else { return "0x" + String(code, radix: 16) }
    return String(decoding: bytes, as: UTF8.self)
  }
}

// Bytes to text: UTF-8, what has a byte order mark, and what older systems left.

import Foundation

/// A file's text, and how it was understood.
struct DecodedText {
  var text: String
  /// What had to be guessed or repaired, as the rest of a sentence about the file; nil for nothing.
  var note: String?

  /// Decodes a file's bytes.
  ///
  /// In this order: a byte order mark counts; then UTF-8; UTF-16 without a mark, recognized by its NUL bytes; UTF-8
  /// with single bad bytes; Windows-1252, of which Latin-1 is a part as far as text goes.
  ///
  /// - Parameter path: for errors.
  init(_ data: Data, path: String) throws(DocumentError) {
    if let marked = Self.marked(data) {
      self = marked
    } else if let zero = data.firstIndex(of: 0) {
      guard let text = Self.unmarked(data) else {
        throw .binary(path: path, offset: zero - data.startIndex, byte: 0)
      }
      self = text
    } else if let text = String(validating: data, as: UTF8.self) {
      self.init(text: text)
    } else {
      self = try Self.guessed(data, path: path)
    }
    text = Self.withLineFeeds(text)
  }

  private init(text: String, note: String? = nil) {
    self.text = text
    self.note = note
  }

  private static func marked(_ data: Data) -> DecodedText? {
    let marks: [(bytes: [UInt8], decode: (Data) -> (text: String, isValid: Bool))] = [
      ([0xEF, 0xBB, 0xBF], { repaired($0, as: UTF8.self) }),
      ([0xFF, 0xFE, 0x00, 0x00], { repaired(units($0, UInt32.init(littleEndian:)), as: UTF32.self) }),
      ([0x00, 0x00, 0xFE, 0xFF], { repaired(units($0, UInt32.init(bigEndian:)), as: UTF32.self) }),
      ([0xFF, 0xFE], { repaired(units($0, UInt16.init(littleEndian:)), as: UTF16.self) }),
      ([0xFE, 0xFF], { repaired(units($0, UInt16.init(bigEndian:)), as: UTF16.self) }),
    ]
    guard let mark = marks.first(where: { data.starts(with: $0.bytes) }) else { return nil }
    let (text, isValid) = mark.decode(data.dropFirst(mark.bytes.count))
    guard !text.unicodeScalars.contains("\0") else { return nil }
    return DecodedText(
      text: text, note: isValid ? nil : "has damaged characters, which are shown as \u{FFFD}")
  }

  private static func repaired<Encoding: Unicode.Encoding>(
    _ units: some Collection<Encoding.CodeUnit>, as encoding: Encoding.Type
  ) -> (text: String, isValid: Bool) {
    if let text = String(validating: units, as: encoding) { return (text, true) }
    return (String(decoding: units, as: encoding), false)
  }

  /// Whole units; bytes behind the last one are dropped.
  private static func units<Unit: FixedWidthInteger>(_ data: Data, _ order: (Unit) -> Unit) -> [Unit] {
    let size = Unit.bitWidth / 8
    return unsafe data.withUnsafeBytes { bytes in
      (0..<bytes.count / size).map { index in
        unsafe order(bytes.loadUnaligned(fromByteOffset: index * size, as: Unit.self))
      }
    }
  }

  /// UTF-16 without a mark: all NUL bytes are on one side of the units, enough of them, and every unit is a character
  /// that texts have.
  private static func unmarked(_ data: Data) -> DecodedText? {
    guard data.count % 2 == 0 else { return nil }
    var zeros = [0, 0]
    for (offset, byte) in data.enumerated() where byte == 0 { zeros[offset % 2] += 1 }
    // Of a few units, all: pairs of any two letters are characters of Chinese. Of more, what languages with Latin
    // letters have.
    let count = data.count / 2
    guard zeros[0] + zeros[1] >= (count < 16 ? count : count * 3 / 10) else { return nil }
    let text: String?
    let name: String
    switch (zeros[0], zeros[1]) {
    case (0, 1...):
      text = String(validating: units(data, UInt16.init(littleEndian:)), as: UTF16.self)
      name = "UTF-16 (little-endian)"
    case (1..., 0):
      text = String(validating: units(data, UInt16.init(bigEndian:)), as: UTF16.self)
      name = "UTF-16 (big-endian)"
    default: return nil
    }
    guard let text, text.unicodeScalars.allSatisfy(isOfText) else { return nil }
    return DecodedText(text: text, note: "is taken for \(name)")
  }

  private static func isOfText(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control: ["\t", "\n", "\r", "\u{C}", "\u{1B}"].contains(scalar)
    case .unassigned, .privateUse, .surrogate: false
    default: true
    }
  }

  /// Neither a mark nor UTF-8, and no NUL byte.
  private static func guessed(_ data: Data, path: String) throws(DocumentError) -> DecodedText {
    let counts = UTF8Counts(data)
    if counts.characters > counts.badBytes {
      let bytes = counts.badBytes == 1 ? "1 byte that is" : "\(counts.badBytes) bytes that are"
      return DecodedText(
        text: String(decoding: data, as: UTF8.self), note: "has \(bytes) no UTF-8, shown as \u{FFFD}")
    }
    var text = String.UnicodeScalarView()
    var (high, visible) = (0, 0)
    for (offset, byte) in data.enumerated() {
      guard let scalar = windows1252(byte), isOfText(scalar) else {
        throw .binary(path: path, offset: offset, byte: byte)
      }
      if byte >= 0x80 { high += 1 }
      if byte > 0x20 { visible += 1 }
      text.append(scalar)
    }
    // Languages of Western Europe have at most a few of ten letters beyond ASCII; other alphabets nearly all.
    guard high * 10 <= visible * 4 else { throw .unknownEncoding(path: path) }
    return DecodedText(text: String(text), note: "is taken for Windows-1252 (Latin-1)")
  }

  /// nil for bytes that mean nothing.
  private static func windows1252(_ byte: UInt8) -> Unicode.Scalar? {
    guard (0x80...0x9F).contains(byte) else { return Unicode.Scalar(byte) }
    let scalar = Array("€\0‚ƒ„…†‡ˆ‰Š‹Œ\0Ž\0\0‘’“”•–—˜™š›œ\0žŸ".unicodeScalars)[Int(byte) - 0x80]
    return scalar == "\0" ? nil : scalar
  }

  /// Line feeds alone, so that lines and offsets mean the same everywhere.
  private static func withLineFeeds(_ text: String) -> String {
    guard text.utf8.contains(UInt8(ascii: "\r")) else { return text }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    var last: UInt8 = 0
    for byte in text.utf8 {
      if byte != UInt8(ascii: "\n") || last != UInt8(ascii: "\r") {
        bytes.append(byte == UInt8(ascii: "\r") ? UInt8(ascii: "\n") : byte)
      }
      last = byte
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// How much of some bytes is UTF-8 beyond ASCII, and how much is not.
private struct UTF8Counts {
  var characters = 0
  var badBytes = 0

  init(_ data: Data) {
    var decoder = UTF8()
    var bytes = data.makeIterator()
    while true {
      switch decoder.decode(&bytes) {
      case .scalarValue(let scalar): if !scalar.isASCII { characters += 1 }
      case .error: badBytes += 1
      case .emptyInput: return
      }
    }
  }
}

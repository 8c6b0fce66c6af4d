// Bytes of a text that may go on: whoever looks behind the end is told, so that nothing is decided too early.

/// Reads UTF-8 at offsets. Damaged bytes are characters of one byte.
struct TextCursor {
  let bytes: [UInt8]
  /// Whether the text ends where the bytes do.
  let isFinal: Bool
  /// Something behind the bytes was asked for: with more text the answer might be another.
  private(set) var ranOut = false

  init(_ bytes: [UInt8], isFinal: Bool) {
    self.bytes = bytes
    self.isFinal = isFinal
  }

  /// The byte at an offset; nil behind the end.
  mutating func byte(_ offset: Int) -> UInt8? {
    guard offset < bytes.count else {
      ranOut = true
      return nil
    }
    return bytes[offset]
  }

  /// The character at an offset and its length in bytes; U+FFFD of one byte where it is damaged, nil behind the end.
  mutating func scalar(_ offset: Int) -> (value: UInt32, length: Int)? {
    guard let first = byte(offset) else { return nil }
    if first < 0x80 { return (UInt32(first), 1) }
    let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1
    guard length > 1 else { return (0xFFFD, 1) }
    var value = UInt32(first) & (0xFF >> UInt32(length + 1))
    for index in 1..<length {
      guard let next = byte(offset + index), next & 0xC0 == 0x80 else { return (0xFFFD, 1) }
      value = value << 6 | UInt32(next & 0x3F)
    }
    return (value, length)
  }

  /// Bytes of the blank at an offset; 0 for anything else and behind the end.
  mutating func blankLength(_ offset: Int) -> Int {
    guard let first = byte(offset) else { return 0 }
    if first < 0x80 { return Self.isBlank(first) ? 1 : 0 }
    guard first == 0xC2 || first == 0xE2 || first == 0xE3 || first == 0xEF else { return 0 }
    guard let (value, length) = scalar(offset) else { return 0 }
    switch value {
    case 0x85, 0xA0, 0x2000...0x200B, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF: return length
    default: return 0
    }
  }

  /// The first offset from `offset` on that is no blank of the same line.
  mutating func skipBlanks(_ offset: Int) -> Int {
    var offset = offset
    while byte(offset) != Ascii.newline {
      let length = blankLength(offset)
      if length == 0 { break }
      offset += length
    }
    return offset
  }

  /// ASCII's blanks, line ends among them.
  static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}

/// Characters of ASCII that have a meaning here.
enum Ascii {
  static let newline = UInt8(ascii: "\n")
  static let stop = UInt8(ascii: ".")

  static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
  static func isUpper(_ byte: UInt8) -> Bool { byte >= 0x41 && byte <= 0x5A }
  static func isLower(_ byte: UInt8) -> Bool { byte >= 0x61 && byte <= 0x7A }
  static func isLetter(_ byte: UInt8) -> Bool { isUpper(byte) || isLower(byte) }
}

/// Classes of characters that tell where sentences end.
enum Characters {
  /// Marks that end a sentence in any script.
  static func endsSentence(_ value: UInt32) -> Bool {
    switch value {
    case 0x2E, 0x21, 0x3F, 0x2026, 0x061F, 0x06D4, 0x0964, 0x0965, 0x203C, 0x2047...0x2049: true
    default: isWideStop(value)
    }
  }

  /// Full stops of Chinese and Japanese, behind which no blank stands.
  static func isWideStop(_ value: UInt32) -> Bool {
    switch value {
    case 0x3002, 0xFF01, 0xFF0E, 0xFF1F, 0xFF61: true
    default: false
    }
  }

  /// Quotes, brackets and marks of emphasis that may stand behind the stop of a sentence and belong to it.
  static func closes(_ value: UInt32) -> Bool {
    switch value {
    case 0x22, 0x27, 0x29, 0x5D, 0x7D, 0x2A, 0x5F, 0x60, 0xBB, 0x2019, 0x201D, 0x203A: true
    case 0x3009, 0x300B, 0x300D, 0x300F, 0x3011, 0x3015, 0xFF09, 0xFF3D: true
    default: false
    }
  }

  /// Quotes, brackets and marks of emphasis that may stand in front of a sentence's first word.
  static func opens(_ value: UInt32) -> Bool {
    switch value {
    case 0x22, 0x27, 0x28, 0x5B, 0x7B, 0x2A, 0x5F, 0x60, 0xA1, 0xAB, 0xBF, 0x2018, 0x201C, 0x201E, 0x2039:
      true
    case 0x3008, 0x300A, 0x300C, 0x300E, 0x3010, 0x3014, 0xFF08, 0xFF3B: true
    default: false
    }
  }

  /// Commas and their kin, behind which a sentence that is too long is cut.
  static func endsClause(_ value: UInt32) -> Bool {
    switch value {
    case 0x2C, 0x3A, 0x3B, 0x2014, 0x3001, 0xFF0C, 0xFF1A, 0xFF1B: true
    default: false
    }
  }

  /// Characters of scripts without blanks between words: ideographs, kana and their extensions.
  static func isIdeographic(_ value: UInt32) -> Bool {
    switch value {
    case 0x2E80...0x2FFF, 0x3005...0x3007, 0x3040...0x30FF, 0x3400...0x4DBF, 0x4E00...0x9FFF: true
    case 0xF900...0xFAFF, 0x20000...0x3FFFF: true
    default: false
    }
  }

  static func isLowercase(_ value: UInt32) -> Bool {
    if value < 0x80 { return Ascii.isLower(UInt8(value)) }
    return Unicode.Scalar(value)?.properties.isLowercase ?? false
  }

  static func isUppercase(_ value: UInt32) -> Bool {
    if value < 0x80 { return Ascii.isUpper(UInt8(value)) }
    return Unicode.Scalar(value)?.properties.isUppercase ?? false
  }

  /// Letters, with the marks on them, and digits.
  static func isWord(_ value: UInt32) -> Bool {
    if value < 0x80 { return Ascii.isLetter(UInt8(value)) || Ascii.isDigit(UInt8(value)) }
    guard let scalar = Unicode.Scalar(value) else { return false }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return true
    case .decimalNumber, .letterNumber, .nonspacingMark, .spacingMark: return true
    default: return false
    }
  }
}

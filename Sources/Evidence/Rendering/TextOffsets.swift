// Offsets of a text in the units that others count in.

/// A place in a text, counted in every unit.
public struct TextPlace: Sendable, Hashable, Codable {
  /// UTF-8 bytes in front of it.
  public var byte: Int
  /// UTF-16 units in front of it: JavaScript, Java, Foundation's `NSString`.
  public var utf16: Int
  /// Unicode scalars in front of it: the characters of Python's strings.
  public var scalar: Int
  /// Its line, from 1 on.
  public var line: Int
}

/// Finds the places of bytes of one text, after one pass over it, in time that does not grow with the text.
public struct TextOffsets: Sendable {
  private let text: String
  /// Places of the multiples of ``stride``.
  private var marks: [TextPlace]
  private static let stride = 4096

  /// Counts the text once.
  public init(_ text: String) {
    var text = text
    text.makeContiguousUTF8()
    self.text = text
    var place = TextPlace(byte: 0, utf16: 0, scalar: 0, line: 1)
    var marks: [TextPlace] = []
    for byte in text.utf8 {
      if place.byte % Self.stride == 0 { marks.append(place) }
      Self.step(&place, byte)
    }
    if place.byte % Self.stride == 0 { marks.append(place) }
    self.marks = marks
  }

  /// The place of a byte; of the character's beginning for one within a character, and the nearest end of the text for
  /// one outside of it.
  public func place(ofByte offset: Int) -> TextPlace {
    let utf8 = text.utf8
    var offset = min(max(0, offset), utf8.count)
    var index = utf8.index(utf8.startIndex, offsetBy: offset)
    while index < utf8.endIndex, utf8[index] & 0xC0 == 0x80 {
      index = utf8.index(before: index)
      offset -= 1
    }
    var place = marks[offset / Self.stride]
    let start = utf8.index(utf8.startIndex, offsetBy: place.byte)
    for byte in utf8[start..<index] { Self.step(&place, byte) }
    return place
  }

  /// Bytes within a character count for nothing, so a mark there has the counts behind the character's first byte.
  private static func step(_ place: inout TextPlace, _ byte: UInt8) {
    place.byte += 1
    guard byte & 0xC0 != 0x80 else { return }
    place.scalar += 1
    place.utf16 += byte >= 0xF0 ? 2 : 1
    if byte == Ascii.newline { place.line += 1 }
  }
}

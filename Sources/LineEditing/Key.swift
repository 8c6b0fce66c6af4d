// Bytes of a terminal to keys.

/// What a person pressed, by its meaning.
package enum Key: Equatable, Sendable {
  case text(String)
  case enter, endOfInput, interrupt, suspend, redraw
  case left, right, wordLeft, wordRight, home, end
  case up, down
  /// Ctrl-R and Ctrl-G: to look for an earlier line, and to stop that.
  case search, cancel
  case backspace, delete, deleteWord, deleteToStart, deleteToEnd
}

/// Turns what a terminal sends into keys; a sequence that is not complete waits for its rest.
///
/// Knows the keys of VT100 and xterm, those of Emacs, and bracketed paste: what is pasted is text, line breaks
/// included.
package struct KeyDecoder {
  private var pending: [UInt8] = []
  private var isPasting = false

  package init() {}

  private static let escape: UInt8 = 0x1B
  private static let pasteEnd: [UInt8] = Array("\u{1B}[201~".utf8)

  package mutating func decode(_ bytes: some Sequence<UInt8>) -> [Key] {
    pending += bytes
    var keys: [Key] = []
    while let (key, count) = isPasting ? nextPasted() : next() {
      pending.removeFirst(count)
      if let key { keys.append(key) }
    }
    return keys
  }

  /// The first key of `pending` and how many bytes it has; nil when more must come.
  private mutating func next() -> (key: Key?, count: Int)? {
    guard let first = pending.first else { return nil }
    switch first {
    case Self.escape: return nextSequence()
    case 0x0D, 0x0A: return (.enter, 1)
    case 0x01: return (.home, 1)
    case 0x02: return (.left, 1)
    case 0x03: return (.interrupt, 1)
    case 0x04: return (.endOfInput, 1)
    case 0x05: return (.end, 1)
    case 0x06: return (.right, 1)
    case 0x07: return (.cancel, 1)
    case 0x08, 0x7F: return (.backspace, 1)
    case 0x09: return (.text("\t"), 1)
    case 0x0B: return (.deleteToEnd, 1)
    case 0x0C: return (.redraw, 1)
    case 0x0E: return (.down, 1)
    case 0x10: return (.up, 1)
    case 0x12: return (.search, 1)
    case 0x15: return (.deleteToStart, 1)
    case 0x17: return (.deleteWord, 1)
    case 0x1A: return (.suspend, 1)
    case 0..<0x20: return (nil, 1)
    default: return nextText()
    }
  }

  /// All complete characters up to a control byte.
  private func nextText() -> (key: Key?, count: Int)? {
    let run = pending.prefix { $0 >= 0x20 && $0 != 0x7F }
    var count = run.count
    // The beginning of a character at the very end may get its rest with the next bytes.
    if count == pending.count { count -= Self.incompleteTail(run) }
    guard count > 0 else { return nil }
    return (.text(String(decoding: run.prefix(count), as: UTF8.self)), count)
  }

  private static func incompleteTail(_ bytes: ArraySlice<UInt8>) -> Int {
    for (length, byte) in zip(1...3, bytes.reversed()) {
      if byte & 0xC0 == 0x80 { continue }
      let expected = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
      return length < expected ? length : 0
    }
    return 0
  }

  private mutating func nextSequence() -> (key: Key?, count: Int)? {
    guard pending.count > 1 else { return nil }
    switch pending[1] {
    case UInt8(ascii: "b"): return (.wordLeft, 2)
    case UInt8(ascii: "f"): return (.wordRight, 2)
    case 0x08, 0x7F: return (.deleteWord, 2)
    case UInt8(ascii: "O"):
      guard pending.count > 2 else { return nil }
      return (Self.cursorKey(pending[2], isWord: false), 3)
    case UInt8(ascii: "["):
      guard let end = pending.dropFirst(2).firstIndex(where: { (0x40...0x7E).contains($0) }) else {
        // No terminal sends one that long.
        return pending.count > 32 ? (nil, pending.count) : nil
      }
      let parameters = String(decoding: pending[2..<end], as: UTF8.self)
      let count = end + 1
      guard pending[end] == UInt8(ascii: "~") else {
        return (Self.cursorKey(pending[end], isWord: parameters.contains(";")), count)
      }
      switch parameters {
      case "1", "7": return (.home, count)
      case "3": return (.delete, count)
      case "4", "8": return (.end, count)
      case "200":
        isPasting = true
        return (nil, count)
      default: return (nil, count)
      }
    // A key together with Alt, which means nothing here.
    default: return (nil, 2)
    }
  }

  private static func cursorKey(_ byte: UInt8, isWord: Bool) -> Key? {
    switch byte {
    case UInt8(ascii: "A"): .up
    case UInt8(ascii: "B"): .down
    case UInt8(ascii: "C"): isWord ? .wordRight : .right
    case UInt8(ascii: "D"): isWord ? .wordLeft : .left
    case UInt8(ascii: "H"): .home
    case UInt8(ascii: "F"): .end
    default: nil
    }
  }

  private mutating func nextPasted() -> (key: Key?, count: Int)? {
    guard let end = pending.firstRange(of: Self.pasteEnd) else { return nil }
    isPasting = false
    let text = String(decoding: pending[..<end.lowerBound], as: UTF8.self)
      .replacing("\r\n", with: "\n").replacing("\r", with: "\n")
    let count = end.upperBound
    return (text.isEmpty ? nil : .text(text), count)
  }
}

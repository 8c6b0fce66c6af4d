// What a line is, by the way it begins.

extension SegmentScanner {
  /// A line of a text.
  enum LineKind: Equatable {
    /// Opens or closes code.
    case fence(Fence)
    /// A passage of its own: a heading, a row of a table, a rule, a line of code.
    case line
    /// Sentences, from `content` on; what is in front is the mark of an item of a list.
    case prose(content: Int)

    /// Whether it may continue the sentence of the line in front.
    func continues(from start: Int) -> Bool { self == .prose(content: start) }
  }

  /// The kind of a line whose first character that is no blank is at `start`.
  func lineKind(at start: Int, _ cursor: inout TextCursor) -> LineKind {
    guard let first = cursor.byte(start) else { return .prose(content: start) }
    if style == .code { return .line }
    if first == UInt8(ascii: "`") || first == UInt8(ascii: "~"),
      let mark = fenceMark(first, at: start, &cursor)
    {
      return mark
    }
    if fence != nil { return .line }
    switch first {
    case UInt8(ascii: "|"):
      return .line
    case UInt8(ascii: "#"):
      let end = runEnd(first, from: start, limit: 7, &cursor)
      return end - start <= 6 && cursor.blankLength(end) > 0 ? .line : .prose(content: start)
    case UInt8(ascii: "="), UInt8(ascii: "_"):
      return isRule(first, at: start, &cursor) ? .line : .prose(content: start)
    case UInt8(ascii: "-"), UInt8(ascii: "*"), UInt8(ascii: "+"):
      if isRule(first, at: start, &cursor) { return .line }
      return item(markEnd: start + 1, start: start, &cursor)
    case 0xE2:
      // Bullets and dashes.
      guard let (value, length) = cursor.scalar(start) else { return .prose(content: start) }
      switch value {
      case 0x2022, 0x2023, 0x2043, 0x25AA, 0x25CF, 0x25E6, 0x2013:
        return item(markEnd: start + length, start: start, &cursor)
      default: return .prose(content: start)
      }
    default:
      return numberedItem(first, at: start, &cursor)
    }
  }

  /// Whether the line is a short one of capitals, as titles of chapters are.
  func isCapitals(at start: Int, _ cursor: inout TextCursor) -> Bool {
    var (offset, letters) = (start, 0)
    while let byte = cursor.byte(offset), byte != Ascii.newline {
      if byte >= 0x80 || Ascii.isLower(byte) || byte == UInt8(ascii: ",") || offset - start >= 60 {
        return false
      }
      if Ascii.isUpper(byte) { letters += 1 }
      offset += 1
    }
    return letters >= 3
  }

  private func fenceMark(_ mark: UInt8, at start: Int, _ cursor: inout TextCursor) -> LineKind? {
    let end = runEnd(mark, from: start, limit: longest, &cursor)
    guard end - start >= 3 else { return nil }
    if let fence {
      guard fence.mark == mark, end - start >= fence.count else { return nil }
      let rest = cursor.skipBlanks(end)
      guard let byte = cursor.byte(rest) else { return .fence(fence) }
      return byte == Ascii.newline ? .fence(fence) : nil
    }
    if mark == UInt8(ascii: "`") {
      // Code within a line, which ends on the same line.
      var rest = end
      while let byte = cursor.byte(rest), byte != Ascii.newline, rest - end < longest {
        if byte == mark { return nil }
        rest += 1
      }
    }
    return .fence(Fence(mark: mark, count: end - start))
  }

  /// A line of three or more of one character and nothing else.
  private func isRule(_ mark: UInt8, at start: Int, _ cursor: inout TextCursor) -> Bool {
    var (offset, count) = (start, 0)
    while let byte = cursor.byte(offset), byte != Ascii.newline {
      if byte == mark {
        count += 1
      } else if !TextCursor.isBlank(byte) {
        return false
      }
      offset += 1
      if offset - start > longest { return false }
    }
    return count >= 3
  }

  private func item(markEnd: Int, start: Int, _ cursor: inout TextCursor) -> LineKind {
    let content = cursor.skipBlanks(markEnd)
    guard content > markEnd, let byte = cursor.byte(content), byte != Ascii.newline else {
      return .prose(content: start)
    }
    return .prose(content: content)
  }

  /// `12. `, `12) `, `a) ` and `(a) `; years and longer numbers are part of a sentence.
  private func numberedItem(_ first: UInt8, at start: Int, _ cursor: inout TextCursor) -> LineKind {
    var offset = start
    let isBracketed = first == UInt8(ascii: "(")
    if isBracketed { offset += 1 }
    let digits = offset
    while offset - digits < 4, let byte = cursor.byte(offset), Ascii.isDigit(byte) { offset += 1 }
    let hasDigits = offset > digits
    if !hasDigits {
      guard let byte = cursor.byte(offset), Ascii.isLetter(byte) else { return .prose(content: start) }
      offset += 1
    } else if offset - digits == 4 {
      return .prose(content: start)
    }
    guard let mark = cursor.byte(offset) else { return .prose(content: start) }
    guard mark == UInt8(ascii: ")") || mark == Ascii.stop && hasDigits && !isBracketed else {
      return .prose(content: start)
    }
    return item(markEnd: offset + 1, start: start, &cursor)
  }

  private func runEnd(_ mark: UInt8, from start: Int, limit: Int, _ cursor: inout TextCursor) -> Int {
    var offset = start
    while offset - start < limit, cursor.byte(offset) == mark { offset += 1 }
    return offset
  }
}

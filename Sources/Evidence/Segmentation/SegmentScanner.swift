// Cuts a text into passages, from left to right, whether it is whole or still grows.

/// Finds passages one after another. A passage that was found stays the same whatever follows.
struct SegmentScanner {
  /// Between the marks of a fence, lines are code.
  struct Fence: Equatable {
    var mark: UInt8
    var count: Int
  }

  let style: TextStyle
  /// Longest passage in bytes.
  let longest: Int
  /// Everything in front belongs to passages that were found, or is blank.
  private(set) var position = 0
  var fence: Fence?
  /// Where the line begins that ``position`` lies in.
  var lineBeginning = 0
  /// Whether a blank line, or nothing, stands in front of the line.
  var beginsParagraph = true

  init(style: TextStyle, longest: Int) {
    self.style = style
    self.longest = max(16, longest)
  }

  /// The next passage, without blanks around it; nil at the end, or where more text is needed to tell.
  mutating func next(_ bytes: [UInt8], isFinal: Bool) -> Range<Int>? {
    var cursor = TextCursor(bytes, isFinal: isFinal)
    var trial = self
    let found = trial.find(&cursor)
    guard isFinal || !cursor.ranOut else { return nil }
    self = trial
    return found
  }

  /// Passages of a whole text.
  static func ranges(_ bytes: [UInt8], style: TextStyle, longest: Int) -> [Range<Int>] {
    var scanner = SegmentScanner(style: style, longest: longest)
    var ranges: [Range<Int>] = []
    while let range = scanner.next(bytes, isFinal: true) { ranges.append(range) }
    return ranges
  }

  private mutating func find(_ cursor: inout TextCursor) -> Range<Int>? {
    var start = position
    var isLineStart = cursor.bytes[lineBeginning..<min(position, cursor.bytes.count)].allSatisfy(
      TextCursor.isBlank)
    var lineEnds = 0
    while true {
      let length = cursor.blankLength(start)
      if length == 0 { break }
      if cursor.byte(start) == Ascii.newline {
        isLineStart = true
        lineEnds += 1
        lineBeginning = start + 1
      }
      start += length
    }
    guard cursor.byte(start) != nil else {
      position = start
      return nil
    }
    if isLineStart { beginsParagraph = lineEnds > 1 || lineBeginning == 0 }
    let line = lineBeginning
    let range = passage(from: start, isLineStart: isLineStart, &cursor)
    position = range.upperBound
    if lineBeginning > position {
      // It was cut in front of a line end that had been passed.
      lineBeginning = cursor.bytes[range].lastIndex(of: Ascii.newline).map { $0 + 1 } ?? line
    }
    return range
  }

  private mutating func passage(
    from start: Int, isLineStart: Bool, _ cursor: inout TextCursor
  ) -> Range<Int> {
    let kind = isLineStart ? lineKind(at: start, &cursor) : .prose(content: start)
    switch kind {
    case .fence(let mark):
      fence = fence == nil ? mark : nil
      return line(from: start, &cursor)
    case .line:
      return line(from: start, &cursor)
    case .prose(let content):
      if style == .code || fence != nil { return line(from: start, &cursor) }
      if isLineStart, beginsParagraph, isCapitals(at: start, &cursor) { return line(from: start, &cursor) }
      return sentence(from: start, content: content, &cursor)
    }
  }

  /// The rest of a line, or as much of it as a passage may have.
  private func line(from start: Int, _ cursor: inout TextCursor) -> Range<Int> {
    var (end, offset) = (start, start)
    var cuts = Cuts()
    while let (value, length) = cursor.scalar(offset), value != UInt32(Ascii.newline) {
      if cursor.blankLength(offset) > 0 {
        cuts.blank = end
      } else {
        if offset + length - start > longest {
          return start..<cuts.best(start: start, limit: longest, hard: end)
        }
        end = offset + length
      }
      offset += length
    }
    return start..<end
  }

  /// Where a passage that is too long may be cut: the ends of what is in front.
  struct Cuts {
    /// Behind the last word in front of a blank or a line end.
    var blank = 0
    /// Behind the last comma or its kin.
    var clause = 0

    /// The best place; a passage is never shorter than a quarter of the limit, so cutting stays linear.
    func best(start: Int, limit: Int, hard: Int) -> Int {
      if clause >= start + limit / 2 { return clause }
      if blank >= start + limit / 4 { return blank }
      return hard
    }
  }
}

// Where sentences end.

extension SegmentScanner {
  /// A line shorter than this was not broken for its width.
  private static let shortLine = 32
  /// Stops and closing marks behind each other; more of them are dots that lead to a page number.
  private static let longestRun = 32

  /// The sentence that begins at `start`; stops in front of `content` do not end it.
  mutating func sentence(from start: Int, content: Int, _ cursor: inout TextCursor) -> Range<Int> {
    // The end of what is no blank: behind the mark of an item at first.
    var (end, offset) = (start, content)
    if content > start { while cursor.blankLength(end) == 0 { end += 1 } }
    var cuts = Cuts()
    while let (value, length) = cursor.scalar(offset) {
      if cursor.blankLength(offset) > 0 {
        cuts.blank = end
        if value == UInt32(Ascii.newline) {
          guard let next = continuation(behind: offset, end: end, &cursor) else { break }
          lineBeginning = offset + 1
          offset = next
        } else {
          offset += length
        }
        continue
      }
      if offset + length - start > longest {
        return start..<cuts.best(start: start, limit: longest, hard: end)
      }
      if Characters.endsSentence(value) {
        let stop = stop(at: offset, start: start, &cursor)
        if stop.end - start > longest {
          return
            start..<cuts.best(start: start, limit: longest, hard: end > start ? end : offset + length)
        }
        if stop.isEnd { return start..<stop.end }
        offset = stop.end
      } else {
        offset += length
        if Characters.endsClause(value), value > 0x7F || cursor.blankLength(offset) > 0 {
          cuts.clause = offset
        }
      }
      end = offset
    }
    return start..<end
  }

  /// Where the sentence goes on behind a line end; nil where it does not.
  private func continuation(behind newline: Int, end: Int, _ cursor: inout TextCursor) -> Int? {
    let next = cursor.skipBlanks(newline + 1)
    guard let (first, _) = cursor.scalar(next), first != UInt32(Ascii.newline) else { return nil }
    guard lineKind(at: next, &cursor).continues(from: next) else { return nil }
    // A short line in front of a capital or a number was broken for a reason, as verses, addresses and entries are.
    if end - lineBeginning < Self.shortLine, end > lineBeginning, let last = cursor.byte(end - 1) {
      let goesOn = last == Ascii.stop || last == UInt8(ascii: ",") || last == UInt8(ascii: "-")
      let begins = Characters.isUppercase(first) || first < 0x80 && Ascii.isDigit(UInt8(first))
      if begins && !goesOn { return nil }
    }
    return next
  }

  /// The stops at `offset` with what closes behind them, and whether they end the sentence.
  private func stop(at offset: Int, start: Int, _ cursor: inout TextCursor) -> (isEnd: Bool, end: Int) {
    var end = offset
    var (isWide, isStrong, count) = (false, false, 0)
    while let (value, length) = cursor.scalar(end), Characters.endsSentence(value) {
      isWide = isWide || Characters.isWideStop(value)
      isStrong = isStrong || value == 0x21 || value == 0x3F
      count += 1
      end += length
      if end - offset > Self.longestRun { return (false, end) }
    }
    let stops = end
    let isSingle = count == 1 && cursor.byte(offset) == Ascii.stop
    while let (value, length) = cursor.scalar(end), Characters.closes(value), end - stops < Self.longestRun {
      end += length
    }
    end = referenceEnd(at: end, &cursor)
    if isWide { return (true, end) }
    guard let (behind, _) = cursor.scalar(end) else { return (true, end) }
    guard cursor.blankLength(end) > 0 else {
      return (isStrong && Characters.isIdeographic(behind), isStrong ? end : stops)
    }
    guard let next = nextWord(behind: end, &cursor) else { return (true, end) }
    let isNumber = next < 0x80 && Ascii.isDigit(UInt8(next))
    if isNumber, count > 4 { return (false, end) }
    let word = isSingle ? word(in: cursor.bytes, before: offset, start: start) : []
    if isSingle, keepsStop(word, start: start, next: next) { return (false, end) }
    // Small letters go on with the sentence, as in "Go!" he said; but some people write nothing else.
    if Characters.isLowercase(next) { return (isSingle && word.count > 5, end) }
    return (true, end)
  }

  /// Behind the mark of a footnote, `[12]`.
  private func referenceEnd(at offset: Int, _ cursor: inout TextCursor) -> Int {
    guard cursor.byte(offset) == UInt8(ascii: "[") else { return offset }
    var end = offset + 1
    while end - offset < 5, let byte = cursor.byte(end), Ascii.isDigit(byte) { end += 1 }
    return end > offset + 1 && cursor.byte(end) == UInt8(ascii: "]") ? end + 1 : offset
  }

  /// The first letter or digit of what follows the blank at `offset`; nil where the sentence cannot go on.
  private func nextWord(behind offset: Int, _ cursor: inout TextCursor) -> UInt32? {
    var next = cursor.skipBlanks(offset)
    if cursor.byte(next) == Ascii.newline {
      next = cursor.skipBlanks(next + 1)
      guard lineKind(at: next, &cursor).continues(from: next) else { return nil }
    }
    var openers = 0
    while let (value, length) = cursor.scalar(next) {
      if value == UInt32(Ascii.newline) { return nil }
      guard Characters.opens(value), openers < 4 else { return value }
      openers += 1
      next += length
    }
    return nil
  }

  /// Letters, digits and stops in front of an offset, as far as an abbreviation reaches and one byte more.
  private func word(in bytes: [UInt8], before offset: Int, start: Int) -> ArraySlice<UInt8> {
    var begin = offset
    while begin > start, offset - begin < 14 {
      let byte = bytes[begin - 1]
      guard byte >= 0x80 || Ascii.isLetter(byte) || Ascii.isDigit(byte) || byte == Ascii.stop else { break }
      begin -= 1
    }
    return bytes[begin..<offset]
  }

  /// Whether a single stop is part of the word, or of a number that counts what follows.
  private func keepsStop(_ word: ArraySlice<UInt8>, start: Int, next: UInt32) -> Bool {
    if word.startIndex == start, !word.isEmpty, word.count <= 3, word.allSatisfy(Ascii.isDigit) {
      return true
    }
    return Abbreviations.keepsStop(word, next: next)
  }
}

// Sets of characters.

/// Characters as ranges: sorted, apart from each other, without code point 0 and without surrogates, which no text has.
struct CharacterClass: Hashable, Sendable {
  struct Range: Hashable, Sendable {
    var low: UInt32
    var high: UInt32
  }

  private(set) var ranges: [Range] = []
  /// One bit for each of the first 128 characters.
  private var ascii: (UInt64, UInt64) = (0, 0)

  static let surrogates: ClosedRange<UInt32> = 0xD800...0xDFFF
  static let last: UInt32 = 0x10FFFF
  static let any = CharacterClass([Range(low: 1, high: last)], isNegated: false)

  init(_ parts: [Range], isNegated: Bool) {
    var merged: [Range] = []
    for part in parts.sorted(by: { ($0.low, $0.high) < ($1.low, $1.high) }) {
      if let end = merged.last, part.low <= end.high + 1 {
        merged[merged.count - 1].high = max(end.high, part.high)
      } else {
        merged.append(part)
      }
    }
    if isNegated {
      var gaps: [Range] = []
      var low: UInt32 = 0
      for range in merged {
        if low < range.low { gaps.append(Range(low: low, high: range.low - 1)) }
        low = range.high + 1
      }
      if low <= Self.last { gaps.append(Range(low: low, high: Self.last)) }
      merged = gaps
    }
    for range in merged {
      add(max(range.low, 1), min(range.high, Self.surrogates.lowerBound - 1))
      add(max(range.low, Self.surrogates.upperBound + 1), min(range.high, Self.last))
    }
    for character in UInt32(0)..<128 where search(character).isInside {
      if character < 64 { ascii.0 |= 1 << UInt64(character) } else { ascii.1 |= 1 << UInt64(character - 64) }
    }
  }

  private mutating func add(_ low: UInt32, _ high: UInt32) {
    if low <= high { ranges.append(Range(low: low, high: high)) }
  }

  /// The only character, if there is just one.
  var single: UInt32? {
    guard ranges.count == 1, ranges[0].low == ranges[0].high else { return nil }
    return ranges[0].low
  }

  func contains(ascii character: UInt32) -> Bool {
    (character < 64 ? ascii.0 >> UInt64(character) : ascii.1 >> UInt64(character - 64)) & 1 == 1
  }

  /// Whether the character is in the class, and the characters around it of which the same is true.
  func search(_ character: UInt32) -> (isInside: Bool, low: UInt32, high: UInt32) {
    let index = firstEnding(from: character)
    if index < ranges.count, ranges[index].low <= character {
      return (true, ranges[index].low, ranges[index].high)
    }
    let low = index > 0 ? ranges[index - 1].high + 1 : 0
    return (false, low, index < ranges.count ? ranges[index].low - 1 : .max)
  }

  /// Whether any character from `low` to `high` is in the class.
  func overlaps(_ low: UInt32, _ high: UInt32) -> Bool {
    let index = firstEnding(from: low)
    return index < ranges.count && ranges[index].low <= high
  }

  /// The first range that does not end before `character`.
  private func firstEnding(from character: UInt32) -> Int {
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].high < character { low = middle + 1 } else { high = middle }
    }
    return low
  }

  static func == (left: CharacterClass, right: CharacterClass) -> Bool { left.ranges == right.ranges }

  func hash(into hasher: inout Hasher) { hasher.combine(ranges) }
}

// Regular expressions (ECMA-262, as JSON Schema has them), as far as they describe a regular language by themselves.

/// A set of characters.
struct CharacterRanges: Hashable, Sendable {
  /// In order, apart from each other.
  private(set) var ranges: [ClosedRange<UInt32>]

  /// All that Unicode has, without halves of surrogate pairs.
  static let all = CharacterRanges([0...0xD7FF, 0xE000...0x10FFFF])
  static let digits = CharacterRanges([0x30...0x39])
  static let word = CharacterRanges([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
  static let space = CharacterRanges([0x09...0x0D, 0x20...0x20])
  /// Every space that any dialect knows.
  static let anySpace = CharacterRanges([
    0x09...0x0D, 0x1C...0x20, 0x85...0x85, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200B, 0x2028...0x2029,
    0x202F...0x202F, 0x205F...0x205F, 0x3000...0x3000, 0xFEFF...0xFEFF,
  ])
  static let lineBreaks = CharacterRanges([0x0A...0x0A, 0x0D...0x0D, 0x85...0x85, 0x2028...0x2029])
  private static let ascii = CharacterRanges([0...0x7F])

  init(_ ranges: [ClosedRange<UInt32>]) {
    var merged: [ClosedRange<UInt32>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      guard let last = merged.last, range.lowerBound <= last.upperBound + 1 else {
        merged.append(range)
        continue
      }
      merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
    }
    self.ranges = merged
  }

  init(_ scalar: Unicode.Scalar) { ranges = [scalar.value...scalar.value] }

  var complement: CharacterRanges {
    var result: [ClosedRange<UInt32>] = []
    for part in Self.all.ranges {
      var start = part.lowerBound
      for range in ranges where range.upperBound >= part.lowerBound && range.lowerBound <= part.upperBound {
        if range.lowerBound > start { result.append(start...range.lowerBound - 1) }
        start = max(start, range.upperBound + 1)
      }
      if start <= part.upperBound { result.append(start...part.upperBound) }
    }
    return CharacterRanges(result)
  }

  /// Dialects differ on which characters beyond ASCII are digits and letters, so what is none has none of them.
  var asciiComplement: CharacterRanges { complement.intersection(.ascii) }

  func intersection(_ other: CharacterRanges) -> CharacterRanges {
    var result: [ClosedRange<UInt32>] = []
    for range in ranges {
      for another in other.ranges where another.overlaps(range) { result.append(range.clamped(to: another)) }
    }
    return CharacterRanges(result)
  }

  func union(_ other: CharacterRanges) -> CharacterRanges { CharacterRanges(ranges + other.ranges) }

  func contains(_ scalar: UInt32) -> Bool { ranges.contains { $0.contains(scalar) } }
}

/// A regular expression as a tree.
indirect enum TextPattern: Hashable, Sendable {
  case characters(CharacterRanges)
  case sequence([TextPattern])
  case alternatives([TextPattern])
  case repeated(TextPattern, least: Int, most: Int?)
  /// The beginning and the end of the text.
  case start, end

  static let empty = TextPattern.sequence([])
  /// Any text.
  static let anything = TextPattern.repeated(.characters(.all), least: 0, most: nil)

  /// Reads a regular expression that is looked for anywhere in a text; the tree is for the whole of it.
  ///
  /// - Throws: ``Problem`` for one that is wrong, or needs more than a regular language.
  init(_ text: String) throws(Problem) {
    var parser = TextPatternParser(text)
    self = try Self.whole(try parser.parse())
  }

  /// Why a regular expression cannot be followed; a clause.
  struct Problem: Error, Equatable {
    var reason: String
  }

  /// Fills up what is not held at the beginning or the end of the text.
  private static func whole(_ pattern: TextPattern) throws(Problem) -> TextPattern {
    if case .alternatives(let parts) = pattern {
      var filled: [TextPattern] = []
      for part in parts { filled.append(try whole(part)) }
      return .alternatives(filled)
    }
    var parts: [TextPattern] = [pattern]
    if case .sequence(let list) = pattern { parts = list }
    // A group around everything.
    if parts.count == 1, case .alternatives = parts[0] { return try whole(parts[0]) }
    let isHeld = (parts.first == .start, parts.last == .end)
    parts = Array(parts.drop { $0 == .start })
    while parts.last == .end { parts.removeLast() }
    for part in parts where part.hasAnchor {
      throw Problem(reason: "it has ^ or $ in the middle")
    }
    return .sequence((isHeld.0 ? [] : [.anything]) + parts + (isHeld.1 ? [] : [.anything]))
  }

  private var hasAnchor: Bool {
    switch self {
    case .start, .end: true
    case .characters: false
    case .sequence(let parts), .alternatives(let parts): parts.contains(where: \.hasAnchor)
    case .repeated(let part, _, _): part.hasAnchor
    }
  }

  /// The lengths of the texts, in characters; nil for no limit.
  var lengths: (least: Int, most: Int?) {
    switch self {
    case .start, .end: return (0, 0)
    case .characters: return (1, 1)
    case .sequence(let parts):
      return parts.map(\.lengths).reduce((0, 0)) { sum, part in
        (sum.least + part.least, sum.most.flatMap { most in part.most.map { most + $0 } })
      }
    case .alternatives(let parts):
      let lengths = parts.map(\.lengths)
      let most = lengths.contains { $0.most == nil } ? nil : lengths.compactMap(\.most).max() ?? 0
      return (lengths.map(\.least).min() ?? 0, most)
    case .repeated(let part, let least, let most):
      let one = part.lengths
      let longest = one.most == 0 ? 0 : most.flatMap { most in one.most.map { most * $0 } }
      return (least * one.least, longest)
    }
  }

  /// The same for texts of so many characters; nil where that is no matter of one repetition.
  func limited(to least: Int, _ most: Int?) -> TextPattern? {
    let lengths = lengths
    if lengths.least >= least, most == nil || lengths.most.map({ $0 <= most ?? $0 }) == true { return self }
    guard case .sequence(var parts) = self else {
      guard case .repeated = self else { return nil }
      return TextPattern.sequence([self]).limited(to: least, most)
    }
    let variable = parts.indices.filter { parts[$0].lengths.least != parts[$0].lengths.most }
    guard variable.count == 1, case .repeated(let part, let low, let high) = parts[variable[0]] else {
      return nil
    }
    let one = part.lengths
    guard one.least == one.most, one.least > 0 else { return nil }
    let others = parts.indices.filter { $0 != variable[0] }.reduce(0) { $0 + parts[$1].lengths.least }
    let newLow = max(low, (max(0, least - others) + one.least - 1) / one.least)
    let limit = most.map { ($0 - others) / one.least }
    let newHigh = [high, limit].compactMap(\.self).min()
    guard (limit ?? 0) >= 0, newHigh.map({ $0 >= newLow }) ?? true else { return nil }
    parts[variable[0]] = .repeated(part, least: newLow, most: newHigh)
    return .sequence(parts)
  }
}

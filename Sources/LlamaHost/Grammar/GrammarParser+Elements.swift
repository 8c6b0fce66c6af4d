// GBNF to trees: elements and repetitions.

extension GrammarParser {
  /// Elements up to `|`, `)` or the end of the line.
  mutating func sequence(depth: Int) throws(GrammarError) -> (expression: GrammarExpression, depth: Int) {
    var parts: [GrammarExpression] = []
    // Of the last part, to which repetitions apply, and of all.
    var last = 0
    var deepest = 0
    while let part = try element(depth: depth) {
      parts.append(part.expression)
      last = part.depth
      skipSpace(newlines: depth > 0)
      while let (least, most) = try repetition(newlines: depth > 0) {
        last += 1
        guard last + depth <= GrammarLimits.nesting else { throw tooDeep(last + depth) }
        parts[parts.count - 1] = .repetition(parts[parts.count - 1], least: least, most: most)
      }
      deepest = max(deepest, last)
    }
    return (Self.joined(parts), deepest)
  }

  /// Neighbors that are plain elements become one part.
  private static func joined(_ parts: [GrammarExpression]) -> GrammarExpression {
    var joined: [GrammarExpression] = []
    var labels: [GrammarLabel] = []
    for part in parts {
      if case .elements(let more) = part {
        labels += more
      } else {
        if !labels.isEmpty { joined.append(.elements(labels)) }
        labels = []
        joined.append(part)
      }
    }
    if !labels.isEmpty || joined.isEmpty { joined.append(.elements(labels)) }
    return joined.count == 1 ? joined[0] : .sequence(joined)
  }

  private mutating func element(
    depth: Int
  ) throws(GrammarError) -> (expression: GrammarExpression, depth: Int)? {
    switch current {
    case UInt8(ascii: "\""):
      return (.elements(try literal()), 1)
    case UInt8(ascii: "["):
      return (.elements([try characterClass()]), 1)
    case UInt8(ascii: "."):
      position += 1
      return (.elements([try label(.any)]), 1)
    case UInt8(ascii: "<"), UInt8(ascii: "!"):
      return (.elements([try token()]), 1)
    case UInt8(ascii: "("):
      position += 1
      skipSpace(newlines: true)
      let group = try alternatives(depth: depth + 1)
      guard skips(")") else { throw problem("')' is expected, not \(found)") }
      position += 1
      guard group.depth + 1 + depth <= GrammarLimits.nesting else { throw tooDeep(group.depth + 1 + depth) }
      return (group.expression, group.depth + 1)
    case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"):
      throw problem("there is nothing before \(found) to repeat")
    case let byte where Self.isNameByte(byte):
      return (.elements([.rule(try index(ofRule: try name()))]), 1)
    default: return nil
    }
  }

  private mutating func repetition(newlines: Bool) throws(GrammarError) -> (least: Int, most: Int?)? {
    let result: (Int, Int?)
    switch current {
    case UInt8(ascii: "*"): result = (0, nil)
    case UInt8(ascii: "+"): result = (1, nil)
    case UInt8(ascii: "?"): result = (0, 1)
    case UInt8(ascii: "{"):
      position += 1
      skipSpace(newlines: newlines)
      let least = try count()
      skipSpace(newlines: newlines)
      var most: Int? = least
      if skips(",") {
        position += 1
        skipSpace(newlines: newlines)
        most = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(current) ? try count() : nil
        skipSpace(newlines: newlines)
      }
      guard skips("}") else { throw problem("'}' is expected, not \(found)") }
      if let most, least > most {
        throw .reversedRepetition(rule: rule ?? "", least: least, most: most)
      }
      result = (least, most)
    default: return nil
    }
    position += 1
    skipSpace(newlines: newlines)
    return result
  }

  /// A number, `Int.max` for one that is larger.
  private mutating func count() throws(GrammarError) -> Int {
    let start = position
    while (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(current) { position += 1 }
    guard position > start else { throw problem("a number is expected, not \(found)") }
    return Int(String(decoding: bytes[start..<position], as: UTF8.self)) ?? .max
  }

  private mutating func literal() throws(GrammarError) -> [GrammarLabel] {
    position += 1
    var labels: [GrammarLabel] = []
    while !skips("\"") {
      let value = try character()
      guard value > 0, !CharacterClass.surrogates.contains(value) else {
        throw problem("no text has the code point \(Self.hexadecimal(value))")
      }
      labels.append(.character(value))
    }
    position += 1
    return labels
  }

  private mutating func characterClass() throws(GrammarError) -> GrammarLabel {
    position += 1
    let isNegated = skips("^")
    if isNegated { position += 1 }
    var ranges: [CharacterClass.Range] = []
    while !skips("]") {
      let low = try character()
      var high = low
      if skips("-"), peek(1) != UInt8(ascii: "]") {
        position += 1
        high = try character()
        guard low <= high else {
          throw .reversedRange(rule: rule ?? "", low: Self.written(low), high: Self.written(high))
        }
      }
      ranges.append(CharacterClass.Range(low: low, high: high))
    }
    position += 1
    guard !ranges.isEmpty else { throw .emptyClass(rule: rule ?? "") }
    return try label(CharacterClass(ranges, isNegated: isNegated))
  }

  /// A character or an escape, as a code point.
  private mutating func character() throws(GrammarError) -> UInt32 {
    guard position < bytes.count else { throw problem("the grammar ends inside a literal or a class") }
    guard skips("\\") else {
      let length = current < 0x80 ? 1 : current < 0xE0 ? 2 : current < 0xF0 ? 3 : 4
      let end = min(bytes.count, position + length)
      let scalar = String(decoding: bytes[position..<end], as: UTF8.self).unicodeScalars.first
      position = end
      return scalar?.value ?? 0
    }
    let escape = peek(1)
    switch escape {
    case UInt8(ascii: "x"): return try hexadecimal(digits: 2)
    case UInt8(ascii: "u"): return try hexadecimal(digits: 4)
    case UInt8(ascii: "U"): return try hexadecimal(digits: 8)
    case UInt8(ascii: "t"), UInt8(ascii: "r"), UInt8(ascii: "n"):
      position += 2
      return escape == UInt8(ascii: "t") ? 9 : escape == UInt8(ascii: "r") ? 13 : 10
    case UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "-"):
      position += 2
      return UInt32(escape)
    default:
      position += 1
      throw problem("there is no escape of \(found)")
    }
  }

  private mutating func hexadecimal(digits: Int) throws(GrammarError) -> UInt32 {
    position += 2
    let end = min(bytes.count, position + digits)
    let text = String(decoding: bytes[position..<end], as: UTF8.self)
    guard text.utf8.count == digits, text.allSatisfy(\.isHexDigit), let value = UInt32(text, radix: 16) else {
      throw problem("\(digits) hexadecimal digits are expected")
    }
    guard value <= CharacterClass.last else {
      throw problem("there is no code point \(Self.hexadecimal(value))")
    }
    position = end
    return value
  }

  private static func hexadecimal(_ value: UInt32) -> String {
    "U+" + String(repeating: "0", count: max(0, 4 - String(value, radix: 16).count))
      + String(value, radix: 16, uppercase: true)
  }

  private static func written(_ value: UInt32) -> String {
    guard value > 0x20, value != 0x7F, let scalar = Unicode.Scalar(value) else { return hexadecimal(value) }
    return String(Character(scalar))
  }

  /// `<[7]>` or `<name>`, with `!` in front for any other token.
  private mutating func token() throws(GrammarError) -> GrammarLabel {
    let isNegated = skips("!")
    if isNegated { position += 1 }
    guard skips("<") else { throw problem("a token in '<' and '>' is expected, not \(found)") }
    guard let end = bytes[position...].firstIndex(of: UInt8(ascii: ">")), end - position <= 1024 else {
      throw problem("the name of a token has no '>'")
    }
    let text = String(decoding: bytes[position...end], as: UTF8.self)
    var name = GrammarToken.Name.text(text)
    if text.hasPrefix("<[") {
      guard text.hasSuffix("]>"), let number = Int(text.dropFirst(2).dropLast(2)), number >= 0 else {
        throw problem("the number of a token is expected, not \(text)")
      }
      name = .number(number)
    }
    position = end + 1
    return try label(GrammarToken(name: name, isNegated: isNegated))
  }
}

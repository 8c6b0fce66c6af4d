// Strings: their patterns, formats and lengths, within JSON's quotes and escapes.

extension JSONGrammarBuilder {
  /// Characters that a JSON string has as they are; U+007F is left out as elsewhere.
  private static let plain = CharacterRanges([
    0x20...0x21, 0x23...0x5B, 0x5D...0x7E, 0x80...0xD7FF, 0xE000...0x10FFFF,
  ])
  /// Characters that it has behind a backslash, and the letter there.
  private static let escapes: [(scalar: UInt32, letter: String)] = [
    (0x08, "b"), (0x09, "t"), (0x0A, "n"), (0x0C, "f"), (0x0D, "r"), (0x22, "\""), (0x5C, "\\"),
  ]

  mutating func string(_ fields: JSONObject, at place: String) -> String {
    let least = count("minLength", fields, at: place, most: .max)
    let most = count("maxLength", fields, at: place, most: .max)
    if let least, let most, least > most {
      return fail(place, "minLength \(least) is above maxLength \(most)")
    }
    var format = fields["format"]?.string
    if let name = format, TextFormats.unrestricted.contains(name) { format = nil }
    if let value = fields["pattern"] {
      guard let text = value.string else { return fail(place, "pattern must be a string") }
      if let format {
        return fail(place, "pattern and format '\(format.prefix(40))' cannot be kept together")
      }
      return string(
        TextFormats.knownPatterns[text] ?? text, least, most, "pattern '\(text.prefix(80))'", at: place)
    }
    if let format {
      guard let text = TextFormats.pattern(format) else {
        return fail(place, "format '\(format.prefix(40))' is not supported")
      }
      return string(text, least, most, "format '\(format)'", at: place)
    }
    guard least != nil || most != nil else { return use("string") }
    for (key, value) in [("minLength", least), ("maxLength", most)] {
      if let value, value > Self.largestRepetition {
        return fail(place, "\(key) must be an integer from 0 to \(Self.largestRepetition)")
      }
    }
    return add("\"\\\"\" \(use("char")){\(least ?? 0),\(most.map(String.init) ?? "")} \"\\\"\"")
  }

  private mutating func string(
    _ text: String, _ least: Int?, _ most: Int?, _ name: String, at place: String
  ) -> String {
    let pattern: TextPattern
    do {
      pattern = try TextPattern(text)
    } catch {
      return fail(place, "\(name) cannot be kept: \(error.reason)")
    }
    guard let limited = pattern.limited(to: least ?? 0, most) else {
      return fail(place, "\(name) cannot be kept together with minLength or maxLength")
    }
    guard let rule = definition(of: limited) else {
      return fail(place, "\(name) has only characters that cannot be written here")
    }
    return add("\"\\\"\" \(rule) \"\\\"\"")
  }

  /// GBNF for the texts of a pattern; nil where there is none.
  private mutating func definition(of pattern: TextPattern) -> String? {
    switch pattern {
    case .start, .end: return "\"\""
    case .characters(let ranges): return Self.characters(ranges)
    case .sequence(let parts):
      var texts: [String] = []
      for part in parts {
        guard let text = definition(of: part) else { return nil }
        texts.append(text)
      }
      return texts.isEmpty ? "\"\"" : texts.joined(separator: " ")
    case .alternatives(let parts):
      let texts = parts.compactMap { definition(of: $0) }
      return texts.isEmpty ? nil : "( " + texts.joined(separator: " | ") + " )"
    case .repeated(let part, let least, let most):
      if part == .characters(.all), least == 0, most == nil { return "\(use("char"))*" }
      guard let text = definition(of: part) else { return least == 0 ? "\"\"" : nil }
      if most == 0 { return "\"\"" }
      // A group that is repeated often is written once.
      let name = text.utf8.count > 40 ? add(text) : "( \(text) )"
      return "\(name){\(least),\(most.map(String.init) ?? "")}"
    }
  }

  /// GBNF for one character of a set, as it stands in a JSON string.
  private static func characters(_ ranges: CharacterRanges) -> String? {
    var parts: [String] = []
    let plain = ranges.intersection(plain)
    if !plain.ranges.isEmpty {
      parts.append(
        "["
          + plain.ranges.map { range in
            range.lowerBound == range.upperBound
              ? escaped(range.lowerBound) : "\(escaped(range.lowerBound))-\(escaped(range.upperBound))"
          }.joined() + "]")
    }
    for (scalar, letter) in escapes where ranges.contains(scalar) {
      parts.append(literal("\\" + letter))
    }
    guard let first = parts.first else { return nil }
    return parts.count == 1 ? first : "( " + parts.joined(separator: " | ") + " )"
  }

  /// A character as it stands in a class of GBNF.
  private static func escaped(_ scalar: UInt32) -> String {
    switch scalar {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: return Unicode.Scalar(scalar).map { "\($0)" } ?? ""
    case 0...0xFF: return "\\x" + hexadecimal(scalar, 2)
    case 0x100...0xFFFF: return "\\u" + hexadecimal(scalar, 4)
    default: return "\\U" + hexadecimal(scalar, 8)
    }
  }

  private static func hexadecimal(_ value: UInt32, _ count: Int) -> String {
    let digits = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(0, count - digits.count)) + digits
  }
}

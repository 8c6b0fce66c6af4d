// The syntax of regular expressions, by recursive descent.

struct TextPatternParser {
  private let scalars: [Unicode.Scalar]
  private var index = 0
  private var depth = 0

  /// Deeper expressions would exhaust the stack.
  private static let deepest = 50
  /// Repetitions are written out.
  private static let largestRepetition = 1000

  typealias Problem = TextPattern.Problem

  init(_ text: String) { scalars = Array(text.unicodeScalars) }

  mutating func parse() throws(Problem) -> TextPattern {
    let pattern = try alternatives()
    guard index == scalars.count else { throw Problem(reason: "it has ) without (") }
    return pattern
  }

  private var next: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

  private mutating func take(_ text: String) -> Bool {
    let wanted = Array(text.unicodeScalars)
    guard scalars[index...].starts(with: wanted) else { return false }
    index += wanted.count
    return true
  }

  private mutating func alternatives() throws(Problem) -> TextPattern {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.deepest else { throw Problem(reason: "it has groups more than \(Self.deepest) deep") }
    var parts = [try sequence()]
    while take("|") { parts.append(try sequence()) }
    return parts.count == 1 ? parts[0] : .alternatives(parts)
  }

  private mutating func sequence() throws(Problem) -> TextPattern {
    var parts: [TextPattern] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      let part = try repetition(of: try atom())
      // A group of a sequence is as good as the sequence.
      if case .sequence(let inner) = part { parts += inner } else { parts.append(part) }
    }
    return parts.count == 1 ? parts[0] : .sequence(parts)
  }

  private mutating func repetition(of part: TextPattern) throws(Problem) -> TextPattern {
    let (least, most): (Int, Int?)
    if take("*") {
      (least, most) = (0, nil)
    } else if take("+") {
      (least, most) = (1, nil)
    } else if take("?") {
      (least, most) = (0, 1)
    } else if let count = try counts() {
      (least, most) = count
    } else {
      return part
    }
    guard part != .start, part != .end else { throw Problem(reason: "it repeats ^ or $") }
    // Lazy or not, the texts are the same.
    _ = take("?")
    if next == "+" || next == "*" { throw Problem(reason: "it repeats a repetition") }
    return .repeated(part, least: least, most: most)
  }

  /// `{2}`, `{2,}`, `{2,5}`; braces of another form are characters.
  private mutating func counts() throws(Problem) -> (Int, Int?)? {
    guard next == "{", let end = scalars[index...].firstIndex(of: "}") else { return nil }
    let text = String(String.UnicodeScalarView(scalars[(index + 1)..<end]))
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    guard parts.count <= 2, let least = parts.first.flatMap({ Int($0) }), least >= 0 else { return nil }
    let most = parts.count == 1 ? least : parts[1].isEmpty ? nil : Int(parts[1])
    if parts.count == 2, !parts[1].isEmpty, most == nil { return nil }
    index = end + 1
    guard max(least, most ?? 0) <= Self.largestRepetition else {
      throw Problem(reason: "it repeats something more than \(Self.largestRepetition) times")
    }
    guard most ?? least >= least else { throw Problem(reason: "{\(text)} counts down") }
    return (least, most)
  }

  private mutating func atom() throws(Problem) -> TextPattern {
    guard let scalar = next else { return .empty }
    index += 1
    switch scalar {
    case "^": return .start
    case "$": return .end
    case ".": return .characters(CharacterRanges.lineBreaks.complement)
    case "(": return try group()
    case "[": return .characters(try characterClass())
    case "\\": return try escape()
    case "*", "+", "?": throw Problem(reason: "it has \(scalar) behind nothing")
    default: return .characters(CharacterRanges(scalar))
    }
  }

  private mutating func group() throws(Problem) -> TextPattern {
    if take("?") {
      if take("P<") || next == "<" && !isLookbehind {
        guard let end = scalars[index...].firstIndex(of: ">") else {
          throw Problem(reason: "a group has no name")
        }
        index = end + 1
      } else if !take(":") {
        throw Problem(reason: "it looks ahead or behind, or changes how the rest is read, with (?")
      }
    }
    let pattern = try alternatives()
    guard take(")") else { throw Problem(reason: "it has ( without )") }
    return pattern
  }

  private var isLookbehind: Bool {
    index + 1 < scalars.count && (scalars[index + 1] == "=" || scalars[index + 1] == "!")
  }

  private mutating func escape() throws(Problem) -> TextPattern {
    switch next {
    case "A":
      index += 1
      return .start
    case "z", "Z":
      index += 1
      return .end
    case "b", "B": throw Problem(reason: "it looks for the edge of a word with \\b")
    case let digit? where ("1"..."9").contains(digit): throw Problem(reason: "it refers back to a group")
    default: return .characters(try escapedCharacters())
    }
  }

  /// What stands behind a backslash.
  private mutating func escapedCharacters() throws(Problem) -> CharacterRanges {
    guard let scalar = next else { throw Problem(reason: "it ends with a backslash") }
    index += 1
    switch scalar {
    case "d": return .digits
    case "D": return CharacterRanges.digits.asciiComplement
    case "w": return .word
    case "W": return CharacterRanges.word.asciiComplement
    case "s": return .space
    case "S": return CharacterRanges.anySpace.complement
    case "n": return CharacterRanges("\n")
    case "r": return CharacterRanges("\r")
    case "t": return CharacterRanges("\t")
    case "f": return CharacterRanges("\u{C}")
    case "v": return CharacterRanges("\u{B}")
    case "0": return CharacterRanges("\0")
    case "x": return CharacterRanges(try hexadecimal(2))
    case "u": return CharacterRanges(try hexadecimal(4))
    case "p", "P", "c", "k":
      throw Problem(reason: "\\\(scalar) is not supported")
    default:
      guard !scalar.properties.isAlphabetic else { throw Problem(reason: "\\\(scalar) is not supported") }
      return CharacterRanges(scalar)
    }
  }

  private mutating func hexadecimal(_ count: Int) throws(Problem) -> Unicode.Scalar {
    let digits = String(String.UnicodeScalarView(scalars[index...].prefix(count)))
    guard digits.utf8.count == count, let value = UInt32(digits, radix: 16),
      let scalar = Unicode.Scalar(value)
    else {
      throw Problem(reason: "\\\(count == 2 ? "x" : "u")\(digits) is no character")
    }
    index += count
    return scalar
  }

  private mutating func characterClass() throws(Problem) -> CharacterRanges {
    let isNegated = take("^")
    var result = CharacterRanges([])
    var isFirst = true
    while true {
      guard let scalar = next else { throw Problem(reason: "it has [ without ]") }
      index += 1
      if scalar == "]", !isFirst { break }
      // As ECMA has it; elsewhere it would be a bracket.
      if scalar == "]" { throw Problem(reason: "it has an empty class") }
      isFirst = false
      var low = CharacterRanges(scalar)
      if scalar == "\\" {
        if next == "b" {
          index += 1
          low = CharacterRanges("\u{8}")
        } else {
          low = try escapedCharacters()
        }
      }
      guard next == "-", index + 1 < scalars.count, scalars[index + 1] != "]" else {
        result = result.union(low)
        continue
      }
      index += 1
      guard let end = next else { throw Problem(reason: "it has [ without ]") }
      index += 1
      let high = end == "\\" ? try escapedCharacters() : CharacterRanges(end)
      guard let first = low.single, let last = high.single, first <= last else {
        throw Problem(reason: "a class has a range that is none")
      }
      result = result.union(CharacterRanges([first...last]))
    }
    return isNegated ? result.complement : result
  }
}

extension CharacterRanges {
  /// The only character.
  fileprivate var single: UInt32? {
    guard ranges.count == 1, let range = ranges.first, range.lowerBound == range.upperBound else {
      return nil
    }
    return range.lowerBound
  }
}

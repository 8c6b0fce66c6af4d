// GBNF to trees: rules, alternatives, and what may stand between elements.

/// Reads GBNF as llama.cpp does, but tells what is wrong with it.
///
///     root  ::= item ("," item){0,9}     # a comment
///     item  ::= [a-z]+ | "\"" [^"]* "\"" | <[7]> | !<think>
///
/// An alternative may go on in the next line after `|` and inside parentheses.
struct GrammarParser {
  struct Rule {
    var name: String
    /// nil while it is only used.
    var expression: GrammarExpression?
    /// A rule that uses it, for the case that it stays undefined.
    var user: String
  }

  let bytes: [UInt8]
  var position = 0
  /// The rule that is being read.
  var rule: String?
  private(set) var rules: [Rule] = []
  private var ruleIndices: [String: Int] = [:]
  private(set) var classes: [CharacterClass] = []
  private var classIndices: [CharacterClass: Int] = [:]
  private(set) var tokens: [GrammarToken] = []
  private var tokenIndices: [GrammarToken: Int] = [:]

  init(_ text: String) throws(GrammarError) {
    bytes = Array(text.utf8)
    guard bytes.count <= GrammarLimits.textSize else {
      throw .tooLarge(rule: nil, what: "bytes", count: bytes.count, limit: GrammarLimits.textSize)
    }
    // Editors put a byte order mark in front.
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    try parse()
  }

  /// The byte here, 0 at the end.
  var current: UInt8 { peek(0) }

  func peek(_ offset: Int) -> UInt8 {
    position + offset < bytes.count ? bytes[position + offset] : 0
  }

  func skips(_ character: Character) -> Bool { current == character.asciiValue }

  func problem(_ reason: String) -> GrammarError {
    let line = bytes[..<min(position, bytes.count)].reduce(1) { $0 + ($1 == UInt8(ascii: "\n") ? 1 : 0) }
    return .syntax(line: line, rule: rule, reason: reason)
  }

  /// What stands here, for errors.
  var found: String {
    guard position < bytes.count else { return "the end" }
    let rest = String(decoding: bytes[position..<min(bytes.count, position + 16)], as: UTF8.self)
    guard let first = rest.first else { return "the end" }
    return first.isNewline ? "the end of the line" : "'\(first)'"
  }

  mutating func skipSpace(newlines: Bool) {
    while position < bytes.count {
      switch current {
      case UInt8(ascii: " "), UInt8(ascii: "\t"): position += 1
      case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
        guard newlines else { return }
        position += 1
      case UInt8(ascii: "#"):
        while position < bytes.count, current != UInt8(ascii: "\n"), current != UInt8(ascii: "\r") {
          position += 1
        }
      default: return
      }
    }
  }

  static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  mutating func name() throws(GrammarError) -> String {
    let start = position
    while Self.isNameByte(current) { position += 1 }
    guard position > start else {
      throw problem("a name of letters, digits and '-' is expected, not \(found)")
    }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  mutating func index(ofRule name: String) throws(GrammarError) -> Int {
    if let known = ruleIndices[name] { return known }
    guard rules.count < GrammarLimits.rules else {
      throw .tooLarge(rule: nil, what: "rules", count: rules.count + 1, limit: GrammarLimits.rules)
    }
    rules.append(Rule(name: name, expression: nil, user: rule ?? name))
    ruleIndices[name] = rules.count - 1
    return rules.count - 1
  }

  mutating func label(_ parts: CharacterClass) throws(GrammarError) -> GrammarLabel {
    guard !parts.ranges.isEmpty else { throw .emptyClass(rule: rule ?? "") }
    if let single = parts.single { return .character(single) }
    if let known = classIndices[parts] { return .characters(known) }
    classes.append(parts)
    classIndices[parts] = classes.count - 1
    return .characters(classes.count - 1)
  }

  mutating func label(_ token: GrammarToken) throws(GrammarError) -> GrammarLabel {
    if let known = tokenIndices[token] { return .token(known) }
    guard tokens.count < GrammarLimits.tokens else {
      throw .tooLarge(rule: rule, what: "named tokens", count: tokens.count + 1, limit: GrammarLimits.tokens)
    }
    tokens.append(token)
    tokenIndices[token] = tokens.count - 1
    return .token(tokens.count - 1)
  }

  private mutating func parse() throws(GrammarError) {
    skipSpace(newlines: true)
    guard position < bytes.count else { throw .empty }
    while position < bytes.count {
      rule = nil
      let name = try name()
      let index = try index(ofRule: name)
      rule = name
      skipSpace(newlines: false)
      guard skips(":"), peek(1) == UInt8(ascii: ":"), peek(2) == UInt8(ascii: "=") else {
        throw problem("'::=' is expected, not \(found)")
      }
      guard rules[index].expression == nil else { throw .duplicateRule(name) }
      position += 3
      skipSpace(newlines: true)
      rules[index].expression = try alternatives(depth: 0).expression
      guard position == bytes.count || skips("\n") || skips("\r") else {
        throw problem("an element or the end of the line is expected, not \(found)")
      }
      skipSpace(newlines: true)
    }
    guard ruleIndices["root"] != nil else { throw .missingRoot }
    for rule in rules where rule.expression == nil {
      // A grammar that only uses it has no beginning either.
      throw rule.name == "root" ? .missingRoot : .undefinedRule(rule.name, usedBy: rule.user)
    }
  }

  var root: Int { ruleIndices["root"] ?? 0 }

  /// - Parameter depth: Of parentheses.
  /// - Returns: A tree and how deep it is.
  mutating func alternatives(depth: Int) throws(GrammarError) -> (expression: GrammarExpression, depth: Int) {
    guard depth <= GrammarLimits.nesting else { throw tooDeep(depth) }
    var parts: [GrammarExpression] = []
    var deepest = 0
    while true {
      let part = try sequence(depth: depth)
      parts.append(part.expression)
      deepest = max(deepest, part.depth)
      guard skips("|") else { break }
      position += 1
      skipSpace(newlines: true)
    }
    return (parts.count == 1 ? parts[0] : .alternatives(parts), deepest)
  }

  func tooDeep(_ depth: Int) -> GrammarError {
    .tooLarge(
      rule: rule, what: "groups and repetitions inside each other", count: depth, limit: GrammarLimits.nesting
    )
  }
}

// Patterns of paths, as shells and .gitignore have them.

/// `*.md`, `src/**/*.swift`, `[a-c]?.txt`: `*` and `?` stay within a name, `**` is any number of folders.
///
/// Time is bounded by the product of the lengths, whatever the pattern is.
struct GlobPattern: Sendable, Hashable {
  private enum Piece: Sendable, Hashable {
    case literal(Unicode.Scalar)
    case one
    case run
    case set([ClosedRange<Unicode.Scalar>], isNegated: Bool)
  }

  private enum Component: Sendable, Hashable {
    case anyDepth
    case name([Piece])
  }

  private let components: [Component]

  /// - Throws: ``DocumentError/badPattern(_:reason:)``.
  init(_ pattern: String) throws(DocumentError) {
    var components: [Component] = []
    for part in pattern.split(separator: "/", omittingEmptySubsequences: true) {
      components.append(part == "**" ? .anyDepth : .name(try Self.pieces(of: part, in: pattern)))
    }
    guard !components.isEmpty else { throw .badPattern(pattern, reason: "is empty") }
    self.components = components
  }

  private init(_ components: [Component]) { self.components = components }

  /// The same below any folder.
  var atAnyDepth: GlobPattern { GlobPattern([.anyDepth] + components) }

  /// Whether a text has characters that only patterns have.
  static func isPattern(_ text: some StringProtocol) -> Bool {
    text.contains { $0 == "*" || $0 == "?" || $0 == "[" }
  }

  private static func pieces(
    of part: Substring, in pattern: String
  ) throws(DocumentError) -> [Piece] {
    var pieces: [Piece] = []
    var rest = part.unicodeScalars
    while let scalar = rest.popFirst() {
      switch scalar {
      case "*": if pieces.last != .run { pieces.append(.run) }
      case "?": pieces.append(.one)
      case "\\":
        guard let next = rest.popFirst() else { throw .badPattern(pattern, reason: "ends with a backslash") }
        pieces.append(.literal(next))
      case "[": pieces.append(try set(&rest, in: pattern))
      default: pieces.append(.literal(scalar))
      }
    }
    return pieces
  }

  /// The rest of `[a-z_]` or `[!a-z]`.
  private static func set(
    _ rest: inout Substring.UnicodeScalarView, in pattern: String
  ) throws(DocumentError) -> Piece {
    var ranges: [ClosedRange<Unicode.Scalar>] = []
    let isNegated = rest.first == "!" || rest.first == "^"
    if isNegated { rest.removeFirst() }
    var isFirst = true
    while let scalar = rest.popFirst() {
      if scalar == "]", !isFirst { return .set(ranges, isNegated: isNegated) }
      isFirst = false
      var low = scalar
      if scalar == "\\", let escaped = rest.popFirst() { low = escaped }
      var high = low
      if rest.first == "-", rest.dropFirst().first.map({ $0 != "]" }) ?? false {
        rest.removeFirst()
        if let end = rest.popFirst() { high = end }
      }
      if low <= high { ranges.append(low...high) }
    }
    throw .badPattern(pattern, reason: "has a '[' that does not end")
  }

  /// Whether a path of these names matches as a whole.
  func matches(_ path: some Collection<String>) -> Bool {
    Self.match(
      components, Array(path), isRun: { $0 == .anyDepth },
      fits: { component, name in
        guard case .name(let pieces) = component else { return false }
        return Self.match(pieces, Array(name.unicodeScalars), isRun: { $0 == .run }, fits: Self.fits)
      })
  }

  private static func fits(_ piece: Piece, _ scalar: Unicode.Scalar) -> Bool {
    switch piece {
    case .literal(let literal): literal == scalar
    case .one: true
    case .run: false
    case .set(let ranges, let isNegated): ranges.contains { $0.contains(scalar) } != isNegated
    }
  }

  /// Elements of a pattern against others, where some stand for any number: when they do not fit, the last of those
  /// takes one more.
  private static func match<Element, Item>(
    _ pattern: [Element], _ items: [Item], isRun: (Element) -> Bool, fits: (Element, Item) -> Bool
  ) -> Bool {
    var (place, item) = (0, 0)
    var last: (place: Int, item: Int)?
    while item < items.count {
      if place < pattern.count, isRun(pattern[place]) {
        last = (place, item)
        place += 1
      } else if place < pattern.count, fits(pattern[place], items[item]) {
        place += 1
        item += 1
      } else if let run = last {
        place = run.place + 1
        item = run.item + 1
        last = (run.place, item)
      } else {
        return false
      }
    }
    return pattern[place...].allSatisfy(isRun)
  }
}

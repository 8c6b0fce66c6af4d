// What a rule says, as a tree.

/// One element of a grammar, in 32 bits. The order is that in which the edges of a node are kept.
struct GrammarLabel: Hashable, Comparable, Sendable {
  let rawValue: UInt32

  private static let classes: UInt32 = 1 << 30
  private static let tokens: UInt32 = 2 << 30
  private static let control: UInt32 = 3 << 30
  /// Continues without a character.
  static let empty = GrammarLabel(rawValue: .max)
  /// The first label that needs no character.
  static let firstControl = GrammarLabel(rawValue: control)
  /// The first label that is not one character.
  static let firstClass = GrammarLabel(rawValue: classes)
  static let firstToken = GrammarLabel(rawValue: tokens)

  private init(rawValue: UInt32) { self.rawValue = rawValue }

  static func character(_ codePoint: UInt32) -> GrammarLabel { GrammarLabel(rawValue: codePoint) }
  static func characters(_ index: Int) -> GrammarLabel { GrammarLabel(rawValue: classes | UInt32(index)) }
  static func token(_ index: Int) -> GrammarLabel { GrammarLabel(rawValue: tokens | UInt32(index)) }
  static func rule(_ index: Int) -> GrammarLabel { GrammarLabel(rawValue: control | UInt32(index)) }

  /// Of a class, a token or a rule.
  var index: Int { Int(rawValue & ~Self.control) }
  var isRule: Bool { self >= Self.firstControl && self != .empty }

  static func < (left: GrammarLabel, right: GrammarLabel) -> Bool { left.rawValue < right.rawValue }
}

/// A token that a grammar names: `<[7]>`, `!<think>`.
struct GrammarToken: Hashable, Sendable {
  /// The token's number, or the text in angle brackets that stands for it.
  enum Name: Hashable, Sendable {
    case number(Int)
    case text(String)
  }

  var name: Name
  /// Any token but this one.
  var isNegated: Bool
}

indirect enum GrammarExpression: Sendable {
  /// One after the other.
  case elements([GrammarLabel])
  case sequence([GrammarExpression])
  case alternatives([GrammarExpression])
  /// - Parameter most: nil for any number.
  case repetition(GrammarExpression, least: Int, most: Int?)

  /// Larger bodies are repeated by a rule of their own.
  static let largestCopiedBody = 16

  /// How many elements there are when repetitions are written out; `Int.max` for too many to count.
  var size: Int {
    switch self {
    case .elements(let labels): return labels.count
    case .sequence(let parts): return parts.reduce(0) { Self.add($0, $1.size) }
    // An alternative without elements takes room, too.
    case .alternatives(let parts): return parts.reduce(parts.count) { Self.add($0, $1.size) }
    case .repetition(let body, let least, let most):
      let size = body.size
      let copies = Self.copies(least: least, most: most)
      if copies > 1, size > Self.largestCopiedBody { return Self.add(size, copies) }
      let (product, overflows) = max(1, size).multipliedReportingOverflow(by: copies)
      return overflows ? .max : product
    }
  }

  static func copies(least: Int, most: Int?) -> Int { most ?? max(1, least) }

  private static func add(_ left: Int, _ right: Int) -> Int {
    let (sum, overflows) = left.addingReportingOverflow(right)
    return overflows ? .max : sum
  }
}

// What an answer repeats of a text, through what it changes.

/// A part of a text that is repeated at its end, perhaps with some tokens changed: a function with another name in it.
struct TextCopy {
  /// The place of the token that would come next.
  private(set) var next: Int
  /// Tokens that were the same, at most ``TextMatches/longest``; each change halves it.
  private(set) var length: Int
  /// Whether the last token was changed.
  private(set) var wasChanged = false
  /// Tokens of the text, by what took their place last.
  private var changes: [Int32: Int32] = [:]

  /// After fewer tokens another one is the end of a copy, and no change in it.
  private static let shortestWithChanges = 6

  init(_ match: TextMatches.Match) { (next, length) = (match.next, match.length) }

  /// Goes on with a token that comes behind `tokens`; false where it is the end of the copy.
  mutating func follow(_ token: Int32, in tokens: [Int32]) -> Bool {
    let original = tokens[next]
    next += 1
    wasChanged = false
    if original == token {
      changes[original] = nil
    } else if changes[original] != token {
      guard length >= Self.shortestWithChanges else { return false }
      changes[original] = token
      length /= 2
      wasChanged = true
      return true
    }
    length = min(TextMatches.longest, length + 1)
    return true
  }

  /// What may follow, at most `count` tokens, changed as before; where that reaches the end of the text, it goes on as
  /// if the text had been repeated.
  func continuation(in tokens: [Int32], count: Int) -> [Int32] {
    let period = tokens.count - next
    return (0..<max(0, count)).map {
      let original = tokens[next + $0 % period]
      return changes[original] ?? original
    }
  }
}

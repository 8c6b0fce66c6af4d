// Who proposes tokens that may come next.

import LlamaHost

/// Proposes tokens; each is checked before it counts, so that a bad proposal costs time and nothing else.
package protocol Drafter: AnyObject {
  /// Tokens that may follow.
  ///
  /// - Parameters:
  ///   - context: the tokens that were read.
  ///   - token: the one after them, which is to be read next.
  ///   - most: more are of no use.
  func propose(context: [Int32], token: Int32, most: Int) throws -> [Int32]
  /// Told how many of the last proposal were right.
  ///
  /// - Parameter wasWrong: whether the next one was not; false when nobody came to it.
  func note(right: Int, wasWrong: Bool)
}

/// Proposes what followed in the text where it was like its end, for answers that quote or repeat something, also with
/// some tokens changed.
package final class TextDrafter: Drafter {
  private var matches = TextMatches()
  /// What the answer repeats now.
  private var copy: TextCopy?
  private var acceptance = DraftAcceptance(expected: [0.25, 0.35, 0.5, 0.7, 0.85, 0.6])
  private var kind = 0

  package init() {}

  package func propose(context: [Int32], token: Int32, most: Int) -> [Int32] {
    if matches.tokens.count > context.count { (matches, copy) = (TextMatches(), nil) }
    for new in [context[matches.tokens.count...], [token]] {
      for token in new {
        if copy?.follow(token, in: matches.tokens) == false { copy = nil }
        matches.append(CollectionOfOne(token))
      }
    }
    if let match = matches.match(), match.length > copy?.length ?? 0 { copy = TextCopy(match) }
    guard let copy else { return [] }
    kind = copy.wasChanged ? Self.changed : Self.kind(ofLength: copy.length)
    return copy.continuation(in: matches.tokens, count: acceptance.length(kind, most: most))
  }

  package func note(right: Int, wasWrong: Bool) { acceptance.note(kind, right: right, wasWrong: wasWrong) }

  /// The kind of drafts behind a token that was changed.
  private static let changed = 5

  /// Matches of similar lengths are right equally often.
  private static func kind(ofLength length: Int) -> Int {
    switch length {
    case ...3: 0
    case ...5: 1
    case ...9: 2
    case ...17: 3
    default: 4
    }
  }
}

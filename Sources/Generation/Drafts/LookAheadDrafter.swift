// Drafts for exact attention: what retrieval would say.

import LlamaHost

/// Lets the context's own attention generate a few tokens, and takes them back.
///
/// Each such token is as fast as retrieval is; that they are nearly always right makes up for reading the weights
/// once more. Speculative decoding with the same model and sparse attention (TriForce, arXiv 2404.11912; MagicDec,
/// arXiv 2408.11049).
final class LookAheadDrafter: Drafter {
  private let runner: GuestRunner
  private let sampler: Sampler
  /// Asked first.
  private let text: (any Drafter)?
  /// nil to look ahead whatever it takes.
  private var pace: DraftPace?
  private var way = DraftPace.Way.alone
  /// A draft costs little beside the pass over all keys, which is made for any number of them.
  private var acceptance = DraftAcceptance(expected: [0.95], costOfDraft: 0.1)

  /// Fewer drafts from the text are not better than what retrieval foresees.
  private static let leastOfText = 4

  init(_ runner: GuestRunner, sampler: Sampler, text: (any Drafter)?, pace: DraftPace? = DraftPace()) {
    self.runner = runner
    self.sampler = sampler
    self.text = text
    self.pace = pace
  }

  func propose(context: [Int32], token: Int32, most: Int) throws -> [Int32] {
    pace?.endStep(tokens: context.count, at: .now)
    // It has to see every token, whether it is worth it or not.
    let found = try text?.propose(context: context, token: token, most: most) ?? []
    way = choice(found)
    pace?.beginStep(way, tokens: context.count, at: .now)
    switch way {
    case .alone: return []
    case .text: return found
    case .lookingAhead:
      let count = acceptance.length(0, most: most)
      let shadow = sampler.shadow()
      return try runner.lookAhead(from: token, count: count) { try shadow.next(after: $0) }
    }
  }

  private func choice(_ found: [Int32]) -> DraftPace.Way {
    func isWorthIt(_ way: DraftPace.Way) -> Bool { pace?.isWorthIt(way) ?? true }
    let takesText = !found.isEmpty && isWorthIt(.text)
    if takesText, found.count >= Self.leastOfText { return .text }
    if runner.engine.indexedTokenCount > 0, isWorthIt(.lookingAhead) { return .lookingAhead }
    return takesText ? .text : .alone
  }

  func note(right: Int, wasWrong: Bool) {
    switch way {
    case .alone: break
    case .text: text?.note(right: right, wasWrong: wasWrong)
    case .lookingAhead: acceptance.note(0, right: right, wasWrong: wasWrong)
    }
  }
}

extension GuestRunner {
  /// Generates tokens as the context's policy attends, and takes them back.
  ///
  /// - Parameter choose: a token from logits; nil ends the text.
  /// - Returns: at most `count` tokens that follow `token`.
  func lookAhead(
    from token: Int32, count: Int, choose: (LogitRow) throws -> Int32?
  ) throws -> [Int32] {
    let (wasLossless, indexed) = (isLossless, indexesDecodedTokens)
    isLossless = false
    indexesDecodedTokens = false
    defer { (isLossless, indexesDecodedTokens) = (wasLossless, indexed) }
    let start = tokenCount
    if context.hasRecurrentLayers { try context.markDrafts() }
    var tokens: [Int32] = []
    do {
      while tokens.count < count, let next = try choose(decode(tokens.last ?? token).last) {
        tokens.append(next)
      }
    } catch {
      try context.dropDrafts(to: start)
      throw error
    }
    try context.dropDrafts(to: start)
    return tokens
  }
}

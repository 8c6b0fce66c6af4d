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
  private var isOfText = false
  private var length = LookAheadDrafter.firstLength

  private static let firstLength = 4
  /// Fewer drafts from the text are not better than what retrieval foresees.
  private static let leastOfText = 4
  /// With fewer indexed tokens exact attention costs no more than what would be saved.
  private let leastIndexed: Int

  init(_ runner: GuestRunner, sampler: Sampler, text: (any Drafter)?, leastIndexed: Int = 4096) {
    self.leastIndexed = leastIndexed
    self.runner = runner
    self.sampler = sampler
    self.text = text
  }

  func propose(context: [Int32], token: Int32, most: Int) throws -> [Int32] {
    let found = try text?.propose(context: context, token: token, most: most) ?? []
    isOfText = found.count >= Self.leastOfText
    guard !isOfText else { return found }
    guard runner.engine.indexedTokenCount >= leastIndexed else { return [] }
    let shadow = sampler.shadow()
    return try runner.lookAhead(from: token, count: min(length, most)) { try shadow.next(after: $0) }
  }

  func note(right: Int, wasWrong: Bool) {
    if isOfText { text?.note(right: right, wasWrong: wasWrong) }
    guard !isOfText else { return }
    length = wasWrong ? max(1, right + 1) : min(length + 2, runner.draftCapacity)
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

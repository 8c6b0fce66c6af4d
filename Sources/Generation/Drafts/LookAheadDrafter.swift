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
  private var acceptance = DraftAcceptance(expected: [0.95])
  /// What a token of retrieval costs, of what one of exact attention costs; nil to find it out.
  private let costOfLooking: Double?

  /// About what share of keys and values retrieval reads, its index included.
  private static let shareRead = 0.05
  /// Fewer drafts from the text are not better than what retrieval foresees.
  private static let leastOfText = 4

  /// - Parameter costOfLooking: of a token of retrieval, of what one of exact attention costs; by the bytes that both
  ///   read for nil.
  init(_ runner: GuestRunner, sampler: Sampler, text: (any Drafter)?, costOfLooking: Double? = nil) {
    self.costOfLooking = costOfLooking
    self.runner = runner
    self.sampler = sampler
    self.text = text
  }

  func propose(context: [Int32], token: Int32, most: Int) throws -> [Int32] {
    let found = try text?.propose(context: context, token: token, most: most) ?? []
    let count =
      runner.engine.indexedTokenCount > 0
      ? acceptance.length(0, most: most, making: costOfLooking ?? shareOfBytes) : 0
    isOfText = found.count >= Self.leastOfText || count == 0
    guard !isOfText else { return found }
    let shadow = sampler.shadow()
    return try runner.lookAhead(from: token, count: count) { try shadow.next(after: $0) }
  }

  /// Bytes of a step of retrieval among those of an exact one: both read the weights.
  private var shareOfBytes: Double {
    let weights = Double(runner.model.description.byteCount)
    let keys = Double(runner.context.memory.store)
    return (weights + Self.shareRead * keys) / max(1, weights + keys)
  }

  func note(right: Int, wasWrong: Bool) {
    if isOfText {
      text?.note(right: right, wasWrong: wasWrong)
    } else {
      acceptance.note(0, right: right, wasWrong: wasWrong)
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

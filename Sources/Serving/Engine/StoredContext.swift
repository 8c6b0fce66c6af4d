// Keys and values of some tokens, as a sequence at work has them or a later one may want them.

import Generation
import RetrievalAttention

/// A context, and what it is kept for.
final class StoredContext {
  let context: Context
  /// The session whose document these tokens begin with.
  var session: String?
  /// Tokens of the session's document, when these are to be its own keys and values: nothing behind them may be put
  /// into the index, from which it could not be taken back. Nil for a fork, which may do what it likes.
  var pinnedCount: Int?
  var lastUsed = ContinuousClock.now

  init(_ context: Context) { self.context = context }

  var tokens: [Int32] { context.tokens }
  var engine: AttentionEngine { context.engine }

  /// Another context that begins with the first `count` tokens and shares their memory, unless they are indexed anew.
  ///
  /// - Parameter capacity: tokens for which it has room.
  /// - Throws: what ``RetrievalAttention/AttentionEngine/fork(capacity:)`` throws; this one is as it was then.
  func fork(keeping count: Int, capacity: Int, parallel: ParallelRunner = .serial) throws -> StoredContext {
    let fork = StoredContext(try context.fork(capacity: capacity))
    if count >= pinnedCount ?? 0 { fork.session = session }
    try fork.goBack(to: count, parallel: parallel)
    return fork
  }

  /// Drops the tokens from `count` on, a place that the context can go back to.
  ///
  /// - Throws: what ``RetrievalAttention/AttentionEngine/rewind(to:parallel:)`` throws; nothing has changed then.
  func goBack(to count: Int, parallel: ParallelRunner) throws {
    guard count < tokens.count else { return }
    try context.goBack(to: count, parallel: parallel)
  }

  func canTruncate(to count: Int) -> Bool { context.truncationPoint(atMost: count) == count }

  /// How many tokens this and `wanted` begin with in common, but never all of `wanted`: one is left to compute, for its
  /// logits.
  func commonCount(_ wanted: [Int32]) -> Int { Self.commonCount(tokens, wanted) }

  static func commonCount(_ stored: [Int32], _ wanted: [Int32]) -> Int {
    let limit = min(stored.count, wanted.count - 1)
    guard limit > 0 else { return 0 }
    return (0..<limit).first { stored[$0] != wanted[$0] } ?? limit
  }
}

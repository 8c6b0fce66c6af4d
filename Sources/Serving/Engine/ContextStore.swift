// Contexts that were computed once and may be wanted again.

import Foundation
import RetrievalAttention

/// Keys and values of some tokens.
final class StoredContext {
  let engine: AttentionEngine
  /// The tokens whose keys and values the engine has, as many as its token count.
  var tokens: [Int32]
  /// The session whose document these tokens begin with.
  var session: String?
  /// Tokens that a session needs again: nothing behind them may be put into the index, from which it could not be taken
  /// back.
  var pinnedCount: Int?
  var lastUsed = ContinuousClock.now

  init(engine: AttentionEngine, tokens: [Int32] = []) {
    self.engine = engine
    self.tokens = tokens
  }

  var byteCount: Int { engine.storeByteCount + engine.indexByteCount + engine.sampleByteCount }
}

/// Where contexts wait for the next request that begins with the same tokens.
protocol ContextStore {
  /// The context with the longest usable beginning of `tokens`, cut back to what they have in common, for the caller
  /// alone; nil when none has any.
  ///
  /// At least one token is left to compute, for its logits.
  mutating func take(longestPrefixOf tokens: [Int32]) -> StoredContext?
  /// Keeps a context for later.
  mutating func put(_ context: StoredContext)
  /// Gives up the context that was not used for longest; returns it, or nil when there is none.
  mutating func evict() -> StoredContext?
  mutating func remove(session: String)
  var contexts: [StoredContext] { get }
}

/// Keeps whole contexts in memory and hands them out one at a time: who takes one has it alone until it comes back.
struct ExclusiveContextStore: ContextStore {
  private(set) var contexts: [StoredContext] = []

  mutating func take(longestPrefixOf tokens: [Int32]) -> StoredContext? {
    let candidates = contexts.enumerated().map { index, context in
      (index: index, common: Self.commonCount(context.tokens, tokens))
    }
    // The longest first; of equals the one that is nearest to its end, since the rest of it will be dropped.
    for candidate in candidates.sorted(by: {
      ($0.common, -contexts[$0.index].tokens.count) > ($1.common, -contexts[$1.index].tokens.count)
    }) {
      let context = contexts[candidate.index]
      // What is cut off is lost, so a few tokens in common are not worth a long context, nor a session's document.
      guard candidate.common > 0, candidate.common >= context.pinnedCount ?? (context.tokens.count / 2) else {
        continue
      }
      do {
        try context.engine.truncate(to: candidate.common)
      } catch {
        // The place to cut is inside the index or behind a sliding window; the context is as it was.
        continue
      }
      context.tokens.removeLast(context.tokens.count - candidate.common)
      contexts.remove(at: candidate.index)
      return context
    }
    return nil
  }

  mutating func put(_ context: StoredContext) {
    guard !context.tokens.isEmpty else { return }
    context.lastUsed = .now
    contexts.append(context)
  }

  mutating func evict() -> StoredContext? {
    guard let index = contexts.indices.min(by: { contexts[$0].lastUsed < contexts[$1].lastUsed }) else {
      return nil
    }
    return contexts.remove(at: index)
  }

  mutating func remove(session: String) { contexts.removeAll { $0.session == session } }

  /// Tokens that both begin with, but never all of `wanted`.
  static func commonCount(_ stored: [Int32], _ wanted: [Int32]) -> Int {
    let limit = min(stored.count, wanted.count - 1)
    guard limit > 0 else { return 0 }
    return (0..<limit).first { stored[$0] != wanted[$0] } ?? limit
  }
}

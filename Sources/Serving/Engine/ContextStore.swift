// Contexts that wait for the next request that begins with the same tokens.

import RetrievalAttention

/// Finds the context that a prompt can go on from, and keeps those that are not at work.
///
/// Where the policy allows it, a request takes a fork, so that any number of them read one context at the same time,
/// each with tokens of its own behind it (copy-on-write, as PagedAttention shares blocks, arXiv 2309.06180, and
/// RadixAttention prefixes, arXiv 2312.07104). Otherwise a request has a context alone until it is done with it.
struct ContextStore {
  /// What a prompt can go on from.
  struct Match {
    let context: StoredContext
    /// Tokens that are in common, up to where the context can go back.
    let count: Int
    /// Whether what follows them is in the context's index, so that they are indexed anew.
    let isReindexed: Bool
    /// Whether the context stays what it is, and a fork of it goes on.
    let isShared: Bool
  }

  private(set) var contexts: [StoredContext] = []
  /// Whether contexts can be forked.
  let isShared: Bool
  /// Tokens for which forks have room.
  let capacity: Int

  /// Tokens that make a fork worth its cost: some milliseconds, and mappings of which a process has a limited number.
  static let leastShared = 64
  /// Tokens that are put into an index in the time in which one is read, at most: small models read fast.
  static let readForIndexed = 5
  /// Tokens that a context must have more than another one to be kept beside it: fewer are read as fast as a fork is
  /// made.
  static let leastAdded = 32

  init(isShared: Bool, capacity: Int) {
    self.isShared = isShared
    self.capacity = capacity
  }

  /// The context with the longest usable beginning of `tokens`; nil when none has any.
  ///
  /// - Parameter running: contexts at work, which can be forked but not taken.
  func match(_ tokens: [Int32], running: [StoredContext]) -> Match? {
    typealias Candidate = (context: StoredContext, count: Int, isReindexed: Bool, isRunning: Bool)
    func candidate(_ context: StoredContext, isRunning: Bool) -> Candidate {
      let place = context.context.returnPoint(atMost: context.commonCount(tokens))
      return (context, place, !context.canTruncate(to: place), isRunning)
    }
    var candidates = contexts.map { candidate($0, isRunning: false) }
    if isShared { candidates += running.map { candidate($0, isRunning: true) } }
    func worth(_ candidate: Candidate) -> Int {
      candidate.count - (candidate.isReindexed ? candidate.count / Self.readForIndexed : 0)
    }
    // What spares most first; of equals the one that is nearest to its end.
    candidates.sort { (worth($0), -$0.context.tokens.count) > (worth($1), -$1.context.tokens.count) }
    for (context, count, isReindexed, isRunning) in candidates where count > 0 {
      let isDocument = context.pinnedCount != nil
      if isShared, isRunning || isDocument || count >= Self.leastShared && count < context.tokens.count {
        let least = isDocument ? min(Self.leastShared, context.tokens.count / 2) : Self.leastShared
        guard count >= least else { continue }
        return Match(context: context, count: count, isReindexed: isReindexed, isShared: true)
      }
      // What is cut off is lost, so a few tokens in common are not worth a long context, nor a session's document.
      guard count >= context.pinnedCount ?? (context.tokens.count / 2) else { continue }
      return Match(context: context, count: count, isReindexed: isReindexed, isShared: false)
    }
    return nil
  }

  /// The context of a match, cut back to what is in common, for the caller alone.
  mutating func take(_ match: Match, parallel: ParallelRunner) throws -> StoredContext {
    match.context.lastUsed = .now
    if match.isShared {
      return try match.context.fork(keeping: match.count, capacity: capacity, parallel: parallel)
    }
    try match.context.goBack(to: match.count, parallel: parallel)
    contexts.removeAll { $0 === match.context }
    return match.context
  }

  /// Keeps a context for later, if it has more than others that are kept, and drops those that it makes superfluous.
  mutating func put(_ context: StoredContext) {
    guard !context.tokens.isEmpty else { return }
    context.lastUsed = .now
    context.engine.releaseScratch()
    if isShared, context.pinnedCount == nil {
      let count = context.tokens.count
      let others = contexts.map { (context: $0, count: StoredContext.commonCount($0.tokens, context.tokens)) }
      // All but the last token are compared, which counts as different.
      guard
        !others.contains(where: {
          let isLonger = $0.context.tokens.count >= count
          return $0.count >= count - (isLonger ? 1 : Self.leastAdded) && $0.count > count / 2
            && $0.context.canTruncate(to: $0.count)
        })
      else { return }
      contexts.removeAll { old in
        old.pinnedCount == nil && old.tokens.count < count
          && StoredContext.commonCount(old.tokens, context.tokens) == old.tokens.count
          && context.canTruncate(to: old.tokens.count)
      }
    }
    contexts.append(context)
  }

  /// Gives up the context that was not used for longest, but not `kept`; returns it, or nil when there is none.
  mutating func evict(keeping kept: StoredContext? = nil) -> StoredContext? {
    guard
      let index = contexts.indices.filter({ contexts[$0] !== kept })
        .min(by: { contexts[$0].lastUsed < contexts[$1].lastUsed })
    else { return nil }
    return contexts.remove(at: index)
  }

  /// Forgets a session: its document, and all that was asked about it.
  mutating func remove(session: String) { contexts.removeAll { $0.session == session } }

  /// Forgets a session's document, but nothing that was asked about it.
  mutating func remove(documentOf session: String) {
    contexts.removeAll { $0.session == session && $0.pinnedCount != nil }
  }

  /// Forgets contexts whose files have become shorter; returns the sessions whose documents are among them.
  mutating func removeCut() -> [String] {
    let cut = contexts.filter(\.engine.hasCutFiles)
    contexts.removeAll { context in cut.contains { $0 === context } }
    return cut.compactMap { $0.pinnedCount == nil ? nil : $0.session }
  }

  func hasDocument(of session: String) -> Bool {
    contexts.contains { $0.session == session && $0.pinnedCount != nil }
  }
}

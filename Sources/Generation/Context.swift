// What a model has read: tokens, with their keys and values.

import LlamaHost
public import RetrievalAttention

/// An attention engine and the tokens that it has read.
///
///     let context = try Context(shape: host.shape, policy: .exact, capacity: 8192)
///     try BatchRunner(host: host).evaluate([.init(context: context, tokens: [1, 2, 3], outputs: .last)])
///     context.tokens  // [1, 2, 3]
///
/// The two are in step always: tokens come with an evaluation that succeeded, one that failed or was cancelled leaves
/// both as they were, and what is dropped is dropped from both. Nor is a context read on before its index is: what an
/// evaluation makes due is done before the next one.
///
/// Not thread-safe: one owner.
public final class Context {
  /// Computes attention, and tells what that costs. Tokens are added and dropped by the context alone.
  package let engine: AttentionEngine
  /// The tokens read so far.
  public private(set) var tokens: [Int32]
  /// Seconds spent building the index.
  public private(set) var indexSeconds = 0.0
  private var dueUpdate: IndexUpdate?
  /// States of the model's recurrent layers, if it has such.
  private(set) var recurrent = RecurrentHistory()
  /// States of recurrent layers before drafts were read.
  private var beforeDrafts: RecurrentSnapshot?
  /// Whether a prompt has been read in part, whose next batch is no place to go back to.
  private var isInPrompt = false

  /// What is to be put into the index.
  private struct IndexUpdate {
    /// The prompt is complete: also the last, partly filled segment.
    var finishing: Bool
    /// Where queries are expected.
    var askPosition: Int
  }

  /// How far behind the last token questions are expected: the middle of an answer.
  private static let askDistance = 128

  /// Bytes that copies of recurrent layers' states may take; one is kept whatever it takes.
  package var stateBudget: Int {
    get { recurrent.budget }
    set { recurrent.budget = newValue }
  }

  /// An empty context with room for `capacity` tokens; throws as
  /// ``RetrievalAttention/AttentionEngine/init(shape:policy:capacity:)`` does.
  public convenience init(shape: ModelShape, policy: AttentionPolicy, capacity: Int) throws {
    self.init(engine: try AttentionEngine(shape: shape, policy: policy, capacity: capacity), tokens: [])
  }

  /// A context of an engine that has read `tokens`, and that nobody else goes on with.
  package convenience init(engine: AttentionEngine, tokens: [Int32]) {
    self.init(engine: engine, tokens: tokens, recurrent: RecurrentHistory())
  }

  /// The same with the states of recurrent layers after those tokens.
  init(engine: AttentionEngine, tokens: [Int32], recurrent: RecurrentHistory) {
    precondition(
      engine.tokenCount == tokens.count,
      "an engine that has read \(engine.tokenCount) tokens, not \(tokens.count)")
    self.engine = engine
    self.tokens = tokens
    self.recurrent = recurrent
  }

  public var tokenCount: Int { tokens.count }
  /// Tokens for which it has room.
  public var capacity: Int { engine.capacity }
  public var policy: AttentionPolicy { engine.policy }
  /// The model's layers, and how keys and values are stored.
  public var shape: ModelShape { engine.shape }
  /// Bytes of keys, values and index.
  public var memory: MemoryUse {
    var use = MemoryUse()
    use.store = engine.storeByteCount
    use.index = engine.indexByteCount
    use.samples = engine.sampleByteCount
    use.states = hasRecurrentLayers ? recurrent.byteCount : nil
    return use
  }

  /// Another context with the same tokens, which shares memory with this one until either changes something.
  ///
  /// - Parameter capacity: tokens for which it has room; as many as this one when nil.
  /// - Throws: what ``RetrievalAttention/AttentionEngine/fork(capacity:)`` throws; this context is as it was then.
  public func fork(capacity: Int? = nil) throws -> Context {
    let fork = Context(
      engine: try engine.fork(capacity: capacity), tokens: tokens, recurrent: try recurrent.fork())
    fork.dueUpdate = dueUpdate
    return fork
  }

  /// Drops the tokens from `count` on.
  ///
  /// - Throws: what ``RetrievalAttention/AttentionEngine/truncate(to:)`` throws, above all for tokens that are in the
  ///   index; ``GenerationError/noStateKept(position:nearest:)`` for a place of a hybrid model that has no copy of the
  ///   states. Nothing has changed then.
  public func truncate(to count: Int) throws {
    if hasRecurrentLayers, recurrent.place(atMost: count) != count {
      throw GenerationError.noStateKept(position: count, nearest: recurrent.place(atMost: count))
    }
    try engine.truncate(to: count)
    drop(from: count)
  }

  /// Where ``truncate(to:)`` can go that is nearest to `count`, and not behind it: `count` itself for most models, the
  /// place of a copy of the states for hybrid ones. Nil where it cannot go at all.
  public func truncationPoint(atMost count: Int) -> Int? {
    let place = hasRecurrentLayers ? recurrent.place(atMost: count) : count
    return (try? engine.checkTruncation(to: place)) != nil ? place : nil
  }

  /// Where ``goBack(to:parallel:)`` can go that is nearest to `count`, and not behind it; 0 is always one.
  package func returnPoint(atMost count: Int) -> Int {
    if let place = truncationPoint(atMost: count) { return place }
    let place = hasRecurrentLayers ? recurrent.place(atMost: count) : count
    return engine.canRewind(to: place) ? place : 0
  }

  /// Drops the tokens from `count` on, also those that are in the index, which is made anew of the others when a prompt
  /// has been read, in a fraction of the time to read them.
  ///
  /// - Parameter count: a place of ``returnPoint(atMost:)``.
  /// - Throws: what ``truncate(to:)`` throws; nothing has changed then.
  package func goBack(to count: Int, parallel: ParallelRunner = .serial) throws {
    if truncationPoint(atMost: count) == count { return try truncate(to: count) }
    if hasRecurrentLayers, recurrent.place(atMost: count) != count {
      throw GenerationError.noStateKept(position: count, nearest: recurrent.place(atMost: count))
    }
    try engine.rewind(to: count, parallel: parallel)
    drop(from: count)
  }

  /// Whether it may read drafts: see ``BatchRunner/Item/init(context:token:drafts:)``.
  public var takesDrafts: Bool { engine.takesDrafts }

  /// Whether the model has recurrent layers, of which something has been kept.
  var hasRecurrentLayers: Bool { recurrent.state.position > 0 }

  /// Keeps what is in common with the beginning of `prompt`, and drops the rest; see ``GuestRunner/keepPrefix(of:)``.
  func keepPrefix(of prompt: [Int32], parallel: ParallelRunner) throws -> Int {
    let common = zip(tokens, prompt.dropLast()).prefix { $0 == $1 }.count
    guard common < tokenCount else { return common }
    let kept = returnPoint(atMost: common)
    try goBack(to: kept, parallel: parallel)
    return kept
  }

  private func drop(from count: Int) {
    tokens.removeLast(max(0, tokenCount - count))
    if hasRecurrentLayers { recurrent.goBack(to: count) }
    isInPrompt = false
    dueUpdate = nil
  }

  /// Grows to `count` tokens by repeating those from `first` up to `period`, and indexes them; see
  /// ``RetrievalAttention/AttentionEngine/replicate(to:period:first:parallel:)``.
  func replicate(to count: Int, period: Int, first: Int, parallel: ParallelRunner) throws {
    updateIndex(parallel: parallel)
    try engine.replicate(to: count, period: period, first: first, parallel: parallel)
    let repeated = (tokenCount..<max(count, tokenCount)).map {
      tokens[first + ($0 - first) % (period - first)]
    }
    didRead(repeated[...], promptEnd: count)
    if hasRecurrentLayers {
      recurrent.state.skip(to: count)
      recurrent.markEnd()
    }
    updateIndex(parallel: parallel)
  }
}

// For who evaluates: the layers have been computed, or some of them.

extension Context {
  /// All layers have read `tokens`.
  ///
  /// - Parameters:
  ///   - end: how many tokens the prompt has that these belong to, for generated ones those up to them. What leaves the
  ///     window is due to go into the index then; nil leaves it in the window.
  ///   - isIndexed: false ends the prompt without an index of it.
  func didRead(_ tokens: ArraySlice<Int32>, promptEnd end: Int?, isIndexed: Bool = true) {
    self.tokens += tokens
    guard let end else { return }
    guard isIndexed else {
      if tokenCount == end { engine.finishPrompt() }
      return
    }
    let update = IndexUpdate(finishing: tokenCount == end, askPosition: end + Self.askDistance)
    if engine.needsIndexUpdate(finishing: update.finishing) {
      dueUpdate = update
    } else if update.finishing {
      engine.finishPrompt()
    }
  }

  /// More than one token will be read: where a prompt begins, others may want to go back to that place. So they may
  /// where its last batch begins, if its end is made other tokens of together with what follows.
  func beginsToRead(isLastBatch: Bool) { if !isInPrompt || isLastBatch { recurrent.markBeginning() } }

  /// Keeps copies of the states where that is due after a batch, and hands them to contexts that have read along.
  ///
  /// - Parameter end: how many tokens the prompt has that the batch belongs to.
  func keepStates(for followers: [Context], isPrompt: Bool, promptEnd end: Int?) throws {
    isInPrompt = isPrompt && end.map { $0 > tokenCount } ?? false
    if isPrompt, tokenCount == end {
      recurrent.markEnd()
    } else {
      recurrent.advanced(isPrompt: isPrompt)
    }
    guard !followers.isEmpty else { return }
    let states = try recurrent.state.snapshot()
    for follower in followers {
      follower.recurrent.state.restore(states)
      if tokenCount == end { follower.recurrent.markEnd() }
    }
  }

  /// Keeps the states of recurrent layers before drafts are read, which may have to be dropped.
  func markDrafts() throws { beforeDrafts = try recurrent.state.snapshot() }

  /// Drops the last tokens, of which the first `kept` are to stay.
  ///
  /// - Returns: for hybrid models, the tokens to read again: states of recurrent layers cannot be cut.
  func dropDrafts(_ drafts: Int, keeping kept: Int) throws -> [Int32]? {
    guard let states = beforeDrafts else {
      try engine.truncate(to: tokenCount - (drafts - kept))
      tokens.removeLast(drafts - kept)
      return nil
    }
    let start = states.position
    precondition(start < tokenCount, "states behind the drafts")
    let again = Array(tokens[start..<tokenCount - (drafts - kept)])
    try engine.truncate(to: start)
    tokens.removeLast(tokenCount - start)
    recurrent.state.restore(states)
    return again
  }

  /// Drops all tokens behind `start`, where ``markDrafts()`` was called if the model is a hybrid one.
  func dropDrafts(to start: Int) throws {
    guard tokenCount > start else { return }
    _ = try dropDrafts(tokenCount - start, keeping: 0)
    beforeDrafts = nil
  }

  /// Generated tokens are there to stay.
  func didGenerate(isIndexed: Bool) throws {
    if hasRecurrentLayers {
      beforeDrafts = nil
      try keepStates(for: [], isPrompt: false, promptEnd: nil)
    }
    didRead([], promptEnd: isIndexed ? tokenCount : nil)
  }

  /// Takes back what some layers have read of a batch that others have not.
  func takeBack() throws { try engine.truncate(to: tokenCount) }

  /// Whether something is to be put into the index before more is read.
  package var isIndexDue: Bool { dueUpdate != nil }

  /// Moves rows that left the window into the index, where that is due.
  ///
  /// - Parameter pauses: asked between parts whether it is enough for now.
  /// - Returns: whether all is done.
  @discardableResult
  func updateIndex(parallel: ParallelRunner, pauses: () -> Bool = { false }) -> Bool {
    guard let update = dueUpdate else { return true }
    let clock = ContinuousClock()
    let start = clock.now
    let isDone = engine.updateIndex(
      finishing: update.finishing, askPosition: update.askPosition, parallel: parallel, pauses: pauses)
    indexSeconds += (clock.now - start).seconds
    if isDone { dueUpdate = nil }
    return isDone
  }
}

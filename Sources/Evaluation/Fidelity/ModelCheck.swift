// Whether all that is done with contexts holds for a model: more than the evaluation that `ParityReport` compares.

import Foundation
import Generation
package import LlamaHost
import RetrievalAttention

/// Exact attention and retrieval behind several batches beside the host, and what a session, a fork and a batch of two
/// sequences make of the same context.
package struct ModelCheck: Sendable, Encodable {
  /// Tokens of the context.
  package var tokenCount: Int
  /// Mean KL(host || exact) of the next token's distribution after the context and after some decoded tokens, in nats.
  package var exactDivergence: Double
  /// The same between the host's two ways of attending: the noise floor.
  package var hostDivergence: Double
  /// The same for retrieval with a tolerance of 0, which reads all keys: by the order and the places of the index.
  package var wholeRetrievalDivergence: Double
  /// The same for retrieval at its default settings.
  package var retrievalDivergence: Double
  /// Whether a session that was saved and reopened has the logits of the context that went on, to the bit.
  package var isReopenedEqual: Bool
  /// The same of a fork.
  package var isForkEqual: Bool
  /// Largest KL between sequences alone and two of them in one batch, over two batches, with retrieval that reads all
  /// keys: the host rounds otherwise in a batch, and what is chosen may depend on that.
  package var batchDivergence: Double

  /// Decoded tokens that are compared.
  private static let decodedCount = 8

  /// Whether all holds: distributions of exact attention, and of retrieval that reads all keys, as near to the host's
  /// as its own two are to each other, three times, or nearly; the rest the same. Retrieval at its default settings is
  /// told and not judged: it depends on the text.
  package var passed: Bool {
    let limit = max(3 * hostDivergence, 0.01)
    return exactDivergence <= limit && wholeRetrievalDivergence <= limit && isReopenedEqual && isForkEqual
      && batchDivergence <= limit
  }

  /// - Parameters:
  ///   - tokens: the context, and behind it some that are decoded.
  ///   - progress: is told how many tokens were read, of five readings.
  package init(
    checking model: LlamaModel, pool: ThreadPool, tokens: [Int32],
    progress: ((_ done: Int, _ total: Int) -> Void)? = nil
  ) throws {
    guard tokens.count > 4 * Self.decodedCount else {
      throw GenerationError.textTooShort(tokens: tokens.count, required: 4 * Self.decodedCount + 1)
    }
    let (context, following) = (
      Array(tokens.dropLast(Self.decodedCount)), Array(tokens.suffix(Self.decodedCount))
    )
    var readings = 0
    func logits(_ runner: some SequenceRunner) throws -> [[Float]] {
      defer { readings += 1 }
      var rows = [
        Array(
          try runner.prefill(context) { progress?(readings * context.count + $0, 5 * context.count) }.last)
      ]
      for token in following { rows.append(Array(try runner.decode(token).last)) }
      return rows
    }
    func host(flashAttention: Bool) throws -> [[Float]] {
      try logits(
        HostRunner(
          model: model, pool: pool, contextLength: tokens.count, flashAttention: flashAttention))
    }
    let guestHost = try GuestHost(
      model: model, pool: pool, outputCapacity: 2, sequenceCapacity: 2)
    let expected = try host(flashAttention: false)
    tokenCount = context.count
    hostDivergence = Self.divergence(expected, try host(flashAttention: true))
    func guest(_ policy: AttentionPolicy) throws -> GuestRunner {
      try GuestRunner(host: guestHost, policy: policy, plannedTokens: tokens.count + 2)
    }
    exactDivergence = Self.divergence(expected, try logits(guest(.exact)))
    let next = [following[0], following[1]]
    var readsAll = RetrievalSettings()
    readsAll.search.tolerance = 0
    let whole = try guest(.retrieval(readsAll))
    wholeRetrievalDivergence = Self.divergence(expected, try logits(whole))
    batchDivergence = try Self.divergenceOfTwo(whole, next)
    let runner = try guest(.retrieval(.init()))
    retrievalDivergence = Self.divergence(expected, try logits(runner))
    isReopenedEqual = try Self.decodesAlikeWhenReopened(runner, next[0])
    let (first, second) = (try runner.fork(), try runner.fork())
    let alone = try next.map { Array(try first.decode($0).last) }
    isForkEqual = try next.map { Array(try second.decode($0).last) } == alone
  }

  private static func divergence(_ expected: [[Float]], _ found: [[Float]]) -> Double {
    zip(expected, found).reduce(0) { $0 + LogitComparison.divergence($1.0, $1.1) } / Double(expected.count)
  }

  private static func decodesAlikeWhenReopened(_ runner: GuestRunner, _ token: Int32) throws -> Bool {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "ra-check-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appendingPathComponent("context.session").path
    let kept = try runner.fork()
    _ = try Session.create(at: path, from: runner.fork())
    let reopened = try Session.open(path, host: runner.host)
    return try Array(reopened.runner.decode(token).last) == Array(kept.decode(token).last)
  }

  /// Two forks decode together, the second one other tokens. The first batch must leave both as it should, which the
  /// second one shows.
  private static func divergenceOfTwo(_ runner: GuestRunner, _ tokens: [Int32]) throws -> Double {
    let forks = try (0..<4).map { _ in try runner.fork() }
    let others = tokens.map { $0 == 0 ? $0 + 1 : $0 - 1 }
    let alone = try tokens.map { Array(try forks[3].decode($0).last) }
    let otherAlone = try others.map { Array(try forks[2].decode($0).last) }
    let runner = BatchRunner(host: runner.host)
    var largest = 0.0
    for step in tokens.indices {
      let logits = try runner.evaluate([
        .init(context: forks[0].context, tokens: CollectionOfOne(tokens[step]), outputs: .last),
        .init(context: forks[1].context, tokens: CollectionOfOne(others[step]), outputs: .last),
      ])
      largest = max(
        largest, LogitComparison.divergence(alone[step], Array(logits[0])),
        LogitComparison.divergence(otherAlone[step], Array(logits[1])))
    }
    return largest
  }
}

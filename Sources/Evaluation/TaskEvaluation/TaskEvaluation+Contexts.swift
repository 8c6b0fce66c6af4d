// Who reads a context together: everyone but llama.cpp, as far as memory goes.

import Generation
import LlamaHost
import RetrievalAttention

extension TaskEvaluation {
  /// Bytes that a context is taken to need, in bytes of its keys and values: those, an index (hash tables are the
  /// largest, as large as the rows at a head width of 64), and scratch memory to build it.
  private static let memoryFactor = 2.5

  /// Attentions in families that share a runner, each led by the one that the runner is made for.
  func families(_ attentions: [EvaluatedAttention]) -> [AttentionFamily] {
    if settings.readsApart { return attentions.map { AttentionFamily(leader: $0, members: [$0]) } }
    var families: [AttentionFamily] = []
    // An index serves exact attention too, but not the other way round.
    let indexed = attentions.filter { $0.policy != .exact }
    for attention in indexed + attentions.filter({ $0.policy == .exact }) {
      if let place = families.firstIndex(where: { attention.canShareContext(of: $0.leader) }) {
        families[place].members.append(attention)
      } else {
        families.append(AttentionFamily(leader: attention, members: [attention]))
      }
    }
    return families
  }

  /// Families that read a context of `tokens` together, in the order given: policies as many at once as fit into the
  /// memory that is left, at least one; llama.cpp's attention by itself, last.
  func groups(_ families: [AttentionFamily], tokens: Int) throws -> [[AttentionFamily]] {
    var groups: [[AttentionFamily]] = []
    let guests = families.filter { $0.leader.policy != nil }
    if !guests.isEmpty {
      let bytes = try readyHost().shape.bytesPerToken
      let most =
        settings.readsApart
        ? 1 : min(guests.count, Self.readersThatFit(bytesPerToken: bytes, tokens: tokens))
      for first in stride(from: 0, to: guests.count, by: most) {
        groups.append(Array(guests[first..<min(first + most, guests.count)]))
      }
    }
    return groups + families.filter { $0.leader.policy == nil }.map { [$0] }
  }

  /// How many contexts of `tokens` fit into `available` bytes, at least 1: whether that one fits is for its runner to
  /// say.
  package static func readersThatFit(
    bytesPerToken: Int, tokens: Int, available: Int? = SystemMemory.availableBytes
  ) -> Int {
    let bytes = memoryFactor * Double(bytesPerToken) * Double(tokens)
    guard let available, bytes > 0 else { return .max }
    return max(1, Int(min(Double(available) / bytes, 1e6)))
  }

  /// Reads a context for some families of attentions.
  func context(
    _ tokens: [Int32], for families: [AttentionFamily], room: Int, activity: String
  ) throws -> SharedContext {
    try SharedContext(tokens: tokens, families: families) { [self] attention in
      try makeRunner(attention, plannedTokens: tokens.count + room)
    } progress: { [self] done in
      tell("\(activity), reading \(done) of \(tokens.count)", begun: Self.readingShare * Double(done))
    }
  }

  private func makeRunner(_ attention: EvaluatedAttention, plannedTokens: Int) throws -> any SequenceRunner {
    guard let policy = attention.policy else {
      return try HostRunner(model: model, pool: pool, contextLength: plannedTokens)
    }
    let runner = try GuestRunner(host: readyHost(), policy: policy, plannedTokens: plannedTokens)
    runner.indexesDecodedTokens = false
    return runner
  }

  func readyHeads() throws -> EvidenceHeads {
    let heads = try evidenceHeads ?? EvidenceHeads(of: model, shape: readyHost().shape, profile: nil)
    evidenceHeads = heads
    return heads
  }

  private func readyHost() throws -> GuestHost {
    let host = try guestHost ?? GuestHost(model: model, pool: pool)
    guestHost = host
    return host
  }
}

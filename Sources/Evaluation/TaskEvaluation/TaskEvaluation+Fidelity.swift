// Fidelity as a part of an evaluation: plain text, every attention against exact attention.

import Generation
import LlamaHost
import RetrievalAttention

extension TaskEvaluation {
  func measureFidelity(length: Int) throws {
    func key(_ attention: EvaluatedAttention) -> EvaluationKey {
      .fidelity(length: length, attention: attention.name)
    }
    let missing = settings.attentions.filter { attention in
      let isMissing = !file.has(key(attention))
      if !isMissing { finish(attention, length: length, wasSkipped: true) }
      return isMissing
    }
    guard !missing.isEmpty else { return }
    let contextTokens = length - settings.fidelityTokens
    let tokens = Array(fillerTokens[...length])
    let probe = FidelityProbe(tokens: tokens, contextTokens: contextTokens)
    let exact = EvaluatedAttention(name: "exact", policy: .exact)
    let activity = "fidelity, \(length) tokens"
    var reference: FidelityProbe.Run?
    // The reference comes first, in the first group that reads.
    let families = families(missing + (missing.contains { $0.policy == .exact } ? [] : [exact]))
    let (first, others) = (
      families.filter { $0.members.contains { $0.policy == .exact } },
      families.filter { !$0.members.contains { $0.policy == .exact } }
    )
    for group in try groups(first + others, tokens: length) {
      try Task.checkCancellation()
      let shared = try context(
        Array(tokens[..<contextTokens]), for: group, room: settings.fidelityTokens, activity: activity)
      let members = group.flatMap(\.members)
      if reference == nil, let exact = members.first(where: { $0.policy == .exact }) {
        reference = try probe.run(exact, on: shared) { tell("\(activity), reference, token \($0)") }
      }
      guard let reference else { return }
      for attention in members where missing.contains(attention) {
        let run =
          attention.policy == .exact
          ? reference
          : try probe.run(attention, on: shared) { tell("\(activity), \(attention.name), token \($0)") }
        let heads = try probe.headErrors(attention, on: shared)
        try file.append(
          FidelityRecord(
            run, of: attention, length: length, reference: reference.record, next: probe.next, heads: heads))
        finish(attention, length: length, wasSkipped: false)
      }
    }
  }
}

extension FidelityRecord {
  /// - Parameter next: what each decoded token is followed by in the text.
  fileprivate init(
    _ run: FidelityProbe.Run, of attention: EvaluatedAttention, length: Int, reference: LogitRecord,
    next: ArraySlice<Int32>, heads: HeadErrors?
  ) {
    let divergence = Divergence(reference: reference, other: run.record)
    self.init(
      length: length, attention: attention.name, tokens: next.count, meanKL: divergence.meanKL,
      p99KL: divergence.p99KL, top1: divergence.top1, perplexity: run.record.perplexity(of: next),
      referencePerplexity: reference.perplexity(of: next), millisecondsPerToken: run.steps.spread?.median,
      bytesPerToken: run.reads?.bytesPerToken,
      keysRead: run.reads?.keysRead, keysReadWithStatic: run.reads?.keysReadWithStatic, heads: heads)
  }
}

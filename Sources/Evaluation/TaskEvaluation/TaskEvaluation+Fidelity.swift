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
    var reference: FidelityProbe.Run?
    // The reference comes first, on the first context that can give it.
    for family in families(missing).sorted(by: {
      exact.canShareContext(of: $0.leader) && !exact.canShareContext(of: $1.leader)
    }) {
      try Task.checkCancellation()
      let activity = "fidelity, \(length) tokens, \(family.leader.name)"
      let shared = try context(
        Array(tokens[..<contextTokens]), for: family.leader, room: settings.fidelityTokens, activity: activity
      )
      if reference == nil {
        let source =
          exact.canShareContext(of: family.leader)
          ? shared
          : try context(
            Array(tokens[..<contextTokens]), for: exact, room: settings.fidelityTokens,
            activity: "fidelity, \(length) tokens, exact")
        reference = try probe.run(exact, on: source) { tell("\(activity), reference, token \($0)") }
      }
      guard let reference else { return }
      for attention in family.members {
        let run =
          attention.policy == .exact
          ? reference
          : try probe.run(attention, on: shared) {
            tell("fidelity, \(length) tokens, \(attention.name), token \($0)")
          }
        let heads = try probe.headErrors(attention, on: shared)
        try file.append(
          FidelityRecord(
            length: length, attention: attention.name, tokens: settings.fidelityTokens,
            divergence: Divergence(reference: reference.record, other: run.record),
            perplexity: run.record.perplexity(of: probe.next),
            referencePerplexity: reference.record.perplexity(of: probe.next), run: run, heads: heads))
        finish(attention, length: length, wasSkipped: false)
      }
    }
  }
}

extension FidelityRecord {
  fileprivate init(
    length: Int, attention: String, tokens: Int, divergence: Divergence, perplexity: Double,
    referencePerplexity: Double, run: FidelityProbe.Run, heads: HeadErrors?
  ) {
    self.init(
      length: length, attention: attention, tokens: tokens, meanKL: divergence.meanKL,
      p99KL: divergence.p99KL,
      top1: divergence.top1, perplexity: perplexity, referencePerplexity: referencePerplexity,
      millisecondsPerToken: run.steps.spread?.median, bytesPerToken: run.reads?.bytesPerToken,
      keysRead: run.reads?.keysRead, keysReadWithStatic: run.reads?.keysReadWithStatic, heads: heads)
  }
}

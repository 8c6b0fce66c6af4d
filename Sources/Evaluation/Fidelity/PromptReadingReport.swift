// What is lost when a prompt is read with chosen keys, and what is won.

import Generation
import RetrievalAttention

/// A context that was read with chosen keys, against one that was read with all of them; the tokens behind both are
/// decoded exactly. With the names of its JSON form.
public struct PromptReadingReport: Sendable, Codable {
  /// The attention that read, with its settings.
  public var policy: String
  /// ``RetrievalAttention/RetrievalSettings/prefillTolerance``; nil for other policies.
  public var prefillTolerance: Double?
  /// Share of the keys, 0...1, that were read for a token; estimates count as keys.
  public var keysRead: Double
  /// Mean divergence of the tokens behind the context, in nats.
  public var meanKL: Double
  /// 99th percentile of the divergence, in nats.
  public var p99KL: Double
  /// Share of tokens, 0...1, for which both have the same best one.
  public var top1: Double
  public var perplexity: Double
  public var referencePerplexity: Double
  /// Seconds that reading took, the index included.
  public var seconds: Double
  /// The same for exact reading.
  public var exactSeconds: Double

  init(
    _ runner: GuestRunner, seconds: (reading: Double, exact: Double), record: LogitRecord,
    reference: LogitRecord, next: ArraySlice<Int32>
  ) {
    policy = "\(runner.engine.policy)"
    prefillTolerance = runner.engine.policy.retrieval.map { Double($0.prefillTolerance) }
    keysRead = runner.engine.promptReads.share ?? 1
    let divergence = Divergence(reference: reference, other: record)
    (meanKL, p99KL, top1) = (divergence.meanKL, divergence.p99KL, divergence.top1)
    (perplexity, referencePerplexity) = (record.perplexity(of: next), reference.perplexity(of: next))
    (self.seconds, exactSeconds) = seconds
  }
}

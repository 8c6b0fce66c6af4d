// What the benchmarks of decoding and prefill have in common.

import Generation
import LlamaHost
import RetrievalAttention

/// An attention that a benchmark measures.
package enum BenchmarkAttention: String, Sendable, CaseIterable, Codable {
  /// llama.cpp's own.
  case host
  /// Ours, over all keys.
  case exact
  /// Ours, with a vector index.
  case retrieval
}

/// How far a benchmark is.
package enum BenchmarkPhase: Sendable {
  /// Tokens of a prompt that have been read, by whom.
  case prefill(name: String, done: Int, total: Int)
  /// Decode steps at a depth.
  case decode(depth: Int, done: Int, total: Int)
}

extension AttentionPolicy {
  /// The policy of the one runner that serves both of our attentions; nil when only the host is measured.
  static func serving(_ attentions: [BenchmarkAttention], retrieval: RetrievalSettings) -> AttentionPolicy? {
    if attentions.contains(.retrieval) { return .retrieval(retrieval) }
    return attentions.contains(.exact) ? .exact : nil
  }
}

extension LlamaModel {
  /// Brings the weights into memory, so that the first measurement does not pay for reading the file.
  func warmUp(pool: ThreadPool, tokens: [Int32]) throws {
    let runner = try HostRunner(model: self, pool: pool, contextLength: 64, batchCapacity: 64)
    _ = try runner.prefill(Array(tokens.prefix(32)), progress: nil)
  }
}

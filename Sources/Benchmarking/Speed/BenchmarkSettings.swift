// What the benchmarks of decoding and prefill have in common.

package import Evaluation
import Generation
import LlamaHost
package import RetrievalAttention

/// How far a benchmark is.
package enum BenchmarkPhase: Sendable {
  /// Tokens of a prompt that have been read, by whom.
  case prefill(name: String, done: Int, total: Int)
  /// Decode steps at a depth.
  case decode(depth: Int, done: Int, total: Int)
}

extension EvaluatedAttention {
  /// llama.cpp's own.
  package static let host = EvaluatedAttention(name: "host", policy: nil)
  /// Ours, over all keys.
  package static let exact = EvaluatedAttention(name: "exact", policy: .exact)
  /// Ours, with a vector index.
  package static func retrieval(_ settings: RetrievalSettings = RetrievalSettings()) -> EvaluatedAttention {
    EvaluatedAttention(name: "retrieval", policy: .retrieval(settings))
  }

  var isHost: Bool { policy == nil }
  var isExact: Bool { policy == .exact }
}

extension LlamaModel {
  /// Brings the weights into memory, so that the first measurement does not pay for reading the file.
  func warmUp(pool: ThreadPool, tokens: [Int32]) throws {
    let runner = try HostRunner(model: self, pool: pool, contextLength: 64, batchCapacity: 64)
    _ = try runner.prefill(Array(tokens.prefix(32)), progress: nil)
  }
}

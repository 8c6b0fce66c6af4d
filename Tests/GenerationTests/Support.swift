// What the tests of this target share.

import Generation
import LlamaHost
import RetrievalAttention
// For all files of this target.
@_exported import TestSupport
import Testing

/// How far distributions may be apart, in nats. Loosening one is a change to review.
enum Tolerance {
  /// Mean KL between two ways to compute the same attention, on a model with 4-bit weights: rounding differs with
  /// batch sizes and flash attention alike, and llama.cpp's own two paths differ by up to 0.01.
  static let sameAttention = 0.02
  /// Mean KL between retrieval at default settings and exact attention, about 3000 tokens.
  static let retrieval = 0.05
}

/// One test at a time: ggml's threads spin at barriers, and two evaluations on the same cores slow each other
/// down by far more than a factor of two.
@Suite(.serialized) enum GenerationTests {}

extension SequenceRunner {
  /// Logits after the last of `context`, and after each of `following`.
  func logits(context: [Int32], following: ArraySlice<Int32>) throws -> [[Float]] {
    var rows = [Array(try prefill(context, progress: nil).last)]
    for token in following { rows.append(Array(try decode(token).last)) }
    return rows
  }
}

func meanDivergence(_ expected: [[Float]], _ found: [[Float]]) -> Double {
  zip(expected, found).reduce(0) { $0 + LogitComparison.divergence($1.0, $1.1) } / Double(expected.count)
}

// The model that the environment names, loaded once, and texts of the repository.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention
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

enum TestModel {
  struct Missing: Error, CustomStringConvertible {
    let description = "Set RA_TEST_MODEL to the path of SmolLM2-135M-Instruct in GGUF format."
  }

  static func load() throws -> LlamaModel { try shared.get() }

  private static let shared = Result {
    guard let path = ProcessInfo.processInfo.environment["RA_TEST_MODEL"] else { throw Missing() }
    return try LlamaModel.load(path: path)
  }

  /// A model with sliding-window layers, such as Gemma 3; its test is skipped when RA_TEST_SLIDING_MODEL is not set.
  static let slidingPath = ProcessInfo.processInfo.environment["RA_TEST_SLIDING_MODEL"]
}

enum TestText {
  static func read(_ name: String) throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return try TextFile.read(root.appendingPathComponent("Texts").appendingPathComponent(name).path)
  }

  static func tokens(_ name: String, _ count: Int, model: LlamaModel) throws -> [Int32] {
    // Tokens of English text have four characters on average; eight are enough.
    let text = String(try read(name).prefix(8 * count + 100))
    let tokens = try model.tokenizer.tokenize(text, addSpecial: true, parseSpecial: false)
    try #require(tokens.count >= count)
    return Array(tokens.prefix(count))
  }
}

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

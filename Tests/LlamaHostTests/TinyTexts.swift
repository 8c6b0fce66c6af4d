// Texts for models with random weights, and what follows them.

@testable import LlamaHost

/// Some tokens of a tiny model's vocabulary.
func tinyTokens(_ count: Int) -> [Int32] {
  (0..<count).map { (index: Int) -> Int32 in
    let number = index * 37 + index / 11
    return Int32(3 + number % 256)
  }
}

/// Logits after the last of the tokens, read in batches of 128. The context lives until they are copied.
func lastLogits(_ context: LlamaContext, _ tokens: [Int32]) throws -> [Float] {
  var result: [Float] = []
  for start in stride(from: 0, to: tokens.count, by: 128) {
    let batch = tokens[start..<min(start + 128, tokens.count)]
    result = Array(try context.evaluate(batch, startPosition: start).last)
  }
  return result
}

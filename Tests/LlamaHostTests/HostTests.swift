// The suite that holds all others, and what they share.

import LlamaHost
// For all files of this target.
@_exported import TestSupport
import Testing

/// One test at a time: ggml's threads spin at barriers, and two evaluations on the same cores slow each other
/// down by far more than a factor of two.
@Suite(.serialized) enum HostTests {}

/// About 100 tokens of English, code and German, always the same.
let sampleText = """
  The keeper of the lighthouse counted the ships that passed in the night: two schooners, a steamer, and one that carried \
  no light at all. for index in 0..<count { total += weights[index] * values[index] } He wrote their names into the book, \
  and for the dark one he left a line empty. Am nächsten Morgen war die Zeile beschrieben, in einer Schrift, die niemand \
  auf der Insel kannte. What would you have done?
  """

func sampleTokens(_ model: LlamaModel, count: Int = 100) throws -> [Int32] {
  let tokens = try model.tokenizer.tokenize(sampleText, addSpecial: true, parseSpecial: false)
  try #require(tokens.count >= count)
  return Array(tokens.prefix(count))
}

/// Copies of all rows.
func rows(_ logits: Logits) -> [[Float]] { (0..<logits.rowCount).map { Array(logits[$0]) } }

/// Mean divergence in nats and share of equal best tokens.
func compare(_ expected: [[Float]], _ found: [[Float]]) -> (divergence: Double, top1: Double) {
  var divergence = 0.0
  var equal = 0
  for (left, right) in zip(expected, found) {
    divergence += LogitComparison.divergence(left, right)
    if LogitComparison.best(left) == LogitComparison.best(right) { equal += 1 }
  }
  return (divergence / Double(expected.count), Double(equal) / Double(expected.count))
}

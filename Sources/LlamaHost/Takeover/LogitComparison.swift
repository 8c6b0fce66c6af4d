// Distances between next-token distributions.

import Platform

/// Compares logits of the same token from two evaluations. Rows of different lengths trap.
public enum LogitComparison {
  /// Kullback-Leibler divergence from `reference` to `other` in nats, of the softmax of both; 0 for equal
  /// ones.
  public static func divergence(_ reference: LogitRow, _ other: LogitRow) -> Double {
    measure(reference, other)
  }

  /// The same for copies.
  public static func divergence(_ reference: [Float], _ other: [Float]) -> Double {
    measure(reference, other)
  }

  private static func measure<Row: RandomAccessCollection<Float>>(
    _ reference: Row, _ other: Row
  ) -> Double where Row.Index == Int {
    precondition(reference.count == other.count, "\(reference.count) logits against \(other.count)")
    let (left, right) = (logNormalizer(reference), logNormalizer(other))
    var sum = 0.0
    for index in reference.indices {
      let logarithm = Double(reference[index]) - left
      let probability = exp(logarithm)
      // A token that is impossible in the reference contributes nothing.
      if probability > 0 { sum += probability * (logarithm - (Double(other[index]) - right)) }
    }
    // Rounding can make it slightly negative.
    return max(0, sum)
  }

  /// The logarithm of a token's probability.
  package static func logProbability(of token: Int, in row: [Float]) -> Double {
    Double(row[token]) - logNormalizer(row)
  }

  /// Mean divergence of rows, and the share of them that have the same largest value.
  static func compare(_ expected: [[Float]], _ found: [[Float]]) -> (divergence: Float, top1: Float) {
    var divergence = 0.0
    var agreements = 0
    for (left, right) in zip(expected, found) {
      divergence += self.divergence(left, right)
      if best(left) == best(right) { agreements += 1 }
    }
    let count = max(1, min(expected.count, found.count))
    return (Float(divergence / Double(count)), Float(agreements) / Float(count))
  }

  /// Index of the largest value, the first one of equals; nil for nothing.
  public static func best(_ logits: LogitRow) -> Int? { place(in: logits) }

  /// The same for a copy.
  public static func best(_ logits: [Float]) -> Int? { place(in: logits) }

  private static func place<Row: RandomAccessCollection<Float>>(in logits: Row) -> Int?
  where Row.Index == Int {
    var best: Int?
    for index in logits.indices where best.map({ logits[index] > logits[$0] }) ?? true { best = index }
    return best
  }

  private static func logNormalizer(_ logits: some RandomAccessCollection<Float>) -> Double {
    let largest = Double(logits.max() ?? 0)
    return largest + log(logits.reduce(0.0) { $0 + exp(Double($1) - largest) })
  }
}

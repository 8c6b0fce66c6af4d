// Distances between the next-token distributions of two ways to run one model.

import LlamaHost
import Platform

/// Logits of consecutive steps: `[steps, vocabulary]`.
package struct LogitRecord {
  package private(set) var rows: [[Float]] = []

  package init() {}

  package mutating func append(_ logits: some Collection<Float>) {
    rows.append(Array(logits))
  }

  /// exp of the mean negative log-likelihood (natural logarithm) of `tokens`, one a step.
  package func perplexity(of tokens: ArraySlice<Int32>) -> Double {
    var sum = 0.0
    for (row, token) in zip(rows, tokens) {
      let highest = Double(row.max() ?? 0)
      let normalizer = highest + log(row.reduce(0.0) { $0 + exp(Double($1) - highest) })
      sum += normalizer - Double(row[Int(token)])
    }
    return rows.isEmpty ? .nan : exp(sum / Double(rows.count))
  }
}

/// How far the distributions of one run are from those of a reference run.
public struct Divergence: Sendable, Hashable, Codable {
  /// Mean over steps of KL(reference || other), in nats.
  public var meanKL: Double
  /// The 99th percentile of the same (the highest value but one in a hundred).
  public var p99KL: Double
  /// Share of steps whose most probable token is the same, 0...1.
  public var top1: Double

  package init(reference: LogitRecord, other: LogitRecord) {
    var divergences: [Double] = []
    var agreements = 0
    for (a, b) in zip(reference.rows, other.rows) {
      divergences.append(LogitComparison.divergence(a, b))
      if LogitComparison.best(a) == LogitComparison.best(b) { agreements += 1 }
    }
    let count = divergences.count
    meanKL = count > 0 ? divergences.reduce(0, +) / Double(count) : .nan
    divergences.sort()
    // Nearest-rank percentile.
    p99KL = count > 0 ? divergences[max(0, Int((0.99 * Double(count)).rounded(.up)) - 1)] : .nan
    top1 = count > 0 ? Double(agreements) / Double(count) : .nan
  }
}

// What heads give to a position whatever the token is, and what is left without it.

/// A weight that counts.
struct SegmentWeight: Sendable, BitwiseCopyable {
  var position: UInt32
  /// Index into the passages.
  var segment: Int32
  var weight: Float
}

/// Sums of each head's weights over all tokens that were seen.
struct Background: Sendable {
  private let settings: EvidenceSettings
  /// `[head][position: sum]`
  private var sums: [[UInt32: Double]]
  private var steps = 0.0

  init(headCount: Int, settings: EvidenceSettings) {
    self.settings = settings
    sums = Array(repeating: [:], count: headCount)
  }

  /// - Parameter weights: `[head][weight]` of one token.
  mutating func add(_ weights: [[SegmentWeight]]) {
    steps += 1
    for (head, list) in weights.enumerated() {
      for entry in list { sums[head][entry.position, default: 0] += Double(entry.weight) }
    }
  }

  /// What a sentence read: see ``EvidenceSettings``.
  ///
  /// - Parameters:
  ///   - tokens: `[token][head][weight]`, which were added.
  ///   - headWeights: their sum is 1.
  func readings(of tokens: [[[SegmentWeight]]], headWeights: [Double]) -> [SentenceEvidence.Reading] {
    guard !tokens.isEmpty else { return [] }
    // A token's own weights are no background to it.
    let others = steps - 1 + max(0, settings.backgroundPrior)
    let factor = others > 0 ? max(0, settings.backgroundFactor) / others : 0
    var strengths: [Int32: Double] = [:]
    var pooled: [Int32: Double] = [:]
    for token in tokens {
      for (head, list) in token.enumerated() where headWeights[head] > 0 {
        pooled.removeAll(keepingCapacity: true)
        for entry in list {
          let own = Double(entry.weight)
          let rest = own - factor * ((sums[head][entry.position] ?? own) - own)
          guard rest > 0 else { continue }
          switch settings.pooling {
          case .largest: pooled[entry.segment] = max(pooled[entry.segment] ?? 0, rest)
          case .sum: pooled[entry.segment, default: 0] += rest
          }
        }
        for (segment, value) in pooled { strengths[segment, default: 0] += headWeights[head] * value }
      }
    }
    let count = Double(tokens.count)
    return strengths.sorted { $0.key < $1.key }.map {
      .init(segment: Int($0.key), strength: $0.value / count)
    }
  }
}

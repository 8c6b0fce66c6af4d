// How well citations meet evidence that is known.

/// Precision, recall and F1 of the passages that are cited, for one answer.
public struct EvidenceScore: Sendable, Equatable, Codable {
  /// Passages that are cited.
  public var cited: Int
  /// Passages that are evidence.
  public var known: Int
  /// Passages that are both.
  public var found: Int

  /// Counts passages that share a byte with what is cited and with what is known, each once however often it is.
  ///
  /// - Parameters:
  ///   - cited: places of citations in documents.
  ///   - known: where the evidence is.
  public init(cited: [EvidenceSources.Segment], known: [EvidenceSources.Segment], in sources: EvidenceSources)
  {
    let (cited, known) = (Self.passages(cited, in: sources), Self.passages(known, in: sources))
    self.cited = cited.count
    self.known = known.count
    found = cited.intersection(known).count
  }

  /// Counts documents instead, for evidence of which no more is known than the documents that it is in.
  public init(citedDocuments: Set<Int>, knownDocuments: Set<Int>) {
    cited = citedDocuments.count
    known = knownDocuments.count
    found = citedDocuments.intersection(knownDocuments).count
  }

  /// The share of what is cited that is evidence. Without citations 1 where there is no evidence, and 0 where there is.
  public var precision: Double { cited > 0 ? Double(found) / Double(cited) : known == 0 ? 1 : 0 }

  /// The share of the evidence that is cited; 1 where there is none.
  public var recall: Double { known > 0 ? Double(found) / Double(known) : 1 }

  /// The harmonic mean of both; 0 where both are.
  public var f1: Double {
    let sum = precision + recall
    return sum > 0 ? 2 * precision * recall / sum : 0
  }

  private static func passages(_ ranges: [EvidenceSources.Segment], in sources: EvidenceSources) -> Set<Int> {
    var result: Set<Int> = []
    for range in ranges where sources.segmentIndices.indices.contains(range.document) && !range.bytes.isEmpty
    {
      let indices = sources.segmentIndices[range.document]
      var (low, high) = (indices.lowerBound, indices.upperBound)
      while low < high {
        let middle = (low + high) / 2
        if sources.segments[middle].bytes.upperBound <= range.bytes.lowerBound {
          low = middle + 1
        } else {
          high = middle
        }
      }
      while low < indices.upperBound, sources.segments[low].bytes.lowerBound < range.bytes.upperBound {
        result.insert(low)
        low += 1
      }
    }
    return result
  }
}

extension Citation {
  /// The place that is cited.
  public var source: EvidenceSources.Segment {
    EvidenceSources.Segment(document: document, bytes: documentBytes)
  }
}

/// The mean of a figure over answers, with an interval that tells how far other answers of the kind might move it.
public struct BootstrapMean: Sendable, Equatable, Codable {
  /// The mean.
  public var mean: Double
  /// Ends of the interval.
  public var low, high: Double
  /// Number of values.
  public var count: Int

  /// The percentile interval of the bootstrap (Efron, 1979): means of values drawn anew with replacement, the same at
  /// each call. Nil without values, or with one that is not finite.
  ///
  /// - Parameters:
  ///   - confidence: the share of such means that the interval holds, 0...1.
  ///   - resamples: how many are drawn, at least 1.
  public init?(_ values: [Double], confidence: Double = 0.95, resamples: Int = 2000) {
    guard !values.isEmpty, values.allSatisfy(\.isFinite) else { return nil }
    var generator = Generator()
    let means = (0..<max(1, resamples)).map { _ in
      var sum = 0.0
      for _ in values { sum += values[Int.random(in: 0..<values.count, using: &generator)] }
      return sum / Double(values.count)
    }.sorted()
    let tail = (1 - min(1, max(0, confidence))) / 2
    let last = Double(means.count - 1)
    mean = values.reduce(0, +) / Double(values.count)
    low = means[Int((tail * last).rounded(.down))]
    high = means[Int(((1 - tail) * last).rounded(.up))]
    count = values.count
  }

  /// SplitMix64 (Steele, Lea, Flood, 2014) from a fixed state.
  private struct Generator: RandomNumberGenerator {
    var state: UInt64 = 20

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return mixed ^ (mixed >> 31)
    }
  }
}

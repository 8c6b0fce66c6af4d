// Which passages of those that were read are cited.

/// Chooses passages that stand out, and joins neighbors.
struct CitationChoice {
  private let sources: EvidenceSources

  init(_ sources: EvidenceSources) { self.sources = sources }

  /// Citations of a sentence, best first; none where its best passage is too weak.
  func citations(answerBytes: Range<Int>, readings: [SentenceEvidence.Reading]) -> [Citation] {
    let settings = sources.settings
    let total = readings.reduce(0) { $0 + $1.strength }
    guard let best = readings.max(by: { $0.strength < $1.strength }) else { return [] }
    guard best.strength > 0, best.strength >= settings.minimumStrength else { return [] }
    let least = max(settings.minimumScore, settings.minimumShareOfBest * score(best, total: total))
    let chosen =
      readings
      .filter { score($0, total: total) >= least }
      .sorted { ($1.strength, $0.segment) < ($0.strength, $1.segment) }
      .prefix(max(0, settings.passagesPerSentence))
      .sorted { $0.segment < $1.segment }
    return joined(chosen).map { run in
      let (first, last) = (sources.segments[run.lowerBound], sources.segments[run.upperBound])
      let parts = chosen.filter { run.contains($0.segment) }
      let bytes = first.bytes.lowerBound..<last.bytes.upperBound
      return Citation(
        answerBytes: answerBytes, document: first.document, documentBytes: bytes,
        quote: sources.text(document: first.document, bytes: bytes),
        score: min(1, parts.reduce(0) { $0 + score($1, total: total) }),
        strength: parts.reduce(0) { $0 + $1.strength })
    }
    .sorted {
      ($1.score, $0.document, $0.documentBytes.lowerBound) < (
        $0.score, $1.document, $1.documentBytes.lowerBound
      )
    }
  }

  /// The share of the strength that a passage has beyond an even one. All of it where there is no other passage.
  private func score(_ reading: SentenceEvidence.Reading, total: Double) -> Double {
    let count = sources.segments.count
    guard count > 1 else { return 1 }
    let even = 1 / Double(count)
    return max(0, (reading.strength / total - even) / (1 - even))
  }

  /// Runs of passages that follow each other in one document.
  private func joined(_ readings: [SentenceEvidence.Reading]) -> [ClosedRange<Int>] {
    var runs: [ClosedRange<Int>] = []
    for reading in readings {
      if let last = runs.last, last.upperBound + 1 == reading.segment,
        sources.segments[last.upperBound].document == sources.segments[reading.segment].document
      {
        runs[runs.count - 1] = last.lowerBound...reading.segment
      } else {
        runs.append(reading.segment...reading.segment)
      }
    }
    return runs
  }
}

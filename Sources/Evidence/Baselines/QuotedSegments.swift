// Which passages a text quotes: what a model gives as its sources when it is asked for them.

/// Passages of documents that are repeated in a text, word for word or nearly so.
public struct QuotedSegments: Sendable {
  /// Words that make a run; shorter passages have to be repeated as a whole.
  private static let runLength = 4
  /// Passages with fewer words are in many texts by chance.
  private static let leastWords = 3
  /// The share of a passage's runs that has to be in the text: an end cut off, or a word changed, is still a quotation.
  private static let leastShare = 0.5

  private let sources: EvidenceSources
  private let words: [[String]]

  /// Cuts all passages into words.
  public init(_ sources: EvidenceSources) {
    self.sources = sources
    words = sources.segments.map {
      SegmentSearch.words(of: sources.text(document: $0.document, bytes: $0.bytes))
    }
  }

  /// The passages that a text quotes, in their order; case and punctuation do not count.
  public func quoted(in text: String) -> [EvidenceSources.Segment] {
    let said = SegmentSearch.words(of: text)
    var runs: [Int: Set<[String]>] = [:]
    func has(_ run: ArraySlice<String>) -> Bool {
      if runs[run.count] == nil {
        runs[run.count] = Set(Self.runs(of: said, length: run.count).map(Array.init))
      }
      return runs[run.count]?.contains(Array(run)) ?? false
    }
    return sources.segments.indices.filter { number in
      let passage = words[number]
      let all = Self.runs(of: passage, length: min(Self.runLength, passage.count))
      guard passage.count >= Self.leastWords, !all.isEmpty else { return false }
      return Double(all.count(where: has)) >= Self.leastShare * Double(all.count)
    }.map { sources.segments[$0] }
  }

  private static func runs(of words: [String], length: Int) -> [ArraySlice<String>] {
    guard length > 0, words.count >= length else { return [] }
    return (0...words.count - length).map { words[$0..<$0 + length] }
  }
}

// Search for words in passages: what citations by attention are measured against.

import Platform

/// BM25 (Robertson and Zaragoza, 2009, section 3.4) over the passages of documents.
///
/// A passage's score is the sum over the distinct words of the query that it has of
/// `log(1 + (N - n + 1/2) / (n + 1/2)) * f * (k1 + 1) / (f + k1 * (1 - b + b * length / mean length))`, with `N`
/// passages, `n` of them with the word, `f` times the word in the passage, and lengths in words.
public struct SegmentSearch: Sendable {
  /// A passage that was found.
  public struct Match: Sendable, Equatable {
    /// Index into ``EvidenceSources/segments``.
    public var segment: Int
    /// Above 0; only to be compared within one search.
    public var score: Double
  }

  private struct Posting {
    var segment: Int32
    var count: Int32
  }

  private let lengths: [Int]
  private let meanLength: Double
  private let postings: [String: [Posting]]
  private let k1: Double
  private let b: Double

  /// Indexes all passages, in time and memory linear in the texts.
  ///
  /// - Parameters:
  ///   - k1: how slowly more of a word stops to count, from 0 on.
  ///   - b: how much long passages are held back, 0...1.
  public init(_ sources: EvidenceSources, k1: Double = 1.2, b: Double = 0.75) {
    var lengths: [Int] = []
    var postings: [String: [Posting]] = [:]
    for (number, segment) in sources.segments.enumerated() {
      let words = Self.words(of: sources.text(document: segment.document, bytes: segment.bytes))
      lengths.append(words.count)
      for word in words {
        var list = postings.removeValue(forKey: word) ?? []
        if list.last?.segment == Int32(clamping: number) {
          list[list.count - 1].count += 1
        } else {
          list.append(Posting(segment: Int32(clamping: number), count: 1))
        }
        postings[word] = list
      }
    }
    self.lengths = lengths
    meanLength = max(1, Double(lengths.reduce(0, +)) / Double(max(1, lengths.count)))
    self.postings = postings
    self.k1 = max(0, k1)
    self.b = min(1, max(0, b))
  }

  /// The passages with the highest scores, highest first; those of equal score in the order of the documents.
  ///
  /// - Parameter query: a question, or a sentence of an answer.
  public func best(for query: String, limit: Int = 3) -> [Match] {
    var scores: [Int32: Double] = [:]
    // In order, so that sums do not depend on that of a set.
    for word in Set(Self.words(of: query)).sorted() {
      guard let list = postings[word] else { continue }
      let rarity = log(1 + (Double(lengths.count - list.count) + 0.5) / (Double(list.count) + 0.5))
      for posting in list {
        let count = Double(posting.count)
        let length = Double(lengths[Int(posting.segment)]) / meanLength
        scores[posting.segment, default: 0] += rarity * count * (k1 + 1) / (count + k1 * (1 - b + b * length))
      }
    }
    return
      scores
      .sorted { ($1.value, $0.key) < ($0.value, $1.key) }
      .prefix(max(0, limit))
      .map { Match(segment: Int($0.key), score: $0.value) }
  }

  /// Runs of letters and digits, in small letters; each character of scripts without blanks is a word.
  static func words(of text: String) -> [String] {
    var words: [String] = []
    var word = String.UnicodeScalarView()
    func end() {
      if !word.isEmpty { words.append(String(word).lowercased()) }
      word.removeAll(keepingCapacity: true)
    }
    for scalar in text.unicodeScalars {
      if Characters.isIdeographic(scalar.value), Characters.isWord(scalar.value) {
        end()
        words.append(String(scalar))
      } else if Characters.isWord(scalar.value) {
        word.append(scalar)
      } else {
        end()
      }
    }
    end()
    return words
  }
}

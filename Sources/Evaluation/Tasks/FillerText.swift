// The text in which needles are hidden.

/// A text as a list of words, taken from any place and as long as is asked for.
public struct FillerText: Sendable {
  /// No words: for tasks that need no filler.
  public static let none = FillerText(text: "")
  /// Fewer words than this make no haystack.
  static let minimumWords = 200

  /// With their punctuation, in order.
  public let words: [String]
  /// Tells one text from another, 16 hexadecimal digits.
  public let digest: String
  /// Places in `words` where a sentence begins.
  private let sentenceStarts: [Int]
  private let sentenceEnds: [Bool]

  /// A text of at least 200 words.
  ///
  /// Throws ``TaskError/fillerTooShort(words:required:)``.
  public init(_ text: String) throws(TaskError) {
    self.init(text: text)
    guard words.count >= Self.minimumWords else {
      throw .fillerTooShort(words: words.count, required: Self.minimumWords)
    }
  }

  private init(text: String) {
    words = text.split(whereSeparator: \.isWhitespace).map(String.init)
    sentenceEnds = words.map { word in
      let last = word.last { !"\"')]_*”’".contains($0) }
      return last.map { ".!?".contains($0) } ?? false
    }
    var starts = words.isEmpty ? [] : [0]
    for (place, isEnd) in sentenceEnds.enumerated() where isEnd && place + 1 < words.count {
      starts.append(place + 1)
    }
    sentenceStarts = starts
    var hash = StableHash()
    hash.add(text)
    digest = hash.description
  }

  /// `count` words from the beginning of some sentence on; the text begins anew where it ends.
  func excerpt(_ count: Int, random: inout TaskRandom) -> Excerpt {
    guard !words.isEmpty else { return Excerpt(words: [], sentenceEnds: []) }
    let start = random.pick(sentenceStarts)
    let places = (0..<count).map { (start + $0) % words.count }
    return Excerpt(words: places.map { words[$0] }, sentenceEnds: places.map { sentenceEnds[$0] })
  }

  struct Excerpt {
    var words: [String]
    var sentenceEnds: [Bool]
  }

  /// Different words of the text, lower case, of five letters or more, in the order of their first use. Shorter ones
  /// would be found by chance inside of other words of an answer.
  var vocabulary: [String] {
    var seen: Set<String> = []
    return words.compactMap { word in
      let bare = word.lowercased().filter { $0.isLetter }
      guard bare.count >= 5, bare.allSatisfy(\.isASCII), bare.count + 1 >= word.count,
        seen.insert(bare).inserted
      else { return nil }
      return bare
    }
  }
}

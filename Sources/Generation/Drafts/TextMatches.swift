// Where the end of a text has been before in it: what followed there may follow again.

/// An index of all runs of three tokens of a text that grows.
///
/// A table of hash chains, as LZ77 compressors find matches: 8 bytes a token, and a few places are looked at for each
/// search. Prompt lookup decoding (Saxena, 2023) proposes drafts in this way.
struct TextMatches {
  /// A place of the text that ends as the whole text does.
  struct Match: Equatable {
    /// Where what followed it begins.
    var next: Int
    /// Tokens that are equal, at most ``longest``.
    var length: Int
  }

  private(set) var tokens: [Int32] = []
  /// By hash of three tokens, the place behind the last such run; 0 for none.
  private var heads: [UInt32]
  /// `[tokens]`: by place, the one before of the same hash.
  private var earlier: [UInt32] = []

  /// Shorter runs are everywhere in a text.
  static let shortest = 3
  /// Matches are not followed further back.
  static let longest = 32
  /// Places that are compared; the last ones first.
  private static let places = 48

  /// - Parameter bits: of the table of hashes.
  init(bits: Int = 16) { heads = Array(repeating: 0, count: 1 << bits) }

  mutating func append(_ new: some Sequence<Int32>) {
    for token in new {
      tokens.append(token)
      earlier.append(0)
      guard tokens.count > Self.shortest else { continue }
      // The run that ends before this token: where it ends is where what followed it begins.
      let place = tokens.count - 1
      let hash = hash(endingAt: place)
      earlier[place] = heads[hash]
      heads[hash] = UInt32(place)
    }
  }

  /// Of the places whose text before is most like the end of the text, the last one; nil when there is none.
  func match() -> Match? {
    let end = tokens.count
    guard end > Self.shortest else { return nil }
    var best: Match?
    var place = Int(heads[hash(endingAt: end)])
    var looked = 0
    while place > 0, looked < Self.places {
      let length = commonLength(place, end)
      if length >= Self.shortest, length > best?.length ?? 0 { best = Match(next: place, length: length) }
      if best?.length == Self.longest { break }
      place = Int(earlier[place])
      looked += 1
    }
    return best
  }

  private func commonLength(_ place: Int, _ end: Int) -> Int {
    let most = min(Self.longest, place)
    var length = 0
    while length < most, tokens[place - 1 - length] == tokens[end - 1 - length] { length += 1 }
    return length
  }

  private func hash(endingAt place: Int) -> Int {
    var hash: UInt64 = 0
    for token in tokens[place - Self.shortest..<place] {
      hash = (hash ^ UInt64(UInt32(bitPattern: token))) &* 0x9E37_79B9_7F4A_7C15
      hash ^= hash >> 29
    }
    return Int(hash % UInt64(heads.count))
  }
}

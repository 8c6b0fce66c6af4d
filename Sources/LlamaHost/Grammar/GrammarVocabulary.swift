// A vocabulary as a tree of bytes.

import Synchronization

/// The tokens that stand for text, by their bytes: tokens that begin alike are looked at together.
///
/// Control tokens are not in it, since they show as nothing, nor are those that end an answer. Immutable.
final class GrammarVocabulary: Sendable {
  /// Nodes in the order of a walk that visits what is below a node right after it; the first is the root.
  let bytes: [UInt8]
  /// How many bytes lead to a node.
  let depths: [UInt16]
  /// The node after all that are below a node.
  let ends: [Int32]
  /// The tokens that end at a node: `tokens[tokenStarts[node]..<tokenStarts[node + 1]]`.
  let tokenStarts: [Int32]
  let tokens: [Int32]
  let texts: TokenMask
  let endings: TokenMask
  let deepest: Int

  var nodeCount: Int { bytes.count }

  /// Cost: one pass over the vocabulary, some hundredths of a second.
  init(_ tokenizer: Tokenizer) {
    var texts = TokenMask(count: tokenizer.vocabularySize)
    var endings = texts
    var pool: [UInt8] = []
    var pieces: [(token: Int32, start: Int, end: Int)] = []
    for token in 0..<Int32(tokenizer.vocabularySize) {
      guard !tokenizer.isEndOfGeneration(token) else {
        endings.insert(token)
        continue
      }
      let start = pool.count
      if !tokenizer.isControl(token) { tokenizer.append(token, to: &pool) }
      guard pool.count > start, pool.count - start < Int(UInt16.max) else { continue }
      texts.insert(token)
      pieces.append((token, start, pool.count))
    }
    self.texts = texts
    self.endings = endings
    pieces.sort { left, right in
      pool[left.start..<left.end].lexicographicallyPrecedes(pool[right.start..<right.end])
    }
    var bytes: [UInt8] = [0]
    var depths: [UInt16] = [0]
    var ends: [Int32] = [0]
    var tokenStarts: [Int32] = [0]
    /// The nodes from the root to the last one.
    var path: [Int] = [0]
    var last = 0..<0
    for (index, piece) in pieces.enumerated() {
      var common = 0
      let length = piece.end - piece.start
      while common < min(last.count, length), pool[last.lowerBound + common] == pool[piece.start + common] {
        common += 1
      }
      while path.count > common + 1 { ends[path.removeLast()] = Int32(bytes.count) }
      for place in common..<length {
        path.append(bytes.count)
        bytes.append(pool[piece.start + place])
        depths.append(UInt16(place + 1))
        ends.append(0)
        tokenStarts.append(Int32(index))
      }
      last = piece.start..<piece.end
    }
    for node in path { ends[node] = Int32(bytes.count) }
    tokenStarts.append(Int32(pieces.count))
    self.bytes = bytes
    self.depths = depths
    self.ends = ends
    self.tokenStarts = tokenStarts
    tokens = pieces.map(\.token)
    deepest = Int(depths.max() ?? 0)
  }

  /// Made when a grammar needs it for the first time.
  final class Lazy: Sendable {
    private let made = Mutex<GrammarVocabulary?>(nil)

    func get(_ tokenizer: Tokenizer) -> GrammarVocabulary {
      made.withLock { made in
        if let made { return made }
        let vocabulary = GrammarVocabulary(tokenizer)
        made = vocabulary
        return vocabulary
      }
    }
  }
}

/// One bit for each token.
struct TokenMask: Equatable, Sendable {
  private(set) var words: [UInt64]

  init(count: Int) { words = Array(repeating: 0, count: (count + 63) / 64) }

  var isEmpty: Bool { words.allSatisfy { $0 == 0 } }
  var memory: Int { words.count * 8 }

  subscript(token: Int32) -> Bool { words[Int(token) >> 6] >> UInt64(token & 63) & 1 == 1 }

  mutating func insert(_ token: Int32) { words[Int(token) >> 6] |= 1 << UInt64(token & 63) }
  mutating func remove(_ token: Int32) { words[Int(token) >> 6] &= ~(1 << UInt64(token & 63)) }
  mutating func formUnion(_ other: TokenMask) {
    for index in words.indices { words[index] |= other.words[index] }
  }
}

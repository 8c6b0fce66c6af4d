// Contexts with sentences hidden in them.

/// Pieces of text in which other pieces are put, with the place of each.
struct Haystack {
  /// RULER's and InfiniteBench's noise: five sentences over and over.
  static let noise = [
    "The grass is green.", "The sky is blue.", "The sun is yellow.", "Here we go.", "There and back again.",
  ]

  /// The pieces joined.
  private(set) var text: String
  /// Where each needle begins, 0...1 of the text, in the order of the needles.
  private(set) var depths: [Double]

  /// - Parameters:
  ///   - pieces: the haystack, in order.
  ///   - needles: each with the number of pieces that stand before it; needles of one place keep their order.
  init(pieces: [String], needles: [(text: String, place: Int)], separator: String = " ") {
    let order = needles.indices.sorted { (needles[$0].place, $0) < (needles[$1].place, $1) }
    var parts: [String] = []
    parts.reserveCapacity(pieces.count + needles.count)
    var starts = [Int](repeating: 0, count: needles.count)
    var length = 0
    func add(_ part: String) {
      parts.append(part)
      length += part.utf8.count + separator.utf8.count
    }
    var next = order.makeIterator()
    var needle = next.next()
    for place in 0...pieces.count {
      while let index = needle, needles[index].place <= place || place == pieces.count {
        starts[index] = length
        add(needles[index].text)
        needle = next.next()
      }
      if place < pieces.count { add(pieces[place]) }
    }
    text = parts.joined(separator: separator)
    let total = Double(max(1, length))
    depths = starts.map { Double($0) / total }
  }

  /// `count` sentences of noise.
  static func noiseSentences(_ count: Int) -> [String] { (0..<count).map { noise[$0 % noise.count] } }

  /// Hides needles behind sentences of a text.
  ///
  /// - Parameter depths: where, 0...1; the end of the sentence that stands there.
  init(excerpt: FillerText.Excerpt, needles: [String], depths: [Double]) {
    let count = excerpt.words.count
    let places = depths.map { depth in
      let wanted = Int(depth * Double(count))
      // The nearest sentence end, forward or back: at the very end there may be none ahead.
      for distance in 0...count {
        for place in [wanted + distance, wanted - distance] where place > 0 && place <= count {
          if excerpt.sentenceEnds[place - 1] { return place }
        }
      }
      return wanted
    }
    self.init(pieces: excerpt.words, needles: Array(zip(needles, places).map { (text: $0, place: $1) }))
  }
}

// Answers that go in circles: small models, and long answers of large ones, can repeat the same lines until they are
// cut off.

/// What a text repeats at its end: the rule of the server's page (`repetition.mjs`).
package struct AnswerLoop: Equatable {
  /// Where the repeated part is for the first time, in the scalars of the text.
  package var start: Int
  /// How long it is.
  package var length: Int

  /// The shortest end of a text that is looked at as a repetition: three times 120 scalars.
  private static let leastLength = 360
  /// How often a part must be there, one after the other.
  private static let leastTimes = 3
  /// How much of the end of a text is searched.
  private static let searched = 12_000
  /// Letters in a part whose numbers may differ: what has fewer is a list of numbers, and no sentence.
  private static let leastLetters = 30

  /// Nil where nothing repeats itself for 360 scalars and three times.
  package init?(endOf text: String) {
    let all = text.unicodeScalars
    let end = Array(all.suffix(Self.searched))
    guard end.count >= Self.leastLength else { return nil }
    let offset = all.count - end.count
    if let exact = Self.period(end) {
      (start, length) = (offset + end.count - exact.covered, exact.length)
      return
    }
    // "1. The same. 2. The same." is a circle as well.
    let folded = Self.foldNumbers(end)
    guard let counted = Self.period(folded.scalars),
      folded.scalars.suffix(counted.length).count(where: \.properties.isAlphabetic) >= Self.leastLetters
    else { return nil }
    let first = folded.scalars.count - counted.covered
    start = offset + folded.positions[first]
    length = folded.positions[first + counted.length] - folded.positions[first]
  }

  /// The smallest length of a part that the end of a text consists of, and how much of the text that end is.
  private static func period(_ text: [Unicode.Scalar]) -> (length: Int, covered: Int)? {
    // Common prefixes of the reversed text and its own suffixes (Gusfield, Algorithms on Strings, section 1.4): the end
    // of the text has the period p as far back as p and the common prefix at p reach.
    let reversed = Array(text.reversed())
    let count = reversed.count
    var common = [Int](repeating: 0, count: count)
    var (left, right) = (0, 0)
    for index in stride(from: 1, to: count, by: 1) {
      var length = index < right ? min(right - index, common[index - left]) : 0
      while index + length < count, reversed[length] == reversed[index + length] { length += 1 }
      common[index] = length
      if index + length > right { (left, right) = (index, index + length) }
      let covered = index + length
      if covered >= leastLength, covered >= leastTimes * index { return (index, covered) }
    }
    return nil
  }

  /// The text with each number as one digit, and where each of its scalars was.
  private static func foldNumbers(
    _ text: [Unicode.Scalar]
  ) -> (scalars: [Unicode.Scalar], positions: [Int]) {
    var folded: [Unicode.Scalar] = []
    var positions: [Int] = []
    func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }
    for (index, scalar) in text.enumerated() {
      if isDigit(scalar), index > 0, isDigit(text[index - 1]) { continue }
      folded.append(isDigit(scalar) ? "0" : scalar)
      positions.append(index)
    }
    return (folded, positions + [text.count])
  }
}

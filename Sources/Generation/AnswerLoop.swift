// Answers that go in circles: small models, and long answers of large ones, can repeat the same lines until they are
// cut off.

/// The rule by which a repetition is told: that of the server's page (`repetition.mjs`).
package enum AnswerLoop {
  /// The shortest end of a text that is looked at as a repetition: three times 120 scalars.
  private static let leastLength = 360
  /// How often a part must be there, one after the other.
  private static let leastTimes = 3
  /// How much of the end of a text is searched.
  private static let searched = 12_000
  /// Letters in a part whose numbers may differ: what has fewer is a list of numbers, and no sentence.
  private static let leastLetters = 30

  /// Whether the end of a text is some part again and again: for 360 scalars and three times.
  package static func ends(_ text: String) -> Bool {
    let end = Array(text.unicodeScalars.suffix(searched))
    guard end.count >= leastLength else { return false }
    if period(end) != nil { return true }
    // "1. The same. 2. The same." is a circle as well.
    let folded = foldNumbers(end)
    guard let length = period(folded) else { return false }
    return folded.suffix(length).count(where: \.properties.isAlphabetic) >= leastLetters
  }

  /// The smallest length of a part that the end of a text consists of.
  private static func period(_ text: [Unicode.Scalar]) -> Int? {
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
      if covered >= leastLength, covered >= leastTimes * index { return index }
    }
    return nil
  }

  /// The text with each number as one digit.
  private static func foldNumbers(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }
    return text.indices.compactMap { index in
      guard isDigit(text[index]) else { return text[index] }
      return index > 0 && isDigit(text[index - 1]) ? nil : "0"
    }
  }
}

// How the text of an answer becomes a number, by the rules of the benchmarks that the tasks come from.

/// A rule that gives an answer 0...1.
public enum AnswerScoring: String, Sendable, Codable, CaseIterable {
  /// The share of the expected strings that occur, in any case (RULER's `string_match_all`).
  case all
  /// 1 when one of the expected strings occurs, in any case (RULER's `string_match_part`).
  case any
  /// 1 when the first number in the answer is the expected one (InfiniteBench, PassKey and Number).
  case firstNumber
  /// 1 when the expected string is one of the answer's words (InfiniteBench, KV retrieval).
  case word

  /// - Parameter expected: not empty; ``firstNumber`` and ``word`` look at the first alone.
  public func score(_ answer: String, expected: [String]) -> Double {
    switch self {
    case .all:
      let answer = answer.lowercased()
      let found = expected.count { answer.contains($0.lowercased()) }
      return expected.isEmpty ? 0 : Double(found) / Double(expected.count)
    case .any:
      let answer = answer.lowercased()
      return expected.contains { answer.contains($0.lowercased()) } ? 1 : 0
    case .firstNumber:
      let number = answer.drop { !Self.isDigit($0) }.prefix { Self.isDigit($0) }
      return number == expected.first ?? "" && !number.isEmpty ? 1 : 0
    case .word:
      let words = answer.split { $0.isWhitespace || Self.separators.contains($0) }
      return expected.first.map { words.contains(Substring($0)) } == true ? 1 : 0
    }
  }

  /// Whether nothing that may follow can change the score of a greedy answer, so that decoding can end.
  public func isDecided(_ answer: String, expected: [String]) -> Bool {
    switch self {
    case .all, .any:
      return score(answer, expected: expected) == 1
    case .firstNumber:
      let number = answer.drop { !Self.isDigit($0) }
      return !number.allSatisfy { Self.isDigit($0) }
    case .word:
      // The last word may go on.
      let end = answer.last.map { $0.isWhitespace || Self.separators.contains($0) } ?? false
      return end && score(answer, expected: expected) == 1
    }
  }

  private static let separators: Set<Character> = [":", "\"", "'", ".", ",", "?", "!", "{", "}"]

  private static func isDigit(_ character: Character) -> Bool { ("0"..."9").contains(character) }
}

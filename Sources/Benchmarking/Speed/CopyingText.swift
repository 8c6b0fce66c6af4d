// A document, and questions whose answers repeat something of it.

/// What an answer is to repeat.
package enum DraftTask: String, Sendable, Codable, CaseIterable, LosslessStringConvertible {
  /// A passage, word for word.
  case quote
  /// A function, with one name changed.
  case code
  /// The sentence that answers a question.
  case sentence
  /// Nothing: other prose.
  case prose

  package init?(_ description: String) { self.init(rawValue: description) }
  package var description: String { rawValue }
}

/// Words of a text with a function and a fact among them.
struct CopyingText {
  /// A question, and its answer.
  struct Question {
    var text: String
    /// How a generated answer begins, which small models would not find by themselves.
    var opening = ""
    var answer: String
  }

  let document: String
  private let passage: [Substring]
  /// Words that no document has but one as long as the text.
  private let others: [Substring]

  private static let fact = "The password of the silver lantern is quivelo."
  private static let signature = "def weighted_checksum(records, weights, modulus):"
  private static let function = """
    \(signature)
        \"\"\"Adds up the weighted lengths of all records.\"\"\"
        total = 0
        for record, weight in zip(records, weights):
            if record is None:
                continue
            if weight < 0:
                raise ValueError("a negative weight")
            total += weight * len(record)
            total %= modulus
        if total == 0:
            return modulus
        return total
    """
  /// Words by which a passage is named.
  private static let openingWords = 12
  /// Words of an answer: more tokens than are asked for.
  private static let answerWords = 200

  /// - Parameters:
  ///   - text: its words are taken from the beginning on, again where there are too few; not empty.
  ///   - count: of words.
  init(_ text: String, words count: Int) {
    let all = text.split(whereSeparator: \.isWhitespace)
    let words = (0..<max(count, 4 * Self.openingWords)).map { all[$0 % all.count] }
    /// The beginning of a sentence near a share of the text.
    func place(_ share: Double) -> Int {
      let wanted = Int(share * Double(words.count))
      return (wanted..<words.count).first { words[$0 - 1].last == "." } ?? wanted
    }
    let (code, fact, start) = (place(0.3), place(0.5), place(0.7))
    passage = Array(words[start..<min(words.count, start + Self.answerWords)])
    others = all.suffix(Self.answerWords)
    document = [
      words[..<code].joined(separator: " "), Self.function,
      words[code..<max(code, fact)].joined(separator: " "),
      Self.fact + " " + words[max(code, fact)...].joined(separator: " "),
    ].joined(separator: "\n\n")
  }

  func question(_ task: DraftTask) -> Question {
    switch task {
    case .quote:
      let beginning = passage.prefix(Self.openingWords).joined(separator: " ")
      return Question(
        text: "Quote the passage of the text that begins with \"\(beginning)\", word for word and at length.",
        opening: beginning, answer: passage.joined(separator: " "))
    case .code:
      let renamed = Self.function.replacing(/\btotal\b/, with: "result")
      return Question(
        text: """
          Repeat the function weighted_checksum of the text with its variable total renamed to result, and change \
          nothing else. Answer with the code only.
          """, opening: "```python\n\(Self.signature)\n", answer: "```python\n\(renamed)\n```")
    case .sentence:
      return Question(
        text: """
          What is the password of the silver lantern? Answer with the sentence of the text that says so, word for word.
          """, answer: Self.fact)
    case .prose:
      return Question(
        text: "Go on with the text, and repeat nothing.", answer: others.joined(separator: " "))
    }
  }
}

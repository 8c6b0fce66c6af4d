// RULER's common words extraction (arXiv 2404.06654, section 3).

/// A numbered list in which ten words stand often and all others seldom; asks for the ten.
package struct CommonWordsTask: EvaluationTask {
  package let name = "cwe"
  package let summary = "the ten words that a list has most often"
  package let answerTokens = 120
  package let scoring = AnswerScoring.all
  package let usesFiller = true

  private static let commonCount = 10
  /// Below this length common words stand 6 times and others once, from it on 30 and 3 times.
  private static let longLength = 4096

  package func sample(_ request: TaskRequest) -> TaskSample {
    var random = request.random
    var words = WordSource(request.filler, random: &random)
    let isLong = request.length >= Self.longLength
    let example = list(
      common: isLong ? 10 : 3, others: isLong ? 3 : 1, entries: isLong ? 90 : 10, words: &words,
      random: &random)
    let asked = list(
      common: isLong ? 30 : 6, others: isLong ? 3 : 1, entries: request.size, words: &words, random: &random)
    let instruction = """
      Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones that \
      appear most often.
      """
    let question =
      "Question: What are the \(Self.commonCount) most common words in the above list?"
    let answer = "Answer: The top \(Self.commonCount) words that appear most often in the list are:"
    return TaskSample(
      context: """
        \(instruction)
        \(example.text)
        \(question) \(answer) \(Self.numbered(example.common))

        \(instruction)
        \(asked.text)
        """,
      questions: [TaskQuestion(text: question, answerPrefix: answer, expected: asked.common)])
  }

  /// - Parameter entries: of the uncommon words, all together.
  private func list(
    common: Int, others: Int, entries: Int, words: inout WordSource, random: inout TaskRandom
  ) -> (text: String, common: [String]) {
    let chosen = (0..<Self.commonCount).map { _ in words.next() }
    var all = chosen.flatMap { Array(repeating: $0, count: common) }
    while all.count < common * Self.commonCount + entries {
      let count = min(others, common * Self.commonCount + entries - all.count)
      all += Array(repeating: words.next(), count: count)
    }
    random.shuffle(&all)
    return (Self.numbered(all), chosen)
  }

  private static func numbered(_ words: [String]) -> String {
    words.enumerated().map { "\($0 + 1). \($1)" }.joined(separator: " ")
  }
}

/// Words of a text in random order, no two alike; made-up ones when the text has no more.
struct WordSource {
  private let words: [String]
  private var used = 0
  private var random: TaskRandom

  init(_ filler: FillerText, random: inout TaskRandom) {
    var words = filler.vocabulary
    random.shuffle(&words)
    self.words = words
    self.random = random
  }

  mutating func next() -> String {
    defer { used += 1 }
    // Pairs of words, each other pair once: the next distance between them when all of one distance are used.
    guard used >= words.count else { return words[used] }
    guard words.count > 1 else { return random.letters(8) }
    let round = used / words.count
    let place = used % words.count
    return words[place] + words[(place + round) % words.count]
  }
}

// RULER's frequent words extraction (arXiv 2404.06654, section 3).

/// Made-up words whose counts follow a power law; asks for the three most frequent.
package struct FrequentWordsTask: EvaluationTask {
  package let name = "fwe"
  package let summary = "the three most frequent made-up words"
  package let answerTokens = 50
  package let scoring = AnswerScoring.all
  package let usesFiller = false

  package func sample(_ request: TaskRequest) -> TaskSample {
    var random = request.random
    // The most frequent of all stands for noise, the next three are asked for.
    let count = max(4, request.length / 50)
    var words = ["..."]
    var seen: Set<String> = []
    while words.count < count {
      let word = random.letters(6)
      if seen.insert(word).inserted { words.append(word) }
    }
    // Shares 1 / (zeta(2) rank^2), as counts, not draws, so that the order is certain.
    let zeta = Double.pi * Double.pi / 6
    // Fewer words would not give the third one more often than the fourth.
    let total = max(100, request.size)
    var text: [String] = []
    for (index, word) in words.enumerated() {
      let rank = Double(index + 1)
      text += Array(repeating: word, count: Int(Double(total) / (zeta * rank * rank)))
    }
    random.shuffle(&text)
    return TaskSample(
      context: """
        Read the following coded text and track the frequency of each coded word. Find the three most frequently \
        appeared coded words.
        \(text.joined(separator: " "))
        """,
      questions: [
        TaskQuestion(
          text: """
            Question: Do not provide any explanation. Please ignore the dots '...'. What are the three most frequently \
            appeared words in the above coded text?
            """,
          answerPrefix:
            "Answer: According to the coded text above, the three most frequently appeared words are:",
          expected: Array(words[1...3]))
      ])
  }
}

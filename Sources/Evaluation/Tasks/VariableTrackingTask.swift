// RULER's variable tracking: a chain of assignments to follow (arXiv 2404.06654, section 3).

/// Hides `VAR X = 12345`, `VAR Y = VAR X`, ... in noise and asks for all variables that have the value.
package struct VariableTrackingTask: EvaluationTask {
  package let name = "vt"
  package let summary = "all five variables of a chain of assignments in noise"
  package let answerTokens = 30
  package let scoring = AnswerScoring.all
  package let usesFiller = false

  /// Assignments of one variable to another; the chain has one variable more.
  private static let hops = 4
  /// Noise of the worked example in front.
  private static let exampleSentences = 25

  package func sample(_ request: TaskRequest) -> TaskSample {
    var random = request.random
    let example = chain(letters: 3, sentences: Self.exampleSentences, random: &random)
    let asked = chain(letters: 5, sentences: request.size, random: &random)
    let instruction =
      "Memorize and track the chain of variable assignment hidden in the following text."
    return TaskSample(
      context: """
        \(instruction)

        \(example.text)
        \(Self.question(example.value)) \(Self.answerStart(example.value)) \(example.names.joined(separator: " "))

        \(instruction)

        \(asked.text)
        """,
      questions: [
        TaskQuestion(
          text: Self.question(asked.value), answerPrefix: Self.answerStart(asked.value), expected: asked.names
        )
      ])
  }

  private static func question(_ value: String) -> String {
    "Question: Find all variables that are assigned the value \(value) in the text above."
  }

  private static func answerStart(_ value: String) -> String {
    """
    Answer: According to the chain of variable assignment in the text above, \(hops + 1) variables are assigned the \
    value \(value), they are:
    """
  }

  private struct Chain {
    var text: String
    var value: String
    var names: [String]
  }

  private func chain(letters: Int, sentences: Int, random: inout TaskRandom) -> Chain {
    var names: [String] = []
    while names.count <= Self.hops {
      let name = random.letters(letters).uppercased()
      if !names.contains(name) { names.append(name) }
    }
    let value = "\(10_000 + random.below(89_999))"
    let statements = names.indices.map { index in
      "VAR \(names[index]) = \(index == 0 ? value : "VAR \(names[index - 1])")."
    }
    // In the order of the chain: a variable has its value before it is used.
    let places = statements.map { _ in random.below(sentences + 1) }.sorted()
    let haystack = Haystack(
      pieces: Haystack.noiseSentences(sentences),
      needles: zip(statements, places).map { (text: $0, place: $1) })
    return Chain(text: haystack.text, value: value, names: names)
  }
}

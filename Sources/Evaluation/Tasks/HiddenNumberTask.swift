// InfiniteBench's PassKey and Number: one number in noise (arXiv 2402.13718, section 3).

/// Hides a number in noise and asks for it.
package struct HiddenNumberTask: EvaluationTask {
  package let name: String
  package let summary: String
  package let scoring = AnswerScoring.firstNumber
  package let usesFiller = false
  package let answerTokens: Int
  private let isRepetitive: Bool

  /// Five digits.
  static let passKey = HiddenNumberTask(
    name: "passkey", summary: "a pass key of five digits in noise", answerTokens: 6, isRepetitive: false)
  /// Ten digits, made of five by repeating some: harder, since the answer must count.
  static let number = HiddenNumberTask(
    name: "number_string", summary: "ten digits with repetitions in noise", answerTokens: 12,
    isRepetitive: true)

  package func sample(_ request: TaskRequest) -> TaskSample {
    var random = request.random
    var digits = Array(random.digits(5))
    while isRepetitive, digits.count < 10 {
      let place = random.below(digits.count)
      digits.insert(digits[place], at: place)
    }
    let value = String(digits)
    let name = isRepetitive ? "sequence of digits" : "pass key"
    let haystack = Haystack(
      pieces: Haystack.noiseSentences(request.size),
      needles: [
        (
          text: "The \(name) is \(value). Remember it. \(value) is the \(name).",
          place: random.below(request.size + 1)
        )
      ])
    return TaskSample(
      context: """
        There is important information hidden inside a lot of irrelevant text. Find it and memorize it. I will quiz \
        you about the important information.

        \(haystack.text)
        """,
      questions: [
        TaskQuestion(
          text: "What is the \(name)?", answerPrefix: "The \(name) is", expected: [value],
          depth: haystack.depths[0])
      ])
  }
}

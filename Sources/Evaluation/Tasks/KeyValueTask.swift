// InfiniteBench's KV retrieval: UUIDs in one JSON object (arXiv 2402.13718, section 3).

/// A JSON object of random UUIDs; asks for the values of some keys.
package struct KeyValueTask: EvaluationTask {
  package let name = "kv_retrieval"
  package let summary = "the UUID of a UUID in a large JSON object"
  package let answerTokens = 50
  package let scoring = AnswerScoring.word
  package let usesFiller = false

  package func sample(_ request: TaskRequest) -> TaskSample {
    var random = request.random
    let count = max(1, request.size)
    let pairs = (0..<count).map { _ in (key: random.uuid(), value: random.uuid()) }
    let asked = random.distinct(min(count, max(1, request.questions)), below: count)
    return TaskSample(
      context: """
        Extract the value corresponding to the specified key in the JSON object below.

        {\(pairs.map { "\"\($0.key)\": \"\($0.value)\"" }.joined(separator: ", "))}
        """,
      questions: asked.map { index in
        TaskQuestion(
          text: "Key: \"\(pairs[index].key)\"",
          answerPrefix: "The value associated with the specified key is:", expected: [pairs[index].value],
          depth: Double(index) / Double(count))
      })
  }
}

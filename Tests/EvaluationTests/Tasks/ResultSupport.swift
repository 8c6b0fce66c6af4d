// Results made by hand, as JSON: the form in which they are kept.

import Evaluation
import Foundation

enum ResultSupport {
  static func header(fingerprint: String = "0123456789abcdef") throws -> EvaluationHeader {
    try decode(
      """
      {"version": 1, "fingerprint": "\(fingerprint)", "model": "tiny & <b>small</b>", "modelFile": "tiny.gguf", \
      "filler": "text.txt", "seed": 1, "questionsPerContext": 4, "questionReading": "batch", "raw": false, \
      "fidelityTokens": 8, "machine": "a machine", "threads": 2, "started": "2026-01-02T03:04:05Z"}
      """)
  }

  static func answer(
    task: String = "niah_single_1", length: Int = 2048, attention: String = "exact", sample: Int = 0,
    question: Int = 0, depth: Double? = 0.25, score: Double = 1, answer: String = "12"
  ) throws -> AnswerRecord {
    try decode(
      """
      {"task": "\(task)", "length": \(length), "attention": "\(attention)", "sample": \(sample), \
      "question": \(question), "questionCount": 4, "depth": \(depth.map { "\($0)" } ?? "null"), \
      "promptTokens": 2000, "expected": ["12"], "answer": "\(answer)", "score": \(score), "steps": 3, \
      "millisecondsPerToken": 7.5, "bytesPerToken": 2097152, "keysRead": 0.25, "keysReadWithStatic": 0.5, \
      "prefillSeconds": 1.5}
      """)
  }

  static func fidelity(
    length: Int = 2048, attention: String = "retrieval", meanKL: Double = 0.01, hasHeads: Bool = true
  ) throws -> FidelityRecord {
    let heads =
      hasHeads
      ? #", "heads": {"outputError": [[0.1, 0.001], [null, null]], "recoveredMass": [[0.9, 0.5], [null, null]]}"#
      : ""
    return try decode(
      """
      {"length": \(length), "attention": "\(attention)", "tokens": 8, "meanKL": \(meanKL), "p99KL": 0.02, \
      "top1": 0.875, "perplexity": 12.5, "referencePerplexity": 12.25, "millisecondsPerToken": 8.5, \
      "bytesPerToken": 1048576, "keysRead": 0.1, "keysReadWithStatic": 0.2\(heads)}
      """)
  }

  static func decode<Value: Decodable>(_ json: String) throws -> Value {
    try JSONDecoder().decode(Value.self, from: Data(json.utf8))
  }
}

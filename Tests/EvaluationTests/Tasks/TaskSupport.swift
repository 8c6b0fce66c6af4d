// Requests for tasks without a model: tokens are words here.

import Evaluation

enum TaskSupport {
  /// 2000 words in sentences of eight; word number i is made of its letters: no two alike.
  static let fillerText: String = {
    let letters = Array("abcdefghij")
    return (0..<2000).map { number in
      let word = "w" + String(number).map { String(letters[Int(String($0))!]) }.joined()
      return number % 8 == 7 ? word + "." : word
    }.joined(separator: " ")
  }()

  static func filler() throws -> FillerText { try FillerText(fillerText) }

  static func request(
    _ task: any EvaluationTask, size: Int, length: Int = 4096, questions: Int = 4, seed: UInt64 = 7
  ) throws -> TaskRequest {
    TaskRequest(
      size: size, length: length, questions: questions, filler: try filler(),
      random: TaskRandom(seed: seed, task: task.name, length: length, sample: 0))
  }

  static func task(_ name: String) throws -> any EvaluationTask { try TaskCatalog.tasks(named: [name])[0] }

  static func sample(_ name: String, size: Int, length: Int = 4096, questions: Int = 4) throws -> TaskSample {
    let task = try task(name)
    return task.sample(try request(task, size: size, length: length, questions: questions))
  }

  /// FNV-1a of everything in a sample.
  static func digest(_ sample: TaskSample) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    let parts = [sample.context] + sample.questions.flatMap { [$0.text, $0.answerPrefix] + $0.expected }
    for byte in parts.joined(separator: "\u{1}").utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return String(hash, radix: 16)
  }
}

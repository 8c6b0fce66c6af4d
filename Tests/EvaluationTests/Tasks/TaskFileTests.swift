// Samples in RULER's form: what is read, and what is refused.

import Evaluation
import Foundation
import Testing

@Suite struct TaskFileTests {
  /// Writes a file named as RULER names its own, `TASK/validation.jsonl`, and reads it.
  static func task(_ name: String, _ text: String) throws -> TaskFile {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("ra-tasks-\(UUID())/\(name)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder.deletingLastPathComponent()) }
    let path = folder.appendingPathComponent("validation.jsonl")
    try Data(text.utf8).write(to: path)
    return try TaskFile(contentsOf: path.path)
  }

  @Test func samplesAreCutBeforeTheirLastLine() throws {
    let file = try Self.task(
      "vt",
      #"""
      {"index": 0, "input": "A = 1\nB = A\nWhich are 1?", "outputs": ["A", "B"], "length": 40, "answer_prefix": " They are"}

      {"index": 1, "input": "one line only ", "outputs": ["line"], "length_w_model_temp": 7}
      """#)
    #expect(file.name.wholeMatch(of: /vt:[0-9a-f]{8}/) != nil)
    #expect(file.answerTokens == 30 && file.scoring == .all && !file.usesFiller)
    let samples = try #require(file.fixedSamples)
    #expect(samples.map(\.context) == ["A = 1\nB = A", "one line"])
    #expect(samples.map(\.separator) == ["", ""])
    #expect(samples.map { $0.questions[0].text } == ["\nWhich are 1?", " only "])
    #expect(samples.map { $0.questions[0].answerPrefix } == [" They are", ""])
    #expect(samples.map { $0.questions[0].expected } == [["A", "B"], ["line"]])
  }

  @Test func questionsHaveOneRightAnswerOfSeveral() throws {
    let line = #"{"input": "text\nwho?", "outputs": ["Anne", "Miss Elliot"]}"#
    let file = try Self.task("qa_1", line)
    #expect(file.scoring == .any && file.answerTokens == 32)
    // Another file of the same name is another task: its results must not mix with those of this one.
    #expect(try Self.task("qa_1", line + "\n" + line).name != file.name)
  }

  @Test(arguments: [
    ("{\"input\": \"a b\"}", 1, "outputs"), ("{\"input\": \"a b\", \"outputs\": []}", 1, "outputs"),
    ("{\"input\": \"a b\", \"outputs\": [\"c\"]}\n{\"in", 2, "JSON"),
    ("{\"input\": \"word\", \"outputs\": [\"c\"]}", 1, "two words"),
    ("{\"input\": \"  \", \"outputs\": [\"c\"]}", 1, "two words"), ("\n\n", 1, "no samples"),
  ])
  func refusesOtherLines(text: String, line: Int, reason: String) throws {
    let error = #expect(throws: TaskError.self) { try Self.task("niah", text) }
    guard case .badTaskFile(let path, let found, let given) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(path.hasSuffix("niah/validation.jsonl") && found == line && given.contains(reason))
  }
}

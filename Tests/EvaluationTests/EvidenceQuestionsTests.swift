// Questions of files: what is read, and what is refused.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import TestSupport
import Testing

@testable import Evaluation

@Suite struct EvidenceQuestionsTests {
  private func read(_ lines: String...) throws -> [EvidenceTexts] {
    let folder = try TemporaryFolder()
    return try EvidenceTexts.read(folder.file("questions.jsonl", Data(lines.joined(separator: "\n").utf8)))
  }

  @Test func bothNamesOfFieldsAreRead() throws {
    let texts = try read(
      #"{"context": "Ann is here. Bob is there.", "query": "Where is Ann?", "answer": "here", "evidence": ["Ann is here."], "length": 6}"#,
      "",
      #"{"context": "Ann is here. Bob is there.", "question": "Who?", "answers": ["Ann", "Bob"], "evidence": ["Ann is here.", "Bob is there."]}"#,
      #"{"docs": ["One.", "Two."], "question": "Two?", "answer": ["two"], "evidence": [2]}"#,
      #"{"docs": ["One.", "Two."], "question": "Three?", "answer": "three", "evidence": []}"#)
    #expect(texts.map(\.documents.count) == [1, 2])
    #expect(texts.flatMap(\.questions).map(\.kind) == [.single, .double, .single, .absent])
    #expect(texts[0].questions.map(\.values) == [["here"], ["Ann", "Bob"]])
    #expect(texts[1].questions[0].documents == [1])
    #expect(texts[1].documents[1] == .init(name: "document 2", text: "Two."))
  }

  @Test(arguments: [
    (#"{"context": "a", "question": "b", "answer": "c"}"#, "evidence"),
    (#"{"context": "a", "question": "b", "evidence": ["a"]}"#, "answer is empty or missing"),
    (#"{"context": "a", "question": " ", "answer": "c", "evidence": []}"#, "question is empty"),
    (#"{"context": " ", "question": "b", "answer": "c", "evidence": []}"#, "no text"),
    (#"{"context": "a", "question": "b", "answer": " ", "evidence": ["a"]}"#, "answer is empty"),
    (#"{"context": "a", "question": "b", "answer": [], "evidence": ["a"]}"#, "answer is empty"),
    (#"{"docs": ["a", " "], "question": "b", "answer": "c", "evidence": [2]}"#, "document 2, which is empty"),
    (#"{"context": "a", "question": "b", "answer": "c", "evidence": ["x"]}"#, "'x' does not stand"),
    (#"{"context": "a", "question": "b", "answer": "c", "evidence": [""]}"#, "does not stand"),
    (#"{"docs": ["a"], "question": "b", "answer": "c", "evidence": [2]}"#, "document 2 of 1"),
    (#"{"docs": ["a"], "question": "b", "answer": "c", "evidence": [0]}"#, "document 0 of 1"),
    (#"{"docs": ["a"], "question": "b", "answer": "c", "evidence": [-9223372036854775808]}"#, "document"),
    (#"{"docs": "a""#, "JSON"), ("", "no questions"),
  ])
  func refusesOtherLines(line: String, reason: String) throws {
    let error = #expect(throws: TaskError.self) { try read(line) }
    guard case .badTaskFile(_, 1, let found) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(found.contains(reason), "\(found)")
  }

  @Test func linesOfWindowsAndQuestionsWithoutAnswers() throws {
    let line = #"{"context": "\n a \n", "question": "b", "evidence": []}"#
    let texts = try read("\(line)\r\n\(line)\r\n")
    #expect(texts.map(\.questions.count) == [2])
    #expect(texts[0].documents[0].text == "a" && texts[0].questions[0].kind == .absent)
  }

  /// Documents and sentences are found again in the context, and counted in their own units.
  @Test func answersAreScoredByWhatIsKnown() throws {
    let host = try GuestHost(model: TestModel.load(), pool: ThreadPool(threadCount: 2, poll: 0))
    var settings = EvidenceBenchmark.Settings()
    (settings.maximumTokens, settings.asksForQuotes) = (8, false)
    settings.given = try read(
      #"{"docs": ["The horse is brown.", "The cat is white. It sleeps."], "question": "Which color has the cat?", "answer": "white", "evidence": [2]}"#,
      #"{"docs": ["The horse is brown.", "The cat is white. It sleeps."], "question": "Which color has the cat?", "answer": "white", "evidence": ["The cat is white.", "It sleeps."]}"#
    )
    let benchmark = EvidenceBenchmark(
      host: host, heads: try EvidenceHeads(of: host.model, shape: host.shape),
      filler: try FillerText(BuiltInText.persuasion), settings: settings)
    let answers = try benchmark.run { _, _ in }
    #expect(answers.map(\.kind) == [.single, .double])
    #expect(answers.map(\.score.known) == [1, 2])
    let quotes = answers[1].quotes
    #expect(!quotes.isEmpty)
    let found = ["The cat is white.", "It sleeps."].count { known in quotes.contains { $0.contains(known) } }
    #expect(answers[1].score.found == found)
    #expect(answers[0].answer == answers[1].answer && answers[0].quotes == answers[1].quotes)
  }
}

// A run may be killed at any byte: what was finished must stay, and nothing else.

import Evaluation
import Foundation
import Testing

@Suite struct ResultFileTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("ra-results-\(UUID())")
  private var path: String { folder.appendingPathComponent("results.jsonl").path }

  init() throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  private func contents() throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }
  private func write(_ data: Data) throws { try data.write(to: URL(fileURLWithPath: path)) }
  private func cleanUp() { try? FileManager.default.removeItem(at: folder) }

  @Test func keepsWhatWasAppended() throws {
    defer { cleanUp() }
    let header = try ResultSupport.header()
    let answers = try (0..<3).map { try ResultSupport.answer(question: $0, answer: "it is \\\"12\\\"\\n") }
    let fidelity = try ResultSupport.fidelity()
    do {
      let file = try ResultFile(path: path, header: header)
      for answer in answers { try file.append(answer) }
      try file.append(fidelity)
      #expect(file.has(answers[1].key) && file.has(fidelity.key))
    }
    let file = try ResultFile(path: path, header: header)
    #expect(file.results.answers == answers)
    #expect(file.results.fidelity == [fidelity])
    #expect(file.results.header == header)
    #expect(file.has(answers[2].key))
    #expect(try !file.has(ResultSupport.answer(question: 3).key))
    #expect(try EvaluationResults(contentsOf: path).answers == answers)
  }

  /// Cut in many places: all whole lines are kept, the torn one is dropped, and the file goes on.
  @Test func survivesACutAnywhere() throws {
    defer { cleanUp() }
    let header = try ResultSupport.header()
    do {
      let file = try ResultFile(path: path, header: header)
      for question in 0..<2 { try file.append(ResultSupport.answer(question: question)) }
    }
    let whole = try contents()
    // Around the ends of lines, and here and there within.
    let ends = whole.indices.filter { whole[$0] == UInt8(ascii: "\n") }.flatMap { [$0 - 1, $0, $0 + 1] }
    for end in Set([0, 1, 2] + ends + Array(stride(from: 3, to: whole.count, by: 61))).sorted() {
      try write(whole.prefix(end))
      let lines = whole.prefix(end).count { $0 == UInt8(ascii: "\n") }
      // A single byte tells nothing of whose file it is.
      if end == 1 {
        #expect(throws: ResultFileError.self) { try ResultFile(path: path, header: header) }
        continue
      }
      let file = try ResultFile(path: path, header: header)
      #expect(file.results.answers.count == max(0, lines - 1), "cut at \(end)")
      for question in 0..<2 {
        let answer = try ResultSupport.answer(question: question)
        if !file.has(answer.key) { try file.append(answer) }
      }
      #expect(try contents() == whole, "cut at \(end)")
    }
  }

  @Test func refusesOtherSettings() throws {
    defer { cleanUp() }
    _ = try ResultFile(path: path, header: ResultSupport.header())
    let before = try contents()
    #expect(throws: ResultFileError.otherSettings(path: path)) {
      try ResultFile(path: path, header: ResultSupport.header(fingerprint: "fedcba9876543210"))
    }
    #expect(try contents() == before)
  }

  @Test func refusesWhatIsNoResultFile() throws {
    defer { cleanUp() }
    let header = try ResultSupport.header()
    for text in ["not json at all", "{\"kind\": \"answer\"}\n", "[]\n", "\n\n{}\n", "{}\n", "\u{0}\n"] {
      try write(Data(text.utf8))
      #expect(throws: ResultFileError.self, "\(text)") { try ResultFile(path: path, header: header) }
      #expect(try contents() == Data(text.utf8))
    }
    // A damaged line in the middle, and a line twice.
    do {
      try FileManager.default.removeItem(atPath: path)
      let file = try ResultFile(path: path, header: header)
      try file.append(ResultSupport.answer())
      try file.append(ResultSupport.answer(question: 1))
    }
    let whole = try contents()
    var damaged = whole
    damaged[whole.count / 2] = 0
    try write(damaged)
    #expect(throws: ResultFileError.self) { try ResultFile(path: path, header: header) }
    let lines = whole.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    try write(whole + lines[1] + Data("\n".utf8))
    #expect(throws: ResultFileError.notResults(path: path, line: 4)) {
      try ResultFile(path: path, header: header)
    }
    #expect(throws: ResultFileError.self) { try ResultFile(path: "/nowhere/results.jsonl", header: header) }
    #expect(throws: ResultFileError.self) { try ResultFile(path: folder.path, header: header) }
    #expect(throws: ResultFileError.self) { try EvaluationResults(contentsOf: "/nowhere/results.jsonl") }
  }
}

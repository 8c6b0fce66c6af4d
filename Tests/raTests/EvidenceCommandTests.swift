// Passages of answers, as people ask for them.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct EvidenceCommandTests {
  private static let fact = "The special magic number for Oslo is: 8153207."
  private let home: SessionHome
  private let document: String

  init() throws {
    home = try SessionHome()
    let text = try TestText.read("alice.txt", characters: 7000)
    let middle = text.index(text.startIndex, offsetBy: 4000)
    let end = text[middle...].firstIndex(of: ".").map { text.index(after: $0) } ?? middle
    let url = home.folder.url("alice.txt")
    try Data((text[..<end] + " " + Self.fact + text[end...]).utf8).write(to: url)
    document = url.path
  }

  /// With `--evidence` beside the answer, and without it when it is asked for later.
  @Test func passagesAreShownWithTheAnswerAndAfterwards() throws {
    let question = "What is the special magic number for Oslo mentioned in the text?"
    let options = ["-t", "1", "--max-tokens", "30", "--model", try Program.model()]
    let asked = try home.ra(["ask", document, question, "--evidence"] + options)
    #expect(asked.status == 0, "\(asked.standardError)")
    #expect(asked.standardOutput.contains("8153207"))
    #expect(asked.standardOutput.contains("[1]") && asked.standardOutput.contains(Self.fact))
    let chat = try home.ra(
      ["chat", document] + options, input: "/sources\n\(question)\n/sources\n/undo\n/sources\n")
    #expect(chat.status == 0, "\(chat.standardError)")
    #expect(chat.standardOutput.contains("8153207") && !chat.standardOutput.contains("[1]"))
    #expect(chat.standardError.contains("[1]") && chat.standardError.contains(Self.fact))
    #expect(chat.standardError.components(separatedBy: "nothing was answered in this run").count == 3)
  }
}

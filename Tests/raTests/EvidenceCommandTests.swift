// Passages of answers, as people ask for them.

import Foundation
import Generation
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

  /// The model's profile with odds of yes that passages must have.
  private func profile(leastOdds: Double) throws -> String {
    let model = try TestModel.load()
    let heads = (0..<model.description.layerCount).map { EvidenceHeads.Entry(layer: $0, head: 0, weight: 1) }
    var profile =
      try EvidenceProfile(of: model, path: nil)
      ?? EvidenceProfile(model: model, answers: 1, bestShare: 1, heads: heads, leastOdds: nil)
    profile.leastOdds = leastOdds
    return try home.folder.file("profile.json", profile.json())
  }

  /// Whatever the model thinks of passages, odds that none has leave none, which is told with what they were.
  @Test(arguments: [(odds: -1e3, isShown: true), (1e3, false)])
  func passagesThatDoNotAnswerAreTold(odds: Double, isShown: Bool) throws {
    let asked = try home.ra([
      "ask", document, "What is the special magic number for Oslo mentioned in the text?", "-t", "1",
      "--max-tokens", "30", "--model", try Program.model(), "--verify-evidence", "--evidence-heads",
      try profile(leastOdds: odds),
    ])
    #expect(asked.status == 0, "\(asked.standardError)")
    #expect(asked.standardOutput.contains("8153207"))
    #expect(asked.standardOutput.contains("[1]") == isShown)
    #expect(asked.standardError.contains("no passage answers the question") != isShown)
    #expect((isShown ? asked.standardOutput : asked.standardError).contains(Self.fact))
  }

  /// Alone it may not tell what is asked.
  @Test func aFollowUpIsNotJudged() throws {
    let chat = try home.ra(
      [
        "chat", document, "-t", "1", "--max-tokens", "30", "--model", try Program.model(),
        "--verify-evidence",
        "--evidence-heads", try profile(leastOdds: 1e3),
      ], input: "Who is Alice?\nWhat is the special magic number for Oslo mentioned in the text?\n")
    #expect(chat.status == 0, "\(chat.standardError)")
    #expect(chat.standardOutput.contains("[1]") && chat.standardOutput.contains(Self.fact))
  }
}

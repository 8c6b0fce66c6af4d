// Sessions from the command line, end to end.

import Foundation
import Testing

@Suite(.serialized) final class SessionCommandTests {
  /// `@unchecked`: the tests run one after another.
  private struct Made: @unchecked Sendable { let home: SessionHome }

  /// A home with the session `book` of two documents.
  private static let made = Result {
    let home = try SessionHome()
    let output = try home.ingest("book", ["--document", home.alice, "--document", home.note])
    try #require(output.status == 0, "\(output.standardError)")
    return Made(home: home)
  }

  private let home: SessionHome
  private let question = "What is the password of the library?"

  init() throws { home = try Self.made.get().home }

  @Test func documentsAreRead() throws {
    let shown = try home.show("book")
    let documents = try #require(shown["documents"] as? [[String: Any]])
    #expect(documents.map { $0["name"] as? String } == ["alice.txt", "note.txt"])
    let contents = documents.compactMap { $0["contents"] as? [String: Any] }
    #expect(contents.map { $0["path"] as? String } == [home.alice, home.note])
    #expect(contents.allSatisfy { ($0["hash"] as? String)?.count == 16 })
    // "File: alice.txt", a line feed, the text, an empty line, "File: note.txt", a line feed.
    #expect(contents.map { $0["firstByte"] as? Int }[0] == 16)
    let end = (contents[0]["byteCount"] as? Int).map { $0 + 16 }
    #expect(contents[1]["firstByte"] as? Int == end.map { $0 + 2 + 15 })
    let counts = documents.compactMap { $0["tokenCount"] as? Int }
    #expect(counts[0] > 700 && (10...30).contains(counts[1]))
    #expect(
      documents.compactMap { $0["firstToken"] as? Int }[1] + counts[1] == shown["tokenCount"] as? Int)
    #expect(shown["pendingTokenCount"] as? Int == 0)
    #expect(
      shown["modelPath"] as? String == (try URL(fileURLWithPath: Program.model()).standardizedFileURL.path))
    let text = try home.ra(["session", "show", "book"]).standardOutput
    for part in ["book", "tokens", "SmolLM2", "alice.txt", "note.txt"] { #expect(text.contains(part)) }

    let list = try home.json(["session", "list"])
    let names = try #require(list["sessions"] as? [[String: Any]]).compactMap { $0["name"] as? String }
    #expect(names.contains("book"))
    #expect(try home.ra(["session", "list"]).standardOutput.contains("alice.txt, note.txt"))
    let verified = try home.ra(["session", "verify", "book"])
    #expect(verified.status == 0)
    #expect(verified.standardOutput.hasPrefix("book: intact"))
  }

  @Test func questionsDoNotDisturbEachOther() throws {
    let before = try home.contents("book")
    let first = try home.ask("book", question)
    #expect(first.status == 0)
    #expect(first.standardOutput.hasSuffix("\n"))
    #expect(first.standardError.contains("tokens were there)"))
    #expect(try home.ask("book", "Who is Alice?").status == 0)
    let detailed = try home.ra(
      ["ask", "-t", "1", "--max-tokens", "2", "--session", "book", "--stats", question])
    #expect(detailed.standardError.contains("prompt tokens reused, opened in"))
    let report = try home.json(["ask", "-t", "1", "--max-tokens", "8", "--session", "book", question])
    #expect(report["text"] as? String == String(first.standardOutput.dropLast()))
    #expect(report["reusedTokens"] as? Int == (try home.show("book")["tokenCount"] as? Int))
    #expect(report["isKept"] as? Bool == false)
    let read = try #require(report["promptTokens"] as? Int)
    #expect((8...30).contains(read))
    #expect(
      report["contextTokens"] as? Int == (report["reusedTokens"] as? Int).map { $0 + read })
    #expect(try home.contents("book") == before)
    // From standard input and with little memory the same.
    let piped = try home.ra(
      ["ask", "-t", "1", "--max-tokens", "8", "--session", "book", "--memory-limit", "1.5MB"],
      input: question + "\n")
    #expect(piped.standardOutput == first.standardOutput)
  }

  @Test func keptAnswersAreContext() throws {
    try home.copy("book", "kept")
    let before = try #require(try home.show("kept")["tokenCount"] as? Int)
    let kept = try home.ask("kept", question, ["--keep"])
    #expect(kept.status == 0)
    #expect(kept.standardError.contains("kept"))
    #expect(kept.standardOutput == (try home.ask("book", question).standardOutput))
    let after = try #require(try home.show("kept")["tokenCount"] as? Int)
    #expect(after > before + 16)
    #expect(try home.ra(["session", "verify", "kept"]).status == 0)
    let next = try home.json(["ask", "-t", "1", "--max-tokens", "2", "--session", "kept", "And now?"])
    #expect(next["reusedTokens"] as? Int == after)
    #expect(try home.show("book")["tokenCount"] as? Int == before)
  }

  /// A template that says earlier answers otherwise, and a session that goes back to the last answer for it.
  @Test func templatesThatChangeEarlierAnswers() throws {
    let folder = try TemporaryFolder()
    let template = folder.url("loud.jinja")
    try Data(
      #"""
      {%- for message in messages -%}
      {%- set content = message.content | upper if message.role == 'assistant' else message.content -%}
      {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' -}}
      {%- endfor -%}
      {%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
      """#.utf8
    ).write(to: template)
    let document = folder.url("note.txt")
    try Data("The meeting is on Tuesday at noon.".utf8).write(to: document)
    let given = ["--chat-template", template.path]
    let ingest = try home.ra(
      ["ingest", "-t", "1", "--session", "loud", "--document", document.path, "--model", Program.model()]
        + given)
    #expect(ingest.status == 0, "\(ingest.standardError)")
    var counts: [Int] = []
    // An answer in capitals already is not said otherwise.
    var changes = false
    for ask in ["When is it?", "Where is it?", "Who is there?"] {
      let report = try home.json(
        ["ask", "-t", "1", "--max-tokens", "8", "--session", "loud", "--keep", ask] + given)
      let reused = try #require(report["reusedTokens"] as? Int)
      if let last = counts.last {
        #expect(changes ? reused < last : reused == last)
        #expect(reused + 12 >= last)
      }
      let text = try #require(report["text"] as? String)
      changes = text != text.uppercased()
      #expect(changes || !counts.isEmpty)
      counts.append(try #require(try home.show("loud")["tokenCount"] as? Int))
    }
    #expect(counts == counts.sorted())
    #expect(try home.ra(["session", "verify", "loud"]).status == 0)
    let other = try home.ask("loud", "When is it?")
    #expect(other.status == 1)
    #expect(other.standardError.contains("another chat template"))
    #expect(other.standardError.contains("--chat-template"))
    #expect(try home.ask("book", "When is it?", given).status == 1)
    let late = try home.ra(["chat", "--session", "book", "--system", "Be brief."], input: "Hello\n")
    #expect(late.status == 1 && late.standardError.contains("--system"))
  }

  @Test func chatKeepsEveryTurn() throws {
    try home.copy("book", "talk")
    let chat = ["chat", "-t", "1", "--max-tokens", "6", "--session", "talk"]
    let before = try #require(try home.show("talk")["tokenCount"] as? Int)
    let first = try home.ra(
      chat, input: "\(question)\n/stats\n/nonsense\n/save copied\n\nAnd who is Alice?\n/quit\nnever asked\n")
    #expect(first.status == 0, "\(first.standardError)")
    #expect(first.standardOutput.split(separator: "\n").count >= 2)
    for part in ["1 turn now", "no command /nonsense", "copied to", "opened"] {
      #expect(first.standardError.contains(part), "\(part)")
    }
    let after = try #require(try home.show("talk")["tokenCount"] as? Int)
    let copied = try #require(try home.show("copied")["tokenCount"] as? Int)
    #expect(before + 10 < copied && copied + 10 < after)
    #expect(try home.ra(["session", "verify", "talk", "copied"]).status == 0)
    // The copy goes on as the original did.
    let again = try home.ra(
      ["chat", "-t", "1", "--max-tokens", "6", "--session", "copied"], input: "And who is Alice?\n")
    #expect(again.status == 0)
    #expect(first.standardOutput.hasSuffix(again.standardOutput))
    #expect(try home.contents("copied")["manifest.json"] != home.contents("talk")["manifest.json"])
  }

  @Test func chatStartsSessions() throws {
    let model = try Program.model()
    let arguments = ["chat", "-t", "1", "--max-tokens", "4", "--model", model]
    let unsaved = try home.ra(arguments, input: "Hello!\n/save later\nWhat else?\n")
    #expect(unsaved.status == 0, "\(unsaved.standardError)")
    let later = try #require(try home.show("later")["tokenCount"] as? Int)
    #expect(try home.ra(arguments + ["--session", "new"], input: "Hello!\nWhat else?\n").status == 0)
    #expect(try home.show("new")["tokenCount"] as? Int == later)
    // Nothing said, nothing left.
    let silent = try home.ra(arguments + ["--session", "silent"], input: "/help\n")
    #expect(silent.status == 0)
    #expect(silent.standardError.contains("/save NAME"))
    expectRefusal(try home.ra(["session", "show", "silent"]), "no session")
    expectRefusal(
      try home.ra(["chat", "-t", "1", "--session", "none"], input: "Hello!\n"), "none", "--model")
  }

  @Test func interruptionStopsAnAnswerAndNotTheChat() throws {
    try home.copy("book", "stopped")
    let chat = try RunningProgram(
      [
        "chat", "-t", "1", "--max-tokens", "3000", "--temperature", "1.5", "--min-p", "0", "--top-p", "1",
        "--top-k", "0", "--seed", "1", "--session", "stopped",
      ],
      environment: home.environment)
    chat.send("Write a very long story.\n")
    try chat.wait { chat.standardOutput.count > 20 }
    chat.signal(SIGINT)
    try chat.wait { chat.standardError.contains("(stopped)") }
    chat.send("/stats\n")
    let output = try chat.finish()
    #expect(output.status == 0)
    #expect(output.standardError.contains("1 turn now"))
    #expect(try home.ra(["session", "verify", "stopped"]).status == 0)
    // What was said is there.
    let generated = try #require(try home.show("stopped")["tokenCount"] as? Int)
    #expect(generated > (try #require(try home.show("book")["tokenCount"] as? Int)) + 10)
  }

  /// A crash in an answer loses that turn and nothing else, and the next chat says so, once.
  @Test func chatTellsOfALostTurn() throws {
    try home.copy("book", "crashed")
    let chat = try RunningProgram(
      [
        "chat", "-t", "1", "--max-tokens", "3000", "--temperature", "1.5", "--min-p", "0", "--top-p", "1",
        "--top-k", "0", "--seed", "1", "--session", "crashed",
      ],
      environment: home.environment)
    chat.send("Write a very long story.\n")
    try chat.wait { chat.standardOutput.count > 20 }
    chat.signal(SIGKILL)
    #expect(try chat.finish().signalled)
    let next = ["chat", "-t", "1", "--session", "crashed"]
    #expect(try home.ra(next, input: "/stats\n").standardError.contains("not answered to the end"))
    #expect(try !home.ra(next, input: "/stats\n").standardError.contains("not answered to the end"))
    #expect(try home.show("crashed")["tokenCount"] as? Int == home.show("book")["tokenCount"] as? Int)
    #expect(try home.ra(["session", "verify", "crashed"]).status == 0)
  }

  private func ingestion(_ name: String) throws -> [String] {
    [
      "ingest", "--session", name, "-t", "1", "--checkpoint", "0", "--model", try Program.model(),
      "--document", home.alice, "--document", home.note,
    ]
  }

  /// Starts to read, and sends a signal once a save has begun to count.
  private func interrupt(_ name: String, afterSave number: Int, with signal: Int32) throws -> Output {
    let ingest = try RunningProgram(try ingestion(name), environment: home.environment)
    let state = try home.directory("book").deletingLastPathComponent().appendingPathComponent(name)
      .appendingPathComponent("stat-00000\(number)").path
    try ingest.wait { FileManager.default.fileExists(atPath: state) }
    ingest.signal(signal)
    let stopped = try ingest.finish()
    #expect(!stopped.signalled)
    #expect(stopped.status == 128 + signal)
    #expect(stopped.standardOutput.isEmpty)
    #expect(stopped.standardError.contains("ra ingest --resume --session \(name)"))
    #expect((try home.show(name)["pendingTokenCount"] as? Int ?? 0) > 0)
    return stopped
  }

  @Test func terminationLeavesASessionToGoOnWith() throws {
    _ = try interrupt("terminated", afterSave: 1, with: SIGTERM)
    expectRefusal(try home.ask("terminated", question), "interrupted", "--resume")
    expectRefusal(try home.ra(ingestion("terminated")), "--resume", "--force")
    expectRefusal(
      try home.ra(["ingest", "--resume", "-t", "1", "--session", "terminated", "--document", home.note]),
      "other documents")
    #expect(try home.ra(["session", "verify", "terminated"]).status == 0)
  }

  @Test func interruptedIngestGoesOnToTheSameResult() throws {
    _ = try interrupt("interrupted", afterSave: 2, with: SIGINT)
    let resumed = try home.ra(ingestion("interrupted") + ["--resume"])
    #expect(resumed.status == 0, "\(resumed.standardError)")
    #expect(resumed.standardError.contains("going on after 512 of"))
    let (expected, found) = (try home.show("book"), try home.show("interrupted"))
    #expect(found["tokenCount"] as? Int == expected["tokenCount"] as? Int)
    #expect(
      try home.ask("interrupted", question).standardOutput == home.ask("book", question).standardOutput)
    let again = try home.ra(["ingest", "--resume", "--session", "interrupted"])
    #expect(again.status == 0)
    #expect(again.standardError.contains("already"))
  }
}

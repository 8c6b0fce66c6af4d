// Sessions that cannot be used as asked: refused with what is wrong, and left as they are.

import Foundation
import Testing

@Suite(.serialized) final class SessionRefusalTests {
  private struct Made: @unchecked Sendable { let home: SessionHome }

  /// A home with the session `note` of one short document.
  private static let made = Result {
    let home = try SessionHome()
    let output = try home.ingest("note", ["--document", home.note])
    try #require(output.status == 0, "\(output.standardError)")
    return Made(home: home)
  }

  private let home: SessionHome

  init() throws { home = try Self.made.get().home }

  @Test func damage() throws {
    try home.copy("note", "damaged")
    let directory = try home.directory("damaged")
    let rows = try #require(
      try FileManager.default.contentsOfDirectory(atPath: directory.path).first { $0.hasPrefix("rows") })
    let url = directory.appendingPathComponent(rows)
    var data = try Data(contentsOf: url)
    data[data.count - 1] ^= 1
    // A new file: the copy shares the old one with the original.
    try FileManager.default.removeItem(at: url)
    try data.write(to: url)
    let damaged = try home.ra(["session", "verify", "note", "damaged"])
    #expect(damaged.status == 1)
    #expect(damaged.standardOutput.hasPrefix("note: intact"))
    #expect(damaged.standardError.contains(rows))
    let output = try home.ra(["session", "verify", "damaged", "--json"])
    #expect(output.status == 1)
    let reports = try #require(
      try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8)) as? [[String: Any]])
    #expect(reports.first?["isIntact"] as? Bool == false)
    #expect((reports.first?["error"] as? String)?.contains(rows) == true)

    try data.prefix(data.count / 2).write(to: url)
    expectRefusal(try home.ask("damaged", "What?"), rows)
    try Data("{\"format\":1,".utf8).write(to: directory.appendingPathComponent("manifest.json"))
    expectRefusal(try home.ask("damaged", "What?"), "manifest.json", "damaged")
    expectRefusal(try home.ra(["session", "show", "damaged"]), "manifest.json")
    let list = try home.json(["session", "list"])
    let names = (list["damaged"] as? [[String: Any]])?.compactMap { $0["name"] as? String }
    #expect(names == ["damaged"])
    #expect(try home.ra(["session", "rm", "--yes", "damaged"]).status == 0)
    #expect(!FileManager.default.fileExists(atPath: directory.path))
  }

  @Test func anotherModel() throws {
    // The same model but for one byte of its weights.
    let other = home.folder.url("other.gguf")
    try FileManager.default.copyItem(at: URL(fileURLWithPath: try Program.model()), to: other)
    let file = try FileHandle(forUpdating: other)
    let end = try file.seekToEnd()
    try file.seek(toOffset: end - 1000)
    let byte = try #require(try file.read(upToCount: 1))[0]
    try file.seek(toOffset: end - 1000)
    try file.write(contentsOf: Data([byte ^ 1]))
    try file.close()
    for arguments in [["ask", "What?"], ["chat"]] {
      let output = try home.ra(
        arguments + ["-t", "1", "--session", "note", "--model", other.path], input: "What?\n")
      expectRefusal(output, "another model", "contents")
    }
    try FileManager.default.removeItem(at: other)
    expectRefusal(
      try home.ask("note", "What?", ["--model", other.path]), other.path)
  }

  @Test func aModelThatWasMoved() throws {
    let link = home.folder.url("link.gguf")
    try FileManager.default.createSymbolicLink(
      at: link, withDestinationURL: URL(fileURLWithPath: try Program.model()))
    let output = try home.ra([
      "ingest", "-t", "1", "--model", link.path, "--document", home.note, "--session", "linked", "--raw",
      "--attention", "exact",
    ])
    #expect(output.status == 0, "\(output.standardError)")
    #expect(try home.show("linked")["attention"] as? String == "exact")
    try FileManager.default.removeItem(at: link)
    expectRefusal(try home.ask("linked", "What?"), link.path, "--model")
    #expect(try home.ask("linked", "What?", ["--model", try Program.model()]).status == 0)
  }

  @Test func sessionsThatExistOrDoNot() throws {
    let before = try home.contents("note")
    expectRefusal(try home.ingest("note", ["--document", home.note]), "exists already", "--force")
    expectRefusal(try home.ingest("note", ["--force", "--document", "/nowhere.txt"]), "/nowhere.txt")
    expectRefusal(try home.ra(["session", "fork", "note", "note"]), "exists already")
    #expect(try home.contents("note") == before)
    expectRefusal(try home.ask("none", "What?"), "no session", "none")
    expectRefusal(try home.ra(["ingest", "--resume", "--session", "none"]), "no session")
    expectRefusal(try home.ra(["session", "show", "none"]), "no session")
    expectRefusal(try home.ra(["session", "fork", "none", "other"]), "no session")
    expectRefusal(try home.ask(home.folder.url(".").path + "/", "What?"), "not a session")
    expectRefusal(try home.ra(["session", "rm", "--yes", home.folder.url(".").path + "/"]), "not a session")
    let blank = try home.folder.file("blank.txt", Data(" \n".utf8))
    expectRefusal(try home.ingest("blank", ["--document", home.note, "--document", blank]), "blank.txt")
    expectRefusal(try home.ra(["session", "show", "blank"]), "no session")
  }

  @Test func replacing() throws {
    try home.copy("note", "replaced")
    let other = try home.folder.file(
      "other.txt", Data("Something else, and longer than what was there.".utf8))
    let output = try home.ingest("replaced", ["--force", "--document", other, "--json"])
    #expect(output.status == 0, "\(output.standardError)")
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8)) as? [String: Any])
    #expect(report["tokenCount"] as? Int == report["tokensRead"] as? Int)
    let documents = try #require(try home.show("replaced")["documents"] as? [[String: Any]])
    #expect(documents.map { $0["name"] as? String } == [URL(fileURLWithPath: other).lastPathComponent])
  }

  @Test func removal() throws {
    try home.copy("note", "gone")
    expectRefusal(try home.ra(["session", "rm", "gone"], input: "y\n"), "--yes", "gone")
    // All are looked at before any is removed.
    expectRefusal(try home.ra(["session", "rm", "--yes", "gone", "none"]), "none")
    #expect(try home.show("gone")["name"] as? String == "gone")
    #expect(try home.ra(["session", "rm", "--yes", "gone"]).status == 0)
    expectRefusal(try home.ra(["session", "show", "gone"]), "no session")
    #expect(try home.ra(["session", "verify", "note"]).status == 0)
  }

  @Test(arguments: [
    ["ask", "--session", ".hidden", "x"], ["ask", "--session", "", "x"], ["ask", "--session", "a b", "x"],
    ["ask", "--session", "..", "x"], ["session", "rm", "--yes", ".."], ["session", "fork", "a", "é"],
    ["ask", "--session", "a", "--max-tokens", "0", "x"], ["ask", "--session", "a", "--temperature=-1", "x"],
    ["ask", "--session", "a", "--memory-limit", "x", "x"],
    ["ask", "--session", "a", "--memory-limit", "0", "x"],
    ["ask", "--session", "a", "--memory-limit=-4G", "x"],
    ["ask", "--session", "a", "--question-file", "b", "x"],
    ["ingest", "--session", "a", "--document", "b"], ["ingest", "--session", "a", "--model", "b"],
    ["ingest", "--session", "a", "--resume", "--force"],
    ["ingest", "--resume", "--session", "a", "--checkpoint=-1"],
    ["ingest", "--resume", "--session", "a", "--attention", "host"], ["ingest", "--resume"], ["chat"],
    ["chat", "--session", "/x/y", "--attention", "host"], ["chat", "--session", "a b", "--model", "b"],
    ["session", "rm"], ["session", "verify"], ["session", "show"], ["session", "fork", "a"],
  ])
  func mistakesInTheCommandLine(arguments: [String]) throws {
    let output = try home.ra(arguments)
    expectRefusal(output)
    // Before anything is looked at.
    #expect(!output.standardError.contains("no session"))
  }

  @Test func questionsWithoutText() throws {
    expectRefusal(try home.ra(["ask", "--session", "note"], input: " \n"), "question is empty")
    expectRefusal(try home.ra(["ask", "--session", "note", " "]), "question is empty")
    expectRefusal(try home.ask("note", "What?", ["--max-tokens", "9000"]), "8192")
  }
}

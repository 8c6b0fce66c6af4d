// Questions about documents, without naming a session.

import Foundation
import Testing

@Suite(.serialized) struct AskTests {
  let home: SessionHome
  let contracts: String

  /// Contracts of three persons in a folder.
  init() throws {
    home = try SessionHome()
    contracts = home.folder.url("contracts").path
    try FileManager.default.createDirectory(atPath: contracts, withIntermediateDirectories: true)
    for (name, salary, place) in [
      ("anna", 3100, "Berlin"), ("boris", 2700, "Sofia"), ("clara", 4250, "Lyon"),
    ] {
      try write(name, salary, place)
    }
  }

  private func write(_ name: String, _ salary: Int, _ place: String) throws {
    let text = """
      EMPLOYMENT CONTRACT
      The employee works in the office of \(place).
      The monthly salary is \(salary) euros, paid on the last day of the month.
      The contract begins on the first of May and can be ended with three months of notice.

      """
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(contracts)/contract-\(name).txt"))
  }

  private func ask(_ words: [String], _ arguments: [String] = [], input: String = "") throws -> Output {
    let output = try home.ra(
      ["ask", "-t", "1", "--max-tokens", "16", "--model", try Program.model()] + arguments + words,
      input: input)
    #expect(output.status == 0, "\(output.standardError)")
    return output
  }

  private func cached() throws -> [[String: Any]] {
    try #require(try home.json(["session", "list", "--cache"])["sessions"] as? [[String: Any]])
  }

  @Test func namesReachTheModelAndTheSecondQuestionFindsTheSession() throws {
    let first = try ask([contracts, "What is the monthly salary in contract-boris.txt?"])
    #expect(first.standardOutput.contains("2700"))
    #expect(first.standardError.contains("reading contract-anna.txt and 2 others: "))
    let second = try ask([contracts, "What is the monthly salary in contract-clara.txt?"])
    #expect(second.standardOutput.contains("4250"))
    #expect(second.standardError.contains("nothing to read again"))
    let sessions = try cached()
    #expect(sessions.count == 1)
    let documents = try #require(sessions[0]["documents"] as? [[String: Any]])
    #expect(
      documents.map { $0["name"] as? String } == [
        "contract-anna.txt", "contract-boris.txt", "contract-clara.txt",
      ])
    // By its name like any other.
    let name = try #require(sessions[0]["name"] as? String)
    #expect(try home.ra(["session", "verify", name]).status == 0)
    // Other settings are another session, and none at all leaves none.
    #expect(
      try ask([contracts, "Who?"], ["--system", "Be brief."]).standardError.contains("reading contract-anna"))
    #expect(try cached().count == 2)
    #expect(
      try ask([contracts, "Who?"], ["--no-session", "--sink", "64"]).standardError.contains(
        "reading contract-anna"))
    #expect(try cached().count == 2)
    let pruned = try home.ra(["session", "prune"])
    #expect(pruned.standardOutput == "0 sessions of documents left, 0 B\n")
    #expect(try cached().isEmpty)
  }

  /// A number that a line of standard error has in front of a word.
  private func number(_ output: Output, before word: String) throws -> Int {
    let found = try Regex("([0-9]+) \(word)").firstMatch(in: output.standardError)
    let match = try #require(found, "\(output.standardError)")
    let digits = try #require(match.output[1].substring)
    return try #require(Int(digits))
  }

  @Test func aChangedFileIsReadFromTheDifferenceOn() throws {
    let whole = try number(try ask([contracts, "Who?"], ["--stats"]), before: "tokens read in")
    try write("clara", 4300, "Lyon")
    let changed = try ask([contracts, "What is the monthly salary in contract-clara.txt?"], ["--stats"])
    #expect(changed.standardError.contains("reading contract-clara.txt again from the first difference on"))
    // What the last document has behind its first half.
    let again = try number(changed, before: "tokens read in")
    #expect(again > 10 && again < whole / 3)
    #expect(changed.standardOutput.contains("4300"))
    #expect(try cached().count == 1)
    #expect(try ask([contracts, "Who?"]).standardError.contains("nothing to read again"))
    // Exactly what reading everything anew gives.
    let question = "Where does the employee of contract-clara.txt work?"
    #expect(
      try ask([contracts, question]).standardOutput
        == ask([contracts, question], ["--no-session"]).standardOutput)
    // More documents go on from a copy.
    try write("doris", 5000, "Rome")
    let more = try ask([contracts, "Who?"])
    #expect(more.standardError.contains("reading contract-doris.txt behind what is known"))
    #expect(try cached().count == 2)
  }

  @Test func questionsFromElsewhereAndDocumentsFromPipes() throws {
    let file = "\(contracts)/contract-anna.txt"
    #expect(try ask([file], input: "What is the monthly salary?\n").standardOutput.contains("3100"))
    let piped = try ask(["-", "What is the monthly salary?"], input: "The monthly salary is 3150 euros.\n")
    #expect(piped.standardOutput.contains("3150"))
    #expect(piped.standardError.contains("reading standard input: "))
    let question = try home.folder.file("question.txt", Data("Where?".utf8))
    #expect(
      try ask([contracts], ["--question-file", question, "--json"]).standardOutput.contains(
        "\"documentTokensRead\""))
  }

  @Test func mistakes() throws {
    func refusal(_ arguments: [String], _ part: String) throws {
      let output = try home.ra(["ask", "--model", "/nowhere.gguf"] + arguments)
      expectRefusal(output, part)
      #expect(!output.standardError.contains("/nowhere.gguf"), "\(output.standardError)")
    }
    let file = "\(contracts)/contract-anna.txt"
    try refusal(["What?"], "name documents in front of the question")
    try refusal([file, "what", "is", "it"], "'what'; a question of several words needs quotes")
    try refusal([file], "the question is empty")
    try refusal(["/nowhere.txt", "What?"], "/nowhere.txt")
    try refusal(["-s", "book", file, "What?"], "ra ingest --add")
    try refusal(["-s", "book", "What?", "--sink", "3"], "--sink belongs to documents")
    try refusal([file, "What?", "--keep"], "--keep needs --session")
    try refusal([file, "What?", "--include", "[x"], "'[x' has a '[' that does not end")
  }

  @Test func addingToASessionAndReadingItAgain() throws {
    let files = ["anna", "boris", "clara"].map { "\(contracts)/contract-\($0).txt" }
    #expect(try home.ingest("team", [files[0]]).status == 0)
    let added = try home.ra(["ingest", "-t", "1", "-s", "team", "--add", files[1], files[2]])
    #expect(added.status == 0, "\(added.standardError)")
    #expect(try home.ingest("whole", files).status == 0)
    let (team, whole) = (try home.show("team"), try home.show("whole"))
    #expect(team["tokenCount"] as? Int == whole["tokenCount"] as? Int)
    #expect(team["documents"] as? [NSDictionary] == whole["documents"] as? [NSDictionary])
    let question = "What is the monthly salary in contract-boris.txt?"
    #expect(try home.ask("team", question).standardOutput == home.ask("whole", question).standardOutput)
    #expect(
      try home.ra(["ingest", "-t", "1", "-s", "team", "--update"]).standardError.contains(
        "nothing has changed"))
    try write("boris", 2750, "Sofia")
    let updated = try home.ra(["ingest", "-t", "1", "-s", "team", "--update"])
    #expect(updated.status == 0)
    #expect(updated.standardError.contains("again"))
    #expect(try home.ask("team", question, ["--max-tokens", "20"]).standardOutput.contains("2750"))
    #expect(try home.ra(["session", "verify", "team"]).status == 0)
  }
}

extension AskTests {
  /// Commands of a conversation, each message a line.
  @Test func conversationsGoBackAndRead() throws {
    let lines = [
      "/stats", "What is the monthly salary in contract-anna.txt?", "/undo", "/stats",
      "/read \(contracts)/contract-boris.txt", "What is the monthly salary in contract-boris.txt?", "/retry",
      "/read \(contracts)/contract-clara.txt", "What is the monthly salary in contract-clara.txt?", "/clear",
      "/undo",
      "/rety",
    ]
    let output = try home.ra(
      [
        "chat", "-t", "1", "--max-tokens", "20", "--model", try Program.model(),
        "\(contracts)/contract-anna.txt",
      ], input: lines.joined(separator: "\n") + "\n")
    #expect(output.status == 0, "\(output.standardError)")
    let answers = output.standardOutput
    #expect(answers.contains("3100") && answers.contains("4250"))
    #expect(answers.split(separator: "\n").filter { $0.contains("2700") }.count == 2)
    let told = output.standardError
    let counts = told.matches(of: #/context +(\d+) tokens, 0 turns now/#).map(\.1)
    #expect(counts.count == 2 && counts[0] == counts[1], "\(told)")
    for part in [
      "took back: What is the monthly salary in contract-anna.txt?", "reading contract-boris.txt: ",
      "contract-clara.txt will be read with the next message", "back to the beginning of this run: ",
      "nothing was said in this run", "did you mean /retry?",
    ] { #expect(told.contains(part), "\(part)") }
  }
}

/// The model that is used when none is named.
@Suite(.serialized) struct ModelDefaultTests {
  private func run(_ environment: [String: String], _ arguments: [String] = []) throws -> Output {
    try Program.run(
      ["generate", "--prompt", "Hi", "--max-tokens", "1"] + arguments, environment: environment)
  }

  @Test func environmentConfigurationAndFolder() throws {
    let folder = try TemporaryFolder()
    let models = folder.url("models").path
    try FileManager.default.createDirectory(atPath: models, withIntermediateDirectories: true)
    expectRefusal(try run(["RA_MODELS": models]), "no model is named and none is in \(models)", "RA_MODEL")
    expectRefusal(try run(["RA_MODEL": "/nowhere/a.gguf", "RA_MODELS": models]), "/nowhere/a.gguf")
    try FileManager.default.createSymbolicLink(
      atPath: models + "/small.gguf", withDestinationPath: Program.model())
    #expect(try run(["RA_MODELS": models]).status == 0)
    try Data().write(to: URL(fileURLWithPath: models + "/other.gguf"))
    expectRefusal(try run(["RA_MODELS": models]), "there are several", "other.gguf", "small.gguf")
    let config = folder.url("config").path
    try FileManager.default.createDirectory(atPath: config + "/ra", withIntermediateDirectories: true)
    func configure(_ text: String) throws {
      try Data(text.utf8).write(to: URL(fileURLWithPath: config + "/ra/config"))
    }
    try configure("# mine\nmodel = \"\(try Program.model())\"\nthreads=1\n")
    #expect(try run(["XDG_CONFIG_HOME": config, "RA_MODELS": models]).status == 0)
    expectRefusal(try run(["XDG_CONFIG_HOME": config, "RA_MODEL": "/nowhere/a.gguf"]), "/nowhere/a.gguf")
    for (text, part) in [
      ("modle = x", "line 1: there is no key 'modle'; did you mean 'model'?"), ("\nmodel", "line 2"),
      ("threads = 0", "threads is 0"), ("session-cache = big", "session-cache is big"),
      ("model =", "'key = value'"),
    ] {
      try configure(text)
      expectRefusal(try run(["XDG_CONFIG_HOME": config]), part)
    }
  }
}

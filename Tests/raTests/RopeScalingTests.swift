// Contexts beyond what a model was trained for: refused with what to give, told of, kept by sessions.

import Foundation
import Testing

@Suite(.serialized) struct RopeScalingTests {
  private func generate(_ arguments: [String]) throws -> Output {
    try Program.generate(["--prompt", "What is the capital of France?"] + arguments)
  }

  @Test func `Options that do not go together are refused`() throws {
    expectRefusal(try generate(["--rope-scale", "2"]), "--rope-scale", "--rope-scaling")
    expectRefusal(try generate(["--rope-scaling", "yarn"]), "--rope-scale")
    expectRefusal(try generate(["--rope-scaling", "none", "--rope-scale", "2"]), "none")
    expectRefusal(try generate(["--rope-scaling", "yarn", "--rope-scale", "0.5"]), "0.5", "1024")
    expectRefusal(
      try generate(["--rope-scaling", "linear", "--rope-scale", "2", "--yarn-orig-ctx", "64"]), "yarn")
    expectRefusal(
      try generate(["--rope-scaling", "yarn", "--rope-scale", "2", "--yarn-orig-ctx", "0"]), "positive")
  }

  @Test func `A context that is too long is refused with the scale that would do`() throws {
    expectRefusal(
      try generate(["--max-tokens", "20000"]), "8192", "--rope-scaling yarn --rope-scale 3",
      "--allow-beyond-context")
    expectRefusal(
      try generate(["--max-tokens", "20000", "--rope-scaling", "yarn", "--rope-scale", "2"]), "16384",
      "scaled",
      "--rope-scale 3")
  }

  @Test func `A context beyond the training is told of`() throws {
    // One word: room for 9,000 tokens is asked for, and not needed.
    let folder = try TemporaryFolder()
    let grammar = try folder.file("grammar", Data(#"root ::= "Paris""#.utf8))
    let long = ["--max-tokens", "9000", "--grammar", grammar]
    let scaled = try generate(long + ["--rope-scaling", "yarn", "--rope-scale", "2"])
    #expect(scaled.status == 0, "\(scaled.standardError)")
    #expect(scaled.standardOutput == "Paris\n")
    let warnings = scaled.standardError.split(separator: "\n").filter { $0.hasPrefix("warning: ") }
    #expect(warnings.count == 1)
    #expect(warnings.first?.contains("yarn by 2.0 from 8192 tokens") == true)
    let beyond = try generate(long + ["--allow-beyond-context"])
    #expect(beyond.standardError.contains("warning: "))
    #expect(beyond.standardError.contains("--rope-scaling yarn --rope-scale 2"))
    #expect(try !generate(["--max-tokens", "100", "--grammar", grammar]).standardError.contains("warning: "))
  }

  @Test func `A session keeps its scaling, and refuses others`() throws {
    let home = try SessionHome()
    let yarn = ["--rope-scaling", "yarn", "--rope-scale", "2"]
    let made = try home.ingest("scaled", yarn + ["--document", home.note])
    #expect(made.status == 0, "\(made.standardError)")
    let shown = try home.show("scaled")
    #expect((shown["ropeScaling"] as? [String: Any])?["factor"] as? Double == 2)
    #expect(try home.ask("scaled", "What is the password?").status == 0)
    #expect(try home.ask("scaled", "What is the password?", yarn).status == 0)
    expectRefusal(
      try home.ask("scaled", "What is the password?", ["--rope-scaling", "linear", "--rope-scale", "4"]),
      "yarn by 2.0 from 8192 tokens", "linear by 4.0")
    let plain = try home.ingest("plain", ["--document", home.note])
    #expect(plain.status == 0, "\(plain.standardError)")
    expectRefusal(try home.ask("plain", "What is the password?", yarn), "the file's own", "yarn by 2.0")
  }
}

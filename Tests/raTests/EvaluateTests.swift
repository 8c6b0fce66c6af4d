// ra evaluate and ra tune as a user meets them: mistakes first, then one small run from end to end.

import Foundation
import Testing

@Suite(.serialized) struct EvaluateTests {
  @Test(arguments: [
    (["--tasks", "magic"], "magic"), (["--tasks", ","], "--tasks"), (["--lengths", "x"], "--lengths"),
    (["--lengths", "0"], "--lengths"), (["--lengths", "9223372036854775807"], "--lengths"),
    (["--attention", "nothing"], "nothing"), (["--attention", "retrieval:x=1"], "no setting 'x'"),
    (["--attention", "retrieval:tolerance=-1"], "tolerance"), (["--samples", "0"], "--samples"),
    (["--questions", "0"], "--questions"), (["--fidelity-tokens=-1"], "--fidelity-tokens"),
    (["--seed=-1"], "--seed"), (["--task-file", "/nowhere.jsonl"], "/nowhere.jsonl"),
    (["--tasks", "none", "--fidelity-tokens", "0"], "--tasks none"),
  ])
  func optionsOutOfRange(arguments: [String], part: String) throws {
    let output = try Program.run(
      ["evaluate", "--model", "/nowhere.gguf", "--report", "/nowhere/report"] + arguments)
    expectRefusal(output, part)
    #expect(!output.standardError.contains("/nowhere.gguf"))
  }

  @Test(arguments: [
    (["--context", "0"], "--context"), (["--tokens", "0"], "--tokens"), (["--group", "0"], "--group"),
    (["--target-kl", "0"], "--target-kl"), (["--target-kl", "nan"], "--target-kl"),
    (["--tolerance", "0"], "--tolerance"),
    (["--profile", "/nowhere.json"], "/nowhere.json"),
  ])
  func tuneOptionsOutOfRange(arguments: [String], part: String) throws {
    expectRefusal(
      try Program.run(
        ["tune", "--model", "/nowhere.gguf", "--text", "/nowhere.txt", "--output", "/nowhere.json"]
          + arguments), part)
  }

  @Test func profilesThatAreNone() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("profile.json", Data("{}".utf8))
    expectRefusal(
      try Program.run(["generate", "--model", "/nowhere.gguf", "--prompt", "x", "--profile", path]),
      "profile.json")
    // Of another model: one layer instead of thirty.
    let other = """
      {"version": 2, "model": "m", "sinkCount": 64, "windowCount": 128, "layerTolerances": [0.1], \
      "targetKL": 0.1, "calibration": {"text": "t", "context": 1, "tokens": 1, "uniformKL": 1, \
      "uniformBytes": 1, "profileKL": 1, "profileBytes": 1}}
      """
    expectRefusal(
      try Program.generate(
        ["--prompt", "x", "--max-tokens", "1", "--profile", try folder.file("other.json", Data(other.utf8))]),
      "30 layers")
    let old = try folder.file("old.json", Data(other.replacingOccurrences(of: ": 2,", with: ": 1,").utf8))
    expectRefusal(
      try Program.generate(["--prompt", "x", "--max-tokens", "1", "--profile", old]), "version is 1, not 2")
  }

  @Test func aSmallRunAndItsReport() throws {
    let folder = try TemporaryFolder()
    let words = (0..<1500).map { "word\($0)" + ($0 % 9 == 0 ? "." : "") }.joined(separator: " ")
    let filler = try folder.file("filler.txt", Data(words.utf8))
    let report = folder.url("report").path
    let arguments = [
      "evaluate", "--model", try Program.model(), "--threads", "1", "--tasks", "passkey", "--lengths", "300",
      "--attention", "exact", "--samples", "1", "--fidelity-tokens", "4", "--filler", filler, "--report",
      report,
    ]
    let first = try Program.run(arguments + ["--json"])
    #expect(first.status == 0, "\(first.standardError)")
    let summary = try #require(
      try JSONSerialization.jsonObject(with: Data(first.standardOutput.utf8)) as? [String: Any])
    let rows = try #require(summary["rows"] as? [[String: Any]])
    #expect(rows.count == 1 && rows[0]["meanKL"] as? Double == 0)
    let page = try String(contentsOfFile: report + "/report.html", encoding: .utf8)
    #expect(page.contains("passkey"))
    // The second run finds everything done; a damaged file is refused, and left alone.
    let second = try Program.run(arguments)
    #expect(second.status == 0 && second.standardOutput.contains("passkey"))
    let results = URL(fileURLWithPath: report + "/results.jsonl")
    let damaged = Data("nonsense\n".utf8)
    try damaged.write(to: results)
    expectRefusal(try Program.run(arguments), "results.jsonl", "line 1")
    #expect(try Data(contentsOf: results) == damaged)
    expectRefusal(try Program.run(arguments + ["--filler", "/nowhere.txt"]), "/nowhere.txt")
  }
}

// `ra attention list` and the refusals of --attention.

import Foundation
import Testing

@Suite struct AttentionTests {
  @Test func listNamesEveryPolicyWithItsSettings() throws {
    let output = try Program.run(["attention", "list"])
    #expect(output.status == 0)
    #expect(output.standardError.isEmpty)
    for text in [
      "retrieval (arXiv 2409.10516)", "quest (arXiv 2406.10774)", "page=16", "1...65536", "max|mean",
    ] {
      #expect(output.standardOutput.contains(text), "\(text)")
    }
    let one = try Program.run(["attention", "list", "hip"])
    #expect(one.standardOutput.hasPrefix("hip ") && !one.standardOutput.contains("quest"))
  }

  @Test func listIsWrittenAsJSON() throws {
    let output = try Program.run(["attention", "list", "--json"])
    let object = try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8))
    let policies = try #require(object as? [[String: Any]])
    #expect(policies.count == 16)
    let quest = try #require(policies.first { $0["name"] as? String == "quest" })
    #expect(Set(quest.keys) == ["name", "summary", "paper", "tradeOff", "parameters"])
    let page = try #require((quest["parameters"] as? [[String: Any]])?.first)
    #expect(page["name"] as? String == "page")
    #expect(page["default"] as? String == "16")
    #expect(page["allowed"] as? String == "1...65536")
  }

  @Test(arguments: [
    (["attention", "list", "magic"], "magicpig"),
    (["generate", "--model", "m", "--attention", "magic"], "there is no attention 'magic'"),
    (["generate", "--model", "m", "--attention", "magic"], "host"),
    (["generate", "--model", "m", "--attention", "quest:pages=3"], "page, budget, dense"),
    (
      ["fidelity", "--model", "m", "--text", "t", "--context", "9", "--attention", "quest:page=0"],
      "1...65536"
    ),
    (
      ["fidelity", "--model", "m", "--text", "t", "--context", "9", "--attention", "flat", "--also", "0.1"],
      "--also"
    ),
    (["generate", "--model", "m", "--attention", "flat", "--sink", "3"], "--sink belongs to"),
    (["bench", "decode", "--model", "m", "--attention", "exact,quest:page=16,budget=0"], "budget"),
    (["bench", "decode", "--model", "m", "--attention", "exact,,host"], "there is no attention ''"),
  ])
  func mistakesAreRefusedBeforeAnyWork(arguments: [String], part: String) throws {
    let output = try Program.run(arguments)
    #expect(output.status != 0)
    #expect(output.standardOutput.isEmpty)
    #expect(output.standardError.contains(part), "\(output.standardError)")
  }
}

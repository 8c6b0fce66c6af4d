// Small runs that succeed: what goes where.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct GenerateTests {
  @Test func textAndStatisticsGoToTheirPlaces() throws {
    let output = try Program.generate([
      "--prompt", "What is the capital of France? Answer with its name.", "--max-tokens", "6",
    ])
    #expect(output.status == 0)
    #expect(output.standardOutput.contains("capital"))
    #expect(output.standardOutput.hasSuffix("\n"))
    #expect(!output.standardOutput.contains("tokens"))
    for part in ["tokens read in", "6 tokens written at", "was cut after 6 tokens", "--max-tokens"] {
      #expect(output.standardError.contains(part), "\(part)")
    }
    #expect(!output.standardError.contains("tokens/s"))
    let quiet = try Program.generate(["--prompt", "Say yes.", "--max-tokens", "2", "-q"])
    #expect(
      quiet.standardError == "The answer was cut after 2 tokens; a larger --max-tokens lets it go on.\n")
    let all = try Program.generate(["--prompt", "Say yes.", "--max-tokens", "4", "--stats"])
    for part in ["attention", "retrieval", "prefill", "decode", "tokens/s", "memory"] {
      #expect(all.standardError.contains(part), "\(part)")
    }
  }

  /// Also where only a program reads the answer.
  @Test func ratesOfReadingAreKept() throws {
    let home = try SessionHome()
    let text = try home.folder.file("text.txt", Data(TestText.read("alice.txt", characters: 3000).utf8))
    let output = try home.ra([
      "generate", "--model", try Program.model(), "--document", text, "--prompt", "Who?", "--max-tokens", "1",
      "--json", "--quiet",
    ])
    #expect(output.status == 0 && output.standardError.isEmpty, "\(output.standardError)")
    let rates = try Data(contentsOf: home.folder.url("cache/ra/reading-rates.json"))
    #expect((try JSONSerialization.jsonObject(with: rates) as? [String: Any])?.count == 1)
  }

  @Test func templatesAndSystemMessages() throws {
    let folder = try TemporaryFolder()
    func file(_ source: String) throws -> String {
      let url = folder.url("template.jinja")
      try Data(source.utf8).write(to: url)
      return url.path
    }
    func tokens(_ arguments: [String]) throws -> Int {
      let output = try Program.generate(["--prompt", "Hello", "--max-tokens", "1", "--json"] + arguments)
      #expect(output.status == 0, "\(output.standardError)")
      let object = try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8)) as? [String: Any]
      return try #require(object?["promptTokens"] as? Int)
    }
    func failure(_ arguments: [String]) throws -> String {
      let output = try Program.generate(["--prompt", "Hello", "--max-tokens", "1"] + arguments)
      #expect(output.status != 0)
      return output.standardError
    }
    let bare = try file("{{ messages[-1].content }}{{ ' x' * count }}")
    let short = try tokens(["--chat-template", bare, "--chat-template-kwargs", #"{"count": 1}"#])
    #expect(try tokens(["--chat-template", bare, "--chat-template-kwargs", #"{"count": 9}"#]) == short + 8)
    // The template's own system message is longer than this one.
    let own = try tokens([])
    #expect(try tokens(["--chat-template", "chatml"]) < own)
    #expect(own > 20)
    #expect(try (10..<own).contains(tokens(["--system", "Be brief."])))
    for (arguments, part) in [
      (["--chat-template", try file("{{ broken")], "--chat-template"),
      (["--chat-template", folder.url("nothing").path], "nothing"),
      (["--chat-template", "llama9"], "no chat template \"llama9\", but chatml"),
      (["--chat-template-kwargs", "[]"], "--chat-template-kwargs is '[]'"),
      (["--system", "x", "--raw"], "Give --system or --raw"),
    ] {
      #expect(try failure(arguments).contains(part))
    }
  }

  @Test func keysAndValuesInEightBitsTakeHalf() throws {
    func store(_ arguments: [String]) throws -> (bytes: Int, text: String?) {
      let output = try Program.generate(
        ["-t", "1", "--max-tokens", "4", "--json", "--raw"] + arguments, input: "One, two, three, four,")
      #expect(output.status == 0, "\(output.standardError)")
      let object = try #require(
        try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8)) as? [String: Any])
      let memory = try #require(object["memory"] as? [String: Any])
      return (try #require(memory["store"] as? Int), object["text"] as? String)
    }
    let whole = try store([])
    let half = try store(["--kv-type", "q8"])
    #expect(half.bytes * 260 == whole.bytes * 140)
    #expect(half.text == whole.text)
    #expect(try store(["--kv-type", "q8,f16"]).bytes * 260 == whole.bytes * 200)
  }

  @Test(arguments: ["retrieval", "exact", "host"])
  func jsonHasTheDocumentedFields(attention: String) throws {
    let output = try Program.generate(
      ["--max-tokens", "3", "--attention", attention, "--json", "--raw"], input: "One, two, three,")
    #expect(output.status == 0)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8)) as? [String: Any])
    let common: Set = [
      "text", "stopReason", "attention", "seed", "promptTokens", "generatedTokens", "prefillSeconds",
      "prefillTokensPerSecond", "decodeTokensPerSecond", "indexSeconds", "memory", "devices", "drafts",
    ]
    let reads: Set = ["keysRead", "keysReadWithStatic", "bytesPerToken"]
    #expect(Set(object.keys) == (attention == "host" ? common : common.union(reads)))
    #expect((object["devices"] as? [Any])?.isEmpty == true, "all layers are on the CPU")
    #expect(object["attention"] as? String == attention)
    #expect(object["generatedTokens"] as? Int == 3)
    #expect(object["stopReason"] as? String == "length")
    #expect((object["text"] as? String)?.isEmpty == false)
    #expect(!output.standardError.contains("tokens/s"), "statistics are in the document")
  }
}

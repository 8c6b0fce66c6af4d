// Small runs that succeed: what goes where.

import Foundation
import Testing

@Suite(.serialized) struct GenerateTests {
  @Test func textAndStatisticsGoToTheirPlaces() throws {
    let output = try Program.generate(["--prompt", "What is the capital of France?", "--max-tokens", "6"])
    #expect(output.status == 0)
    #expect(output.standardOutput.contains("capital"))
    #expect(output.standardOutput.hasSuffix("\n"))
    #expect(!output.standardOutput.contains("tokens/s"))
    for part in ["attention", "retrieval", "prefill", "decode", "tokens/s", "memory"] {
      #expect(output.standardError.contains(part), "\(part)")
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
      "prefillTokensPerSecond", "decodeTokensPerSecond", "indexSeconds", "memory", "devices",
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

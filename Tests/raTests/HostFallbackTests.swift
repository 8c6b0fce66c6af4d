// A model without attention that could be taken over: every command that can runs it, and says why.

import Foundation
import Testing

@Suite(.serialized) struct HostFallbackTests {
  private let folder: TemporaryFolder
  private let model: String
  private static let reason = "llama.cpp's own attention is used: the model is recurrent"

  init() throws {
    folder = try TemporaryFolder()
    model = folder.url("mamba.gguf").path
    try Data(TinyModel.mamba(context: 512).build()).write(to: URL(fileURLWithPath: model))
  }

  private func ra(_ arguments: [String], input: String = "") throws -> Output {
    try Program.run(arguments + ["--model", model, "-t", "1"], input: input)
  }

  @Test func generate() throws {
    let output = try ra(["generate", "--prompt", "abc", "--max-tokens", "4", "--json"])
    #expect(output.status == 0, "\(output.standardError)")
    #expect(output.standardError.contains(Self.reason))
    #expect(output.standardOutput.contains("\"attention\" : \"host\""))
    expectRefusal(try ra(["generate", "--prompt", "abc", "--attention", "retrieval"]), "recurrent")
    expectRefusal(try ra(["generate", "--prompt", "abc", "--window", "64"]), "recurrent")
  }

  @Test func chat() throws {
    let output = try ra(["chat", "--max-tokens", "4"], input: "one\n/stats\n/save x\ntwo\n")
    #expect(output.standardError.contains(Self.reason))
    #expect(output.standardError.contains("llama.cpp's own attention\n"))
    #expect(output.standardError.contains("cannot be saved"))
    let refused = try ra(
      ["chat", "--session", folder.url("session").path, "--max-tokens", "4"], input: "one\n")
    expectRefusal(refused, "recurrent")
    #expect(!FileManager.default.fileExists(atPath: folder.url("session").path))
  }

  @Test func serve() throws {
    let server = try ServedProgram(["--context", "256"], model: model)
    let body = Array(#"{"prompt": "abc", "max_tokens": 3, "temperature": 0}"#.utf8)
    #expect(try server.send("POST", "/v1/completions", body: body) == 200)
    #expect(try server.send("POST", "/v1/sessions", body: Array(#"{"text": "abc"}"#.utf8)) == 501)
    server.signal(SIGTERM)
    #expect(server.status(withinSeconds: 20) == 0)
    expectRefusal(try ra(["serve", "--port", "0", "--attention", "retrieval"]), "recurrent")
    expectRefusal(
      try ra(["serve", "--port", "0", "--attention", "host", "--session", "x"]), "keeps no sessions")
  }

  @Test func benchAndEvaluate() throws {
    let bench = try ra(["bench", "decode", "--depth", "16", "--tokens", "4", "--rounds", "1", "--json"])
    #expect(bench.status == 0, "\(bench.standardError)")
    #expect(bench.standardError.contains(Self.reason))
    expectRefusal(try ra(["bench", "decode", "--depth", "16", "--attention", "exact"]), "recurrent")
    expectRefusal(
      try ra([
        "capture", "--text", TestText.path("alice.txt"), "--context", "16", "--layers", "0", "--output",
        folder.url("c").path,
      ]), "recurrent")
  }
}

// Bad input from the outside: an exit code and one sentence, never a crash.

import Foundation
import Testing

@Suite(.serialized) struct RefusalTests {
  private func generate(model: String) throws -> Output {
    try Program.run(["generate", "--model", model, "--prompt", "Hi", "--max-tokens", "1"])
  }

  @Test func modelsThatAreNone() throws {
    let folder = try TemporaryFolder()
    expectRefusal(try generate(model: "/nowhere/model.gguf"), "/nowhere/model.gguf")
    expectRefusal(try generate(model: folder.url(".").path), "directory")
    expectRefusal(try generate(model: try folder.file("empty.gguf", Data())), "empty")
    let text = try folder.file("text.gguf", Data("This is not a model at all.\n".utf8))
    expectRefusal(try generate(model: text), "not a GGUF file")
    expectRefusal(try generate(model: ""), "no file")
  }

  @Test func truncatedModels() throws {
    let folder = try TemporaryFolder()
    let whole = try FileHandle(forReadingFrom: URL(fileURLWithPath: try Program.model()))
    let start = try #require(try whole.read(upToCount: 1 << 20))
    expectRefusal(try generate(model: try folder.file("header.gguf", start)), "header.gguf")
    expectRefusal(try generate(model: try folder.file("tiny.gguf", start.prefix(20))), "tiny.gguf")
    // Cut in the tensors' data; the rest of the file is there as a hole would be: not at all.
    let rest = try #require(try whole.read(upToCount: 40 << 20))
    expectRefusal(try generate(model: try folder.file("data.gguf", start + rest)), "data.gguf", "truncated")
  }

  @Test func documentsThatAreNoText() throws {
    let folder = try TemporaryFolder()
    let binary = try folder.file("a.bin", Data([0x61, 0x62, 0x63, 0x00, 0xFF]))
    expectRefusal(try Program.generate(["--prompt", "x", "--document", binary]), "a.bin", "offset 3")
    expectRefusal(try Program.generate(["--prompt", "x", "--document", "/nowhere.txt"]), "/nowhere.txt")
    expectRefusal(try Program.generate(["--prompt-file", folder.url(".").path]), "directory")
    expectRefusal(try Program.generate([]), "prompt is empty")
    expectRefusal(try Program.generate(["--prompt", " \n"]), "prompt is empty")
    expectRefusal(try Program.generate(["--prompt", "x", "--prompt-file", binary]), "--prompt-file")
  }

  @Test(arguments: [
    ["--max-tokens", "0"], ["--max-tokens=-1"], ["--max-tokens", "-1"], ["--max-tokens", "x"],
    ["--max-tokens", "9223372036854775807"], ["--attention", "magic"], ["--threads", "0"], ["--sink=-1"],
    ["--sink", "9223372036854775807"], ["--window", "0"], ["--window", "9223372036854775807"],
    ["--cluster-size", "0"], ["--maximum-retrieved", "0"], ["--tolerance", "nan"], ["--tolerance=-1"],
    ["--temperature=-1"], ["--temperature", "nan"], ["--top-p", "2"], ["--seed=-1"], ["--no-such-flag"],
    ["--kv-type", "q4"], ["--kv-type", "q8,"], ["--kv-type", "q8", "--attention", "host"],
  ])
  func optionsOutOfRange(arguments: [String]) throws {
    let option = arguments[0].prefix { $0 != "=" }
    let output = try Program.run(["generate", "--model", "/nowhere.gguf", "--prompt", "x"] + arguments)
    // Before the model is looked at.
    expectRefusal(output)
    #expect(!output.standardError.contains("/nowhere.gguf"), "\(option)")
  }

  @Test(arguments: [
    (["--window", "0"], "--window is 0"), (["--cluster-size", "0"], "--cluster-size is 0"),
    (["--maximum-retrieved", "0"], "--maximum-retrieved is 0"), (["--tolerance=-1"], "--tolerance is -1"),
    (["--sink=-1"], "--sink is -1"),
  ])
  func settingsAreCalledByTheirOptions(arguments: [String], sentence: String) throws {
    expectRefusal(
      try Program.run(["generate", "--model", "/nowhere.gguf", "--prompt", "x"] + arguments), sentence)
  }

  @Test(arguments: [
    (["generat"], "did you mean 'generate'?"), (["session", "lst"], "did you mean 'list'?"),
    (["bench", "decdoe", "-m", "x"], "did you mean 'decode'?"), (["nonsense"], "no command 'ra nonsense'"),
    (["help", "generat"], "did you mean 'generate'?"), (["aks"], "did you mean 'ask'?"),
    (["help", "nosuch"], "no command 'ra nosuch'"), (["help", "bench", "sped"], "did you mean 'speed'?"),
  ])
  func mistypedCommands(arguments: [String], sentence: String) throws {
    let output = try Program.run(arguments)
    expectRefusal(output, sentence)
    // A mistake in the command line, as sysexits(3) numbers it.
    #expect(output.status == 64)
  }

  @Test func blankDocuments() throws {
    let folder = try TemporaryFolder()
    let blank = try folder.file("blank.txt", Data(" \n\t\n".utf8))
    expectRefusal(try Program.generate(["--prompt", "x", "--document", blank]), "blank.txt has no text")
  }

  /// A pipe that does not end, and a file that says how large it is.
  @Test func documentsWithoutEnd() throws {
    expectRefusal(try Program.generate(["--prompt", "x", "--document", "/dev/zero"]), "/dev/zero", "MB")
    let folder = try TemporaryFolder()
    let large = folder.url("large.txt").path
    try Data().write(to: folder.url("large.txt"))
    // A hole: it takes no place on the disk.
    #expect(truncate(large, 3 << 30) == 0)
    expectRefusal(
      try Program.generate(["--prompt", "x", "--document", large]), "large.txt has 3.0 GB of text")
  }

  @Test func memoryForKeysAndValues() throws {
    // 20 million tokens of 23 KB, and half as much in eight bits.
    let output = try Program.generate(
      ["--prompt", "x", "--max-tokens", "20000000", "--allow-beyond-context"])
    expectRefusal(output, "memory are available", "smaller model")
    #expect(!output.standardError.contains("q8"), "which would not fit either")
  }

  @Test func homeOfSessions() throws {
    let folder = try TemporaryFolder()
    let output = try Program.run(
      ["session", "list"], environment: ["HOME": folder.url("home").path, "XDG_DATA_HOME": ""])
    #expect(output.status == 0)
    #expect(output.standardError.contains(folder.url("home").path))
  }

  @Test func moreThanTheContextHolds() throws {
    // SmolLM2 was trained for 8192 tokens.
    expectRefusal(try Program.generate(["--prompt", "x", "--raw", "--max-tokens", "9000"]), "8192", "900")
    let folder = try TemporaryFolder()
    let long = try folder.file("long.txt", Data(String(repeating: "word and ", count: 6000).utf8))
    expectRefusal(try Program.generate(["--prompt", "x", "--document", long]), "8192")
    // More than any memory.
    expectRefusal(
      try Program.generate(["--prompt", "x", "--max-tokens", "2000000000", "--allow-beyond-context"]), "2000")
  }

  @Test(arguments: ["--context", "--tokens"], ["0", "-1", "9223372036854775807"])
  func fidelityCounts(option: String, value: String) throws {
    let other = option == "--context" ? "--tokens" : "--context"
    expectRefusal(
      try Program.run(
        ["fidelity", "--model", "/nowhere.gguf", "--text", "/nowhere.txt", "\(option)=\(value)", other, "8"]),
      option)
  }

  @Test func unknownLevel() throws {
    let output = try Program.run(
      ["generate", "--model", "/nowhere.gguf", "--prompt", "x"], environment: ["RA_SIMD_LEVEL": "nonsense"])
    expectRefusal(output, "nonsense", "scalar")
  }

  #if os(Linux)
    @Test func littleMemory() throws {
      // Enough for the model, but not for keys and values of so many tokens.
      expectRefusal(
        try Program.generate(
          ["--prompt", "x", "--max-tokens", "100000", "--allow-beyond-context"], addressSpace: 1_500_000),
        "address space")
    }
  #endif
}

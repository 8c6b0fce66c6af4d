// Models by name: fetched, listed, used.

import Foundation
import Generation
import Testing

@Suite(.serialized) struct ModelsTests {
  private let folder: TemporaryFolder
  private let models: String
  private var environment: [String: String] {
    ["RA_MODELS": models, "PIP_CONFIG_FILE": "/dev/null", "XDG_DATA_HOME": folder.url("data").path]
  }

  init() throws {
    folder = try TemporaryFolder()
    models = folder.url("models").path
  }

  private func ra(_ arguments: [String], _ more: [String: String] = [:]) throws -> Output {
    try Program.run(arguments, environment: environment.merging(more) { $1 })
  }

  private func list() throws -> [String: Any] {
    let output = try ra(["models", "--json"])
    #expect(output.status == 0 && output.standardError.isEmpty, "\(output.standardError)")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8)) as? [String: Any])
  }

  @Test func `A model is pulled, listed and found by its name`() throws {
    let tiny = TinyModel.llama(context: 256).build()
    let server = try FileServer { .file(Data(tiny), for: $0) }
    defer { server.stop() }
    let address = server.address + "/some/tiny.gguf"
    let pulled = try ra(["pull", address])
    #expect(pulled.status == 0, "\(pulled.standardError)")
    #expect(pulled.standardOutput == models + "/tiny.gguf\n")
    #expect(pulled.standardError.contains("--sha256"))
    #expect(try Data(contentsOf: URL(fileURLWithPath: models + "/tiny.gguf")) == Data(tiny))
    let again = try ra(["pull", address, "--json"])
    let report = try JSONSerialization.jsonObject(with: Data(again.standardOutput.utf8)) as? [String: Any]
    let file = try #require((report?["files"] as? [[String: Any]])?.first)
    #expect(file["wasHere"] as? Bool == true)
    #expect(file["check"] as? String == "size")
    #expect(report?["architecture"] as? String == "llama")

    let entries = try #require(try list()["models"] as? [[String: Any]])
    #expect(entries.count == 1)
    #expect(entries.first?["name"] as? String == "tiny")
    #expect(entries.first?["context"] as? Int == 256)
    #expect(entries.first?["attention"] as? String == "retrieval")
    #expect(entries.first?["answers"] as? String == "base")
    let text = try ra(["models"]).standardOutput
    for word in ["tiny", "llama", "retrieval", "base", "smollm2", "ra pull"] { #expect(text.contains(word)) }

    for name in ["tiny", "tiny.gguf", models + "/tiny.gguf"] {
      let output = try ra(["generate", "-m", name, "-t", "1", "--raw", "--max-tokens", "1", "--prompt", "x"])
      #expect(output.status == 0, "\(name): \(output.standardError)")
    }
    #expect(try ra(["doctor", "tiny", "-t", "1", "--depth", "64"]).standardOutput.contains("100,000"))
  }

  @Test func `What is no model is told and left out`() throws {
    try FileManager.default.createDirectory(atPath: models, withIntermediateDirectories: true)
    try Data("no".utf8).write(to: URL(fileURLWithPath: models + "/broken.gguf"))
    try Data(TinyModel.llada(context: 64).build()).write(to: URL(fileURLWithPath: models + "/llada.gguf"))
    let found = try list()
    #expect((found["problems"] as? [[String: Any]])?.count == 1)
    let entry = try #require((found["models"] as? [[String: Any]])?.first)
    #expect(entry["attention"] as? String == "no")
    #expect((entry["reason"] as? String)?.contains("diffusion") == true)
    let available = try #require(found["available"] as? [[String: Any]])
    #expect(available.contains { $0["name"] as? String == "smollm2" && $0["isHere"] as? Bool == false })
  }

  @Test func `Mistakes are refused with what to do`() throws {
    expectRefusal(try ra(["pull", "smolm2"]), "smolm2", "smollm2", "hf:")
    expectRefusal(try ra(["pull", "smollm2", "--sha256", "12"]), "--sha256", "64")
    expectRefusal(try ra(["pull", "ftp://host/x.gguf"]), "ftp://host/x.gguf")
    expectRefusal(
      try ra(["pull", "http://127.0.0.1:9/x.gguf"], ["PATH": folder.url("none").path]), "curl is needed")
    expectRefusal(try ra(["generate", "-m", "smollm2", "--prompt", "x"]), "ra pull smollm2")
    expectRefusal(try ra(["generate", "-m", "smolm2", "--prompt", "x"]), "smolm2")
    expectRefusal(try ra(["generate", "--prompt", "x"]), "ra pull")
    let page = try FileServer { .file(Data("<html></html>".utf8), for: $0) }
    defer { page.stop() }
    expectRefusal(try ra(["pull", page.address + "/x.gguf"]), "x.gguf", "GGUF")
    expectRefusal(
      try ra(["pull", page.address + "/x.gguf", "--sha256", String(repeating: "0", count: 64)]), "GGUF")
    expectRefusal(try ra(["pull", page.address + "/x"]), "--name")
  }

  @Test func `Ctrl-C keeps what has come, and the next run goes on`() throws {
    let body = modelBytes(400_000)
    let server = try FileServer { request in
      var response = FileServer.Response.file(body, mark: "\"a\"", for: request)
      // The rest comes for those who ask for it.
      if request.headers["range"] == nil { response.cut = 150_000 }
      if request.headers["range"] != nil { usleep(300_000) }
      return response
    }
    defer { server.stop() }
    let part = models + "/.parts/x.gguf.part"
    let program = try RunningProgram(
      ["pull", server.address + "/x.gguf"], environment: environment)
    try program.wait { (try? Data(contentsOf: URL(fileURLWithPath: part)).count) ?? 0 >= 150_000 }
    program.signal(SIGINT)
    let output = try program.finish()
    #expect(output.status == 130, "\(output.standardError)")
    #expect(output.standardError.contains("interrupted"))
    #expect(FileManager.default.fileExists(atPath: part))
    #expect(!FileManager.default.fileExists(atPath: models + "/x.gguf"))
    // It is no whole model, which is told when all of it is there.
    let again = try ra(["pull", server.address + "/x.gguf"])
    expectRefusal(again, "x.gguf")
    #expect(try Data(contentsOf: URL(fileURLWithPath: models + "/x.gguf")) == body)
    #expect(server.requests.last?.headers["range"] == "bytes=150000-")
  }

  @Test func `A profile is found by the file, told of and left out`() throws {
    let model = try Program.model()
    let profiles = folder.url("data").appending(path: "ra/profiles")
    try FileManager.default.createDirectory(at: profiles, withIntermediateDirectories: true)
    var profile = RetrievalProfile(
      model: "SmolLM2", sinkCount: 32, windowCount: 128, layerTolerances: [Float](repeating: 0.01, count: 30),
      targetKL: 0.01,
      calibration: .init(
        text: "a.txt", context: 10, tokens: 5, uniformKL: 0.01, uniformBytes: 100, profileKL: 0.01,
        profileBytes: 70, uniformBytesAtProfileKL: nil), validation: nil)
    profile.fingerprint = try ModelFingerprint.text(ofFile: model)
    try profile.json().write(to: profiles.appending(path: "own.json"))
    func note(_ arguments: [String]) throws -> Bool {
      let output = try ra(
        ["generate", "-m", model, "-t", "1", "--max-tokens", "1", "--prompt", "Hi"] + arguments)
      #expect(output.status == 0, "\(output.standardError)")
      return output.standardError.contains("as tuned for this model (\(profiles.path)/own.json)")
    }
    #expect(try note([]))
    for arguments in [
      ["--profile", "none"], ["--sink", "64"], ["--attention", "retrieval"], ["--attention", "exact"],
      ["--kv-type", "q8"], ["--rope-scaling", "yarn", "--rope-scale", "2"],
    ] { #expect(try !note(arguments), "\(arguments)") }
  }
}

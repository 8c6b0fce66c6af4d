// Devices from the command line, with no back end but the CPU's at hand, or a broken one.

import Foundation
import Testing

@Suite(.serialized) struct DevicesTests {
  private func environment(_ folder: TemporaryFolder) -> [String: String] {
    ["RA_BACKENDS": folder.url(".").path]
  }

  @Test func theCPUIsListed() throws {
    let folder = try TemporaryFolder()
    let output = try Program.run(["devices"], environment: environment(folder))
    #expect(output.status == 0)
    #expect(output.standardOutput.contains("CPU"))
    #expect(output.standardOutput.contains("scripts/bootstrap --backend"))
  }

  @Test func aBrokenBackEndIsListedWithItsReason() throws {
    let folder = try TemporaryFolder()
    let module = try folder.file("libggml-broken.so", Data("not a library".utf8))
    // Parts of an installed ggml lie in such folders too, and are no modules.
    _ = try folder.file("libggml-base.so", Data())
    let output = try Program.run(["devices", "--json"], environment: environment(folder))
    #expect(output.status == 0)
    struct List: Decodable {
      struct Device: Decodable { var name, backend, kind: String }
      struct Failure: Decodable { var path, reason: String }
      var devices: [Device]
      var failures: [Failure]
    }
    let list = try JSONDecoder().decode(List.self, from: Data(output.standardOutput.utf8))
    #expect(list.devices.map(\.kind) == ["cpu"])
    #expect(list.failures.count == 1)
    let failure = try #require(list.failures.first)
    #expect(failure.path.hasSuffix("libggml-broken.so"))
    #expect(failure.reason.contains("failed to load"))
    #expect(module.hasSuffix("libggml-broken.so"))
  }

  @Test func withoutADeviceTheCPUComputes() throws {
    let folder = try TemporaryFolder()
    _ = try folder.file("libggml-broken.so", Data("not a library".utf8))
    let output = try Program.run(
      [
        "generate", "--model", try Program.model(), "--prompt", "The capital of France is", "--raw",
        "--max-tokens", "2",
        "--gpu-layers", "all",
      ], environment: environment(folder))
    #expect(output.status == 0)
    #expect(output.standardError.contains("libggml-broken.so"))
    #expect(output.standardError.contains("going on with the CPU"))
    #expect(output.standardOutput.contains("Paris"))
  }

  @Test func refusesWhatIsNotThere() throws {
    let folder = try TemporaryFolder()
    func run(_ arguments: [String]) throws -> Output {
      try Program.run(
        ["generate", "--model", "/nowhere.gguf", "--prompt", "x"] + arguments,
        environment: environment(folder))
    }
    expectRefusal(try run(["--device", "Vulkan7"]), "Vulkan7")
    expectRefusal(try run(["--device", "CPU"]), "CPU")
    expectRefusal(try run(["--rpc", "127.0.0.1"]), "HOST:PORT")
    expectRefusal(try run(["--rpc", "127.0.0.1:1"]), "scripts/bootstrap --backend rpc")
    expectRefusal(try run(["--gpu-layers", "some"]), "--gpu-layers")
    expectRefusal(try run(["--gpu-layers=-1"]), "--gpu-layers")
    expectRefusal(try run(["--gpu-layers", "0", "--device", "Vulkan0"]), "--device")
    expectRefusal(try run(["--gpu-memory-limit", "much"]), "--gpu-memory-limit")
    expectRefusal(try Program.run(["devices", "--rpc", "x"], environment: environment(folder)), "HOST:PORT")
  }
}

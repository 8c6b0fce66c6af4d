// `ra bench speed`: the three files it writes, and what it refuses.

import Foundation
import Testing

@Suite struct BenchSpeedTests {
  @Test func reportHasEveryAttentionAndAPlot() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("ra-speed-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let output = try Program.run([
      "bench", "speed", "--model", Program.model(), "--depth", "0,64,128", "--period", "64", "--prefill",
      "48",
      "--tokens", "2", "--rounds", "2", "--report", folder.path, "-t", "1",
    ])
    #expect(output.status == 0, "\(output.standardError)")
    let table = try String(contentsOf: folder.appendingPathComponent("speed.md"), encoding: .utf8)
    #expect(output.standardOutput == table)
    for row in ["| 0 | host |", "| 64 | exact |", "| 128 (copies) | retrieval |", "| 48 | exact |"] {
      #expect(table.contains(row), "\(row)")
    }
    let data = try Data(contentsOf: folder.appendingPathComponent("speed.json"))
    let report = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
    let decode = try #require(report["decode"] as? [[String: Any]])
    #expect(decode.count == 9)
    #expect(decode.filter { $0["synthetic"] as? Bool == true }.count == 3)
    let prefill = try #require(report["prefill"] as? [[String: Any]])
    #expect(prefill.count == 4)
    #expect(prefill.allSatisfy { $0["rounds"] as? Int == 2 })
    let plot = try String(contentsOf: folder.appendingPathComponent("speed.svg"), encoding: .utf8)
    for name in ["host", "exact", "retrieval"] { #expect(plot.contains(">\(name) ")) }
    // A circle, a square and a triangle at each of two depths, and in the legend.
    #expect(plot.components(separatedBy: "<title>").count == 7)
  }

  @Test(arguments: [
    (["--depth=-1"], "--depth has -1"), (["--prefill", "8,-2"], "--prefill has -2"),
    (["--tokens", "0"], "--tokens is 0"), (["--period", "0"], "--period is 0"),
    (["--rounds", "0"], "--rounds is 0"),
  ])
  func valuesThatMakeNoSenseAreRefused(arguments: [String], message: String) throws {
    let output = try Program.run(
      ["bench", "speed", "--model", "missing.gguf", "--report", "/nowhere"] + arguments)
    #expect(output.status != 0)
    #expect(output.standardError.contains(message), "\(output.standardError)")
  }
}

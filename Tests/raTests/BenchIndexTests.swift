// `ra bench index` on small files: what it writes, and what it refuses. No model is needed.

import Foundation
import NumpyFile
import Testing

@Suite struct BenchIndexTests {
  private let folder: TemporaryFolder
  private let vectors: [String]

  init() throws {
    let folder = try TemporaryFolder()
    self.folder = folder
    let (d, rows) = (8, 200)
    func write(_ name: String, _ rowShape: [Int], count: Int) throws -> String {
      let writer = try NumpyWriter(path: folder.url(name).path, elementType: .float32, rowShape: rowShape)
      try writer.append((0..<count).map { Float($0 * 7919 % 31 - 15) / 8 })
      try writer.close()
      return writer.path
    }
    let positions = try NumpyWriter(path: folder.url("p.npy").path, elementType: .int32, rowShape: [])
    try positions.append([Int32](197..<200))
    try positions.close()
    vectors = [
      "--keys", try write("k.npy", [d], count: rows * d), "--values",
      try write("v.npy", [d], count: rows * d),
      "--queries", try write("q.npy", [3, d], count: 2 * 3 * d), "--query-positions", positions.path,
    ]
  }

  private func run(_ arguments: String...) throws -> Output {
    try Program.run(["bench", "index"] + arguments)
  }

  private func measure(_ arguments: String...) throws -> Output {
    try Program.run(
      ["bench", "index"] + vectors
        + [
          "--sink", "4", "--window", "16", "--recall-at", "5", "--k", "5,9", "--tolerance", "0", "--evict",
          "0",
        ]
        + arguments)
  }

  @Test func tableAndPlotAreWritten() throws {
    let plot = folder.url("plot.svg")
    let output = try measure("--plot", plot.path)
    #expect(output.status == 0, "\(output.standardError)")
    let rows = output.standardOutput.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    #expect(
      output.standardOutput.contains(
        "1 KV heads, 2 query heads each, dimension 8, 178 indexed rows, 3 queries"))
    #expect(rows.contains { $0.prefix(3) == ["exact", "1.000", "0.0000"] })
    #expect(rows.contains { $0.prefix(4) == ["exact-top-k", "k", "9", "1.000"] })
    #expect(rows.contains { $0.prefix(5) == ["clusters", "tolerance", "0", "1.000", "0.0000"] })
    #expect(try String(contentsOf: plot, encoding: .utf8).hasPrefix("<svg "))
  }

  @Test func resultsAreMergedIntoOthers() throws {
    let first = try measure("--json", "--index", "exact")
    let file = try folder.file("other.json", Data(first.standardOutput.utf8))
    let second = try measure("--json", "--index", "clusters", "--merge", file)
    let object = try JSONSerialization.jsonObject(with: Data(second.standardOutput.utf8)) as? [String: Any]
    let points = try #require(object?["points"] as? [[String: Any]])
    #expect(points.map { $0["index"] as? String } == ["clusters", "exact"])
    expectRefusal(try measure("--merge", file, "--window", "17"), "window 16, this one with 17")
    expectRefusal(try measure("--merge", "/nowhere/x.json"), "/nowhere/x.json")
  }

  @Test func mistakesInTheCommandLineAreRefused() throws {
    expectRefusal(try run(), "--capture is needed")
    expectRefusal(try run("--keys", "k.npy"), "--values is missing")
    expectRefusal(try run("--capture", "x", "--keys", "k.npy"), "--capture and --keys")
    expectRefusal(try run("--capture", "x", "--rope", "half"), "--capture and --rope")
    expectRefusal(try measure("--rope", "half", "--rope-dimensions", "0"), "--rope-dimensions is 0")
    expectRefusal(try measure("--rope", "half", "--rope-dimensions", "7"), "dimensions 7")
    expectRefusal(try measure("--training-queries", "x"), "go together")
    expectRefusal(try measure("--layers", "1"), "--layers needs --capture")
    expectRefusal(try measure("--index", "exact,tree"), "tree")
    expectRefusal(try measure("--k", "0"), "k is 0")
    expectRefusal(try measure("--window", "0"), "window is 0")
    expectRefusal(try measure("--window", "400"), "leave none to index")
    expectRefusal(try measure("--evict=-1"), "--evict is -1")
    expectRefusal(try run("--capture", "/nowhere"), "/nowhere/capture.json")
  }

  @Test func allElementsAreRotatedUnlessOtherwiseSaid() throws {
    let output = try measure("--rope", "half", "--index", "exact")
    #expect(output.status == 0, "\(output.standardError)")
    #expect(output.standardOutput.contains("178 indexed rows"))
  }

  @Test func filesThatAreNoArraysAreRefused() throws {
    let text = try folder.file("text.npy", Data("keys".utf8))
    expectRefusal(try measure("--values", text), "text.npy", "not a .npy file")
    expectRefusal(try measure("--values", "/nowhere/v.npy"), "/nowhere/v.npy")
    // Queries have three dimensions.
    expectRefusal(try measure("--queries", folder.url("k.npy").path), "[200, 8]", "[*, *, 8]")
  }
}

// Descriptions of captures and the files they stand for, right and wrong.

import Benchmarking
import Foundation
import NumpyFile
import Testing

@Suite struct CaptureTests {
  private let capture: SyntheticCapture

  init() throws { capture = try SyntheticCapture() }

  private func run() throws {
    var settings = IndexBenchmark.Settings()
    settings.kinds = ["exact"]
    settings.sink = 8
    settings.window = 32
    settings.evictedBytes = 0
    try IndexBenchmark(input: IndexBenchmarkInput(directory: capture.path), settings: settings).run()
  }

  @Test func descriptionsAreReadBack() throws {
    #expect(try CaptureDescription(directory: capture.path) == capture.description)
    #expect(
      CaptureDescription.fileName(layer: 3, head: 1, .trainingQueries) == "layer3.head1.trainingQueries.npy")
  }

  @Test func badDescriptionsAreRefused() throws {
    for change: (inout CaptureDescription) -> Void in [
      { $0.format = 2 }, { $0.context = 0 }, { $0.decoded = -1 }, { $0.groupSize = 0 },
      { $0.kvHeadCount = .max },
      { $0.headDimension = 0 }, { $0.scale = -1 }, { $0.layers = [] }, { $0.layers = [1, 1] },
      { $0.layers = [-1] },
      { $0.rope.dimensions = 15 }, { $0.rope.dimensions = 32 }, { $0.rope.base = 0 },
      { $0.rope.inverseFrequencies = [1] },
    ] {
      var description = capture.description
      change(&description)
      try description.write(directory: capture.path)
      #expect(throws: CaptureError.self, "\(description)") { try CaptureDescription(directory: capture.path) }
    }
    try Data("[]".utf8).write(to: capture.folder.appendingPathComponent("capture.json"))
    #expect(throws: CaptureError.self) { try CaptureDescription(directory: capture.path) }
    #expect(throws: CaptureError.self) { try CaptureDescription(directory: "/nowhere") }
  }

  @Test func filesThatDoNotFitAreRefused() throws {
    try run()
    var description = capture.description
    description.context -= 1
    try description.write(directory: capture.path)
    #expect(throws: CaptureError.self) { try run() }
    try capture.description.write(directory: capture.path)
    let keys = capture.heads[0].keys
    let name = "layer3.head0.keys.npy"
    try capture.write(name, [15], Array(keys.prefix(15 * 408)))
    #expect(throws: NumpyError.self) { try run() }
    // The last query stands behind the last key.
    let values = Array(capture.heads[0].values.prefix(16 * 407))
    try capture.write(name, [16], Array(keys.prefix(16 * 407)))
    try capture.write("layer3.head0.values.npy", [16], values)
    #expect(throws: CaptureError.self) { try run() }
    var damaged = keys
    damaged[100] = .nan
    try capture.write(name, [16], damaged)
    try capture.write("layer3.head0.values.npy", [16], capture.heads[0].values)
    #expect(throws: CaptureError.self) { try run() }
    damaged[100] = 70_000
    try capture.write(name, [16], damaged)
    #expect(throws: CaptureError.self) { try run() }
    try FileManager.default.removeItem(atPath: capture.file(name))
    #expect(throws: NumpyError.self) { try run() }
  }

  @Test func rotationFollowsFromBaseAndScale() throws {
    let rope = CaptureRope(layout: .adjacent, base: 10_000, dimensions: 4, frequencyScale: 0.5)
    let rotary = try #require(rope.rotary)
    #expect(rotary.layout == .adjacentPairs)
    #expect(rotary.inverseFrequencies == [0.5, 0.005])
    #expect(CaptureRope.none.rotary == nil)
    var given = rope
    given.inverseFrequencies = [1, 0.25]
    #expect(given.rotary?.inverseFrequencies == [1, 0.25])
  }
}

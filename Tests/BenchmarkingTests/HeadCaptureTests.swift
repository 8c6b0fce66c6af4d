// Captures of the embedded model: what is written is what was attended to, and a failure leaves nothing.

import Benchmarking
import Foundation
import Generation
import LlamaHost
import NumpyFile
import RetrievalAttention
import TestSupport
import Testing

@Suite(.serialized) struct HeadCaptureTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
    "capture-\(UUID().uuidString)")

  private func settings(layers: [Int], decoded: Int = 3) -> HeadCapture.Settings {
    HeadCapture.Settings(
      model: "model.gguf", text: "alice.txt", contextTokens: 700, decodeTokens: decoded, layers: layers)
  }

  @Test func writesWhatWasAttendedTo() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let model = try TestModel.load()
    let pool = try ThreadPool(threadCount: 2)
    let tokens = try TestText.tokens("alice.txt", 703, model: model)
    let directory = folder.appendingPathComponent("a").path
    try HeadCapture.record(
      model: model, pool: pool, tokens: tokens, settings: settings(layers: [2, 9]), directory: directory)

    let description = try CaptureDescription(directory: directory)
    #expect(description.layers == [2, 9])
    #expect((description.context, description.decoded) == (700, 3))
    #expect((description.headDimension, description.groupSize, description.kvHeadCount) == (64, 3, 3))
    #expect(description.rope.layout == .adjacent)
    #expect(abs(description.scale - 0.125) < 1e-7)
    func array(_ name: String) throws -> NumpyArray {
      try NumpyArray(contentsOf: directory + "/" + name)
    }
    #expect(try array(CaptureDescription.queryPositionsName).int32s() == [700, 701, 702])
    let training = try array(CaptureDescription.trainingPositionsName).int32s()
    #expect(training == Array(Set(stride(from: Int32(0), to: 700, by: 32)).union(668..<700)).sorted())

    // The same rows as a runner's store after the same text.
    let runner = try GuestRunner(model: model, pool: pool, policy: .exact, plannedTokens: 703)
    _ = try runner.prefill(Array(tokens[..<700]), progress: nil)
    for token in tokens[700...] { _ = try runner.decode(token) }
    for layer in [2, 9] {
      for head in 0..<3 {
        let rows = runner.engine.rows(layer: layer, kvHead: head)
        let keys = try array(CaptureDescription.fileName(layer: layer, head: head, .keys))
        #expect(keys.shape == [703, 64])
        #expect(keys.float16Bits() == rows.keys.halves(703 * 64))
        let values = try array(CaptureDescription.fileName(layer: layer, head: head, .values))
        #expect(values.float16Bits() == rows.values.halves(703 * 64))
        let queries = try array(CaptureDescription.fileName(layer: layer, head: head, .queries))
        #expect(queries.shape == [3, 3, 64])
        let sample = try array(CaptureDescription.fileName(layer: layer, head: head, .trainingQueries))
        #expect(sample.shape == [3, training.count, 64])
        #expect(sample.floats().contains { abs($0) > 0.5 })
      }
    }
  }

  @Test func refusesWhatItCannotRecord() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let model = try TestModel.load()
    let pool = try ThreadPool(threadCount: 2)
    let tokens = try TestText.tokens("alice.txt", 703, model: model)
    let directory = folder.appendingPathComponent("b").path
    func record(_ settings: HeadCapture.Settings) throws {
      try HeadCapture.record(
        model: model, pool: pool, tokens: tokens, settings: settings, directory: directory)
    }
    #expect(throws: AttentionError.unknownLayer(30, layerCount: 30)) {
      try record(settings(layers: [2, 30]))
    }
    #expect(throws: GenerationError.textTooShort(tokens: 703, required: 704)) {
      try record(settings(layers: [2], decoded: 4))
    }
    #expect(throws: GenerationError.invalidCount(name: "layers", value: 0, requirement: "positive")) {
      try record(settings(layers: []))
    }
    #expect(!FileManager.default.fileExists(atPath: directory))
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    try Data("mine".utf8).write(to: URL(fileURLWithPath: directory + "/note"))
    #expect(throws: CaptureError.self) { try record(settings(layers: [2])) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["note"])
  }
}

// A folder like those of `ra capture`, of random vectors, and attention to them from the definition.

import Benchmarking
import Foundation
import NumpyFile

/// A capture of two layers with one KV head each. Goes with the object.
final class SyntheticCapture {
  static let dimension = 16
  static let groupSize = 2
  static let context = 400
  static let decoded = 8
  static let layers = [3, 5]

  let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
    "ra-capture-\(UUID().uuidString)")
  var path: String { folder.path }

  /// One head: all numbers are exact in f16.
  struct Head {
    var keys: [Float]
    var values: [Float]
    /// `[groupSize, decoded, d]`.
    var queries: [Float]
  }
  private(set) var heads: [Head] = []

  init() throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let (d, g, rows) = (Self.dimension, Self.groupSize, Self.context + Self.decoded)
    var state: UInt64 = 7
    func numbers(_ count: Int, range: Int) -> [Float] {
      (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Float(Int(state >> 33) % (2 * range + 1) - range) / 16
      }
    }
    let trainingPositions = stride(from: 0, to: Self.context, by: 20).map { Int32($0) }
    try write("queryPositions.npy", (Self.context..<rows).map { Int32($0) })
    try write("trainingPositions.npy", trainingPositions)
    for layer in Self.layers {
      let head = Head(
        keys: numbers(rows * d, range: 32), values: numbers(rows * d, range: 16),
        queries: numbers(g * Self.decoded * d, range: 16))
      heads.append(head)
      try write("layer\(layer).head0.keys.npy", [d], head.keys)
      try write("layer\(layer).head0.values.npy", [d], head.values)
      try write("layer\(layer).head0.queries.npy", [Self.decoded, d], head.queries)
      try write(
        "layer\(layer).head0.trainingQueries.npy", [trainingPositions.count, d],
        numbers(g * trainingPositions.count * d, range: 16))
    }
    try description.write(directory: path)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  var description: CaptureDescription {
    CaptureDescription(
      model: "none.gguf", text: "noise.txt", context: Self.context, decoded: Self.decoded,
      heads: CaptureDescription.Heads(
        dimension: Self.dimension, groupSize: Self.groupSize, kvHeadCount: 1, scale: 0.25,
        rope: CaptureRope(layout: .half, base: 10_000, dimensions: Self.dimension)),
      layers: Self.layers)
  }

  func file(_ name: String) -> String { folder.appendingPathComponent(name).path }

  func write(_ name: String, _ rowShape: [Int], _ values: [Float]) throws {
    let writer = try NumpyWriter(path: file(name), elementType: .float32, rowShape: rowShape)
    try writer.append(values)
    try writer.close()
  }

  func write(_ name: String, _ values: [Int32]) throws {
    let writer = try NumpyWriter(path: file(name), elementType: .int32, rowShape: [])
    try writer.append(values)
    try writer.close()
  }

  /// Mean relative error of attention to sink, window and each query's top k of the rows between, where the window
  /// begins at the first query's.
  func topKError(k: Int, sink: Int, window: Int) -> Double {
    let d = Self.dimension
    let end = Self.context + 1 - window
    var errors: [Double] = []
    for head in heads {
      for query in 0..<Self.groupSize * Self.decoded {
        let visible = 0...(Self.context + query % Self.decoded)
        let scores = visible.map { row in
          (0..<d).reduce(0.0) { $0 + Double(head.queries[query * d + $1]) * Double(head.keys[row * d + $1]) }
            * 0.25
        }
        func output(_ rows: [Int]) -> [Double] {
          let total = rows.reduce(0.0) { $0 + exp(scores[$1]) }
          return (0..<d).map { i in
            rows.reduce(0.0) { $0 + exp(scores[$1]) * Double(head.values[$1 * d + i]) } / total
          }
        }
        let top = (sink..<end).sorted { scores[$0] > scores[$1] }.prefix(k)
        let full = output(Array(visible))
        let partial = output(Array(0..<sink) + top + Array(end...visible.upperBound))
        let norm = full.reduce(0) { $0 + $1 * $1 }
        errors.append(
          (zip(full, partial).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / norm).squareRoot())
      }
    }
    return errors.reduce(0, +) / Double(errors.count)
  }
}

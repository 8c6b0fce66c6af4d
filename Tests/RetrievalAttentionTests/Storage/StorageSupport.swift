// Engines over made-up layers, read and decoded layer by layer as a host does.

import AttentionKernels
import Foundation
import RetrievalAttention
import VectorIndex

/// A directory of its own, removed with everything in it when the last reference goes.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "/session-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path).sorted()) ?? [] }
}

/// The layers of a made-up model with the tokens that it reads, and an engine for them.
struct StoredContext {
  let inputs: [LayerInput]
  let policy: AttentionPolicy
  let capacity: Int
  let engine: AttentionEngine

  init(
    _ inputs: [LayerInput], policy: AttentionPolicy, capacity: Int, format: KeyValueFormat = KeyValueFormat()
  ) throws {
    self.inputs = inputs
    self.policy = policy
    self.capacity = capacity
    engine = try AttentionEngine(
      shape: ModelShape(layers: inputs.map(\.layer), format: format), policy: policy, capacity: capacity)
  }

  func makeEngine() throws -> AttentionEngine {
    try AttentionEngine(shape: engine.shape, policy: policy, capacity: capacity)
  }

  func open(_ image: EngineImage) throws -> AttentionEngine {
    try AttentionEngine(shape: engine.shape, policy: policy, capacity: capacity, image: image)
  }

  /// The same layers with other tokens.
  func changed(seed: UInt64) throws -> StoredContext {
    try StoredContext(
      inputs.enumerated().map { LayerInput($1.layer, tokens: $1.tokenCount, seed: seed + UInt64($0)) },
      policy: policy, capacity: capacity, format: engine.shape.format)
  }

  func read(_ range: Range<Int>, _ engine: AttentionEngine, batch: Int) throws {
    for start in stride(from: range.lowerBound, to: range.upperBound, by: batch) {
      let end = min(start + batch, range.upperBound)
      for (layer, input) in inputs.enumerated() { _ = try engine.attend(input, start..<end, layer: layer) }
      engine.updateIndex(finishing: end == range.upperBound, askPosition: end + 128, parallel: .serial)
    }
  }

  func decode(_ range: Range<Int>, _ engine: AttentionEngine) throws -> [Float] {
    var outputs: [Float] = []
    for token in range {
      for (layer, input) in inputs.enumerated() {
        outputs += try engine.attend(input, token..<token + 1, layer: layer)
      }
      engine.updateIndex(finishing: true, askPosition: token + 128, parallel: .serial)
    }
    return outputs
  }

  /// All bytes of the rows, of all heads.
  func rows(_ engine: AttentionEngine) -> [[UInt8]] {
    var all: [[UInt8]] = []
    for (layer, input) in inputs.enumerated() {
      for head in 0..<input.layer.kvHeadCount {
        let rows = engine.rows(layer: layer, kvHead: head)
        all.append(rows.keys.bytes(0..<rows.count))
        all.append(rows.values.bytes(0..<rows.count))
        all.append(Array(UnsafeRawBufferPointer(start: rows.positions, count: 4 * rows.count)))
      }
    }
    return all
  }
}

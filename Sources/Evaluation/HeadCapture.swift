// Vectors of real heads, recorded while a model reads a text: what indexes are measured on.

import AttentionKernels
import Foundation
import Generation
public import LlamaHost
import RetrievalAttention

/// Records queries, keys and values of chosen layers under exact attention.
public struct HeadCapture {
  /// Steps of the recording, for progress.
  public enum Phase: Sendable {
    case prefill(done: Int, total: Int)
    case decode(done: Int, total: Int)
  }

  /// Every how many tokens of the prompt a query is kept, as training queries; the last ``recentCount`` all are.
  public static let trainingStride = 32
  public static let recentCount = 32

  /// Queries of one layer, `[tokens][headCount * headDimension]` in f16, after rotary embedding, not scaled.
  private final class Recorder {
    var training: [[UInt16]] = []
    var decoded: [[UInt16]] = []
  }

  public static func record(
    model: LlamaModel, pool: ThreadPool, tokens: [Int32], contextTokens: Int, decodeTokens: Int,
    layers: [Int],
    directory: String, onPhase: @escaping (Phase) -> Void = { _ in }
  ) throws {
    let runner = try GuestRunner(
      model: model, pool: pool, policy: .exact, plannedTokens: contextTokens + decodeTokens)
    let recorders = Dictionary(uniqueKeysWithValues: layers.map { ($0, Recorder()) })
    var trainingPositions: [Int32] = []
    runner.engine.observer = { batch in
      guard let recorder = recorders[batch.layer] else { return }
      for token in 0..<batch.tokenCount {
        let position = batch.firstPosition + token
        let row = {
          var row: [UInt16] = []
          for head in 0..<batch.headCount {
            let query = batch.queries + token * batch.queryTokenStride + head * batch.queryHeadStride
            row += [UInt16](unsafeUninitializedCapacity: batch.headDimension) { target, count in
              Kernels.active.unsafeConvertToFloat16(query, target.baseAddress!, count: batch.headDimension)
              count = batch.headDimension
            }
          }
          return row
        }
        if position >= contextTokens {
          recorder.decoded.append(row())
        } else if position % trainingStride == 0 || position >= contextTokens - recentCount {
          recorder.training.append(row())
          if batch.layer == layers[0] { trainingPositions.append(Int32(position)) }
        }
      }
    }
    _ = try runner.prefill(Array(tokens[..<contextTokens])) {
      onPhase(.prefill(done: $0, total: contextTokens))
    }
    for step in 0..<decodeTokens {
      _ = try runner.decode(tokens[contextTokens + step])
      onPhase(.decode(done: step + 1, total: decodeTokens))
    }
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    func write(_ name: String, _ shape: [Int], _ type: String, _ bytes: UnsafeRawBufferPointer) throws {
      var header =
        "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(shape.map { "\($0)," }.joined(separator: " "))), }"
      while (10 + header.utf8.count + 1) % 64 != 0 { header += " " }
      header += "\n"
      var data = Data(
        [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count & 255), UInt8(header.utf8.count >> 8)])
      data += Data(header.utf8)
      data += Data(bytes)
      try data.write(to: URL(fileURLWithPath: directory + "/" + name + ".npy"))
    }
    try trainingPositions.withUnsafeBytes {
      try write("trainingPositions", [trainingPositions.count], "<i4", $0)
    }
    let positions = (contextTokens..<contextTokens + decodeTokens).map(Int32.init)
    try positions.withUnsafeBytes { try write("queryPositions", [positions.count], "<i4", $0) }
    for layer in layers {
      let shape = runner.engine.shape.layers[layer]
      let d = shape.headDimension, g = shape.groupSize
      for head in 0..<shape.kvHeadCount {
        let rows = runner.engine.rows(layer: layer, kvHead: head)
        let name = "layer\(layer).head\(head)"
        try write(
          name + ".keys", [rows.count, d], "<f2",
          UnsafeRawBufferPointer(start: rows.keys, count: rows.count * d * 2))
        try write(
          name + ".values", [rows.count, d], "<f2",
          UnsafeRawBufferPointer(start: rows.values, count: rows.count * d * 2))
        func queries(_ rows: [[UInt16]]) -> [UInt16] {
          var result: [UInt16] = []
          for h in 0..<g {
            let first = (head * g + h) * d
            for row in rows { result += row[first..<first + d] }
          }
          return result
        }
        let recorder = recorders[layer]!
        try queries(recorder.training).withUnsafeBytes {
          try write(name + ".trainingQueries", [g, recorder.training.count, d], "<f2", $0)
        }
        try queries(recorder.decoded).withUnsafeBytes {
          try write(name + ".queries", [g, recorder.decoded.count, d], "<f2", $0)
        }
      }
    }
  }
}

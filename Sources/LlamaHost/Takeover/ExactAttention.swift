// The plainest possible guest, to check everything else against.

import CLlama
import Platform

/// Exact attention in single precision over everything it has seen: a reference, not for speed.
///
/// Keeps keys and values as the host hands them over (half precision, widened). A batch that starts before
/// the end of what is stored replaces it from there, so a batch that failed can be tried again.
public final class ExactAttention: AttentionGuest {
  private struct Layer {
    var keys: [Float] = []
    var values: [Float] = []
    var count = 0
  }

  private var layers: [Int: Layer] = [:]
  private var scores: [[Float]] = []

  /// A context of no tokens.
  public init() {}

  /// Forgets everything.
  public func reset() { layers = [:] }

  /// Positions stored in the layer that has most.
  public var length: Int { layers.values.map(\.count).max() ?? 0 }

  /// Attends to everything so far, and to the call's own keys.
  ///
  /// Throws ``LlamaError/positionNotNext(start:length:)`` for a gap between what is stored and the call.
  public func attend(_ call: AttentionCall, sequence: Int, parallel: ParallelRunner) throws {
    let start = call.firstPosition
    let shape = call.shape
    if let owner = shape.keyLayer {
      guard let layer = layers[owner], layer.count == call.endPosition else {
        throw LlamaError.unexpectedAttention(
          detail: "layer \(call.layer) before layer \(owner), whose keys it reads")
      }
      return compute(call, layer, parallel)
    }
    var layer = layers[call.layer] ?? Layer()
    // Without this the array would be copied when it grows.
    layers[call.layer] = nil
    defer { layers[call.layer] = layer }
    guard start <= layer.count else {
      throw LlamaError.positionNotNext(start: start, length: layer.count)
    }
    let keyWidth = shape.kvHeadCount * shape.headDimension
    let valueWidth = shape.kvHeadCount * shape.valueDimension
    layer.keys.removeLast(layer.keys.count - start * keyWidth)
    layer.values.removeLast(layer.values.count - start * valueWidth)
    for token in 0..<call.tokenCount {
      for head in 0..<shape.kvHeadCount {
        unsafe Self.append(call.keys.row(token: token, head: head), shape.headDimension, to: &layer.keys)
        unsafe Self.append(call.values.row(token: token, head: head), shape.valueDimension, to: &layer.values)
      }
    }
    layer.count = start + call.tokenCount
    if scores.count < parallel.workerCount {
      scores = Array(repeating: [], count: parallel.workerCount)
    }
    for worker in scores.indices where scores[worker].count < layer.count {
      scores[worker] = [Float](repeating: 0, count: 2 * layer.count)
    }
    compute(call, layer, parallel)
  }

  private func compute(_ call: AttentionCall, _ layer: Layer, _ parallel: ParallelRunner) {
    let shape = call.shape
    let scratch = unsafe scores.map { array in
      unsafe array.withUnsafeBufferPointer { unsafe UnsafeMutablePointer(mutating: $0.baseAddress!) }
    }
    unsafe layer.keys.withUnsafeBufferPointer { keys in
      unsafe layer.values.withUnsafeBufferPointer { values in
        parallel.run(call.tokenCount * shape.headCount) { task, worker in
          let (token, head) = (task / shape.headCount, task % shape.headCount)
          let kvHead = head / shape.groupSize
          let scores = unsafe scratch[worker]
          let position = call.firstPosition + token
          let first = shape.firstVisible(from: position)
          let query = unsafe call.queries.row(token: token, head: head)
          var largest = -Float.infinity
          for key in first...position {
            let row = unsafe keys.baseAddress! + (key * shape.kvHeadCount + kvHead) * shape.headDimension
            unsafe scores[key] = unsafe Self.dot(query, row, shape.headDimension) * shape.scale
            if let cap = shape.softCap { unsafe scores[key] = unsafe cap * tanh(scores[key] / cap) }
            if let slopes = shape.distanceSlopes {
              unsafe scores[key] -= slopes[head] * Float(position - key)
            }
            largest = unsafe max(largest, scores[key])
          }
          if let sinks = shape.sinks { largest = max(largest, sinks[head]) }
          let width = shape.valueDimension
          let result = unsafe call.output.row(token: token, head: head)
          for index in 0..<width { unsafe result[index] = 0 }
          var total = shape.sinks.map { exp($0[head] - largest) } ?? 0
          for key in first...position {
            let weight = unsafe exp(scores[key] - largest)
            total += weight
            let row = unsafe values.baseAddress! + (key * shape.kvHeadCount + kvHead) * width
            for index in 0..<width { unsafe result[index] += weight * row[index] }
          }
          for index in 0..<width { unsafe result[index] /= total }
        }
      }
    }
  }

  /// Eight sums side by side: one alone would have to wait for every addition, and models take minutes.
  private static func dot(_ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, _ count: Int) -> Float
  {
    var sums = SIMD8<Float>.zero
    let whole = count & ~7
    for index in stride(from: 0, to: whole, by: 8) {
      let a = unsafe UnsafeRawPointer(left + index).loadUnaligned(as: SIMD8<Float>.self)
      let b = unsafe UnsafeRawPointer(right + index).loadUnaligned(as: SIMD8<Float>.self)
      sums += a * b
    }
    var sum = sums.sum()
    for index in whole..<count { unsafe sum += left[index] * right[index] }
    return sum
  }

  private static func append(_ row: UnsafePointer<UInt16>, _ count: Int, to array: inout [Float]) {
    let old = array.count
    array.append(contentsOf: repeatElement(0, count: count))
    unsafe array.withUnsafeMutableBufferPointer { buffer in
      unsafe ggml_fp16_to_fp32_row(row, buffer.baseAddress! + old, Int64(count))
    }
  }
}

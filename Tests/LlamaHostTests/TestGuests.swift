// Guests that misbehave in known ways.

import LlamaHost

/// Exact attention that does something else first.
final class WrappedGuest: AttentionGuest {
  let exact = ExactAttention()
  /// Layers attended, counting failed calls.
  private(set) var callCount = 0
  var before: (_ layer: Int) throws -> Void = { _ in }

  func attend(_ call: AttentionCall, sequence: Int, parallel: ParallelRunner) throws {
    callCount += 1
    try before(call.layer)
    try exact.attend(call, sequence: sequence, parallel: parallel)
  }
}

struct TestFailure: Error, Equatable {
  var layer: Int
}

/// Exact attention that keeps the first key head of layer 0.
final class KeyRecorder: AttentionGuest {
  let exact = ExactAttention()
  private(set) var keys: [[Float]] = []

  func attend(_ call: AttentionCall, sequence: Int, parallel: ParallelRunner) throws {
    let shape = call.shape
    if call.layer == 0 {
      let head = UnsafeBufferPointer(start: call.keys.base, count: shape.headDimension)
      keys.append(head.map { Self.widen($0) })
    }
    let zeros = [Float](repeating: 0, count: call.tokenCount * shape.headCount * shape.valueDimension)
    call.output.scatter(
      zeros, heads: 0..<shape.headCount, tokens: 0..<call.tokenCount, width: shape.valueDimension)
  }

  /// Half to single precision, normal numbers and zero only.
  static func widen(_ bits: UInt16) -> Float {
    let exponent = Int(bits >> 10) & 31
    let fraction = Float(bits & 1023)
    let sign: Float = bits >> 15 == 0 ? 1 : -1
    guard exponent > 0 else { return sign * fraction * 0x1p-24 }
    return sign * (1024 + fraction) * Float(sign: .plus, exponent: exponent - 25, significand: 1)
  }
}

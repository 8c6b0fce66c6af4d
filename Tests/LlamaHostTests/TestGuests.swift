// Guests that misbehave in known ways.

import LlamaHost

/// Exact attention that does something else first.
final class WrappedGuest: AttentionGuest {
  let exact = ExactAttention()
  /// Layers attended, counting failed calls.
  private(set) var callCount = 0
  var before: (_ layer: Int) throws -> Void = { _ in }

  func attend(_ call: borrowing AttentionCall) throws {
    callCount += 1
    try before(call.layer)
    try exact.attend(call)
  }
}

struct TestFailure: Error, Equatable {
  var layer: Int
}

/// Exact attention that keeps the first key head of layer 0.
final class KeyRecorder: AttentionGuest {
  let exact = ExactAttention()
  private(set) var keys: [[Float]] = []
  private(set) var rope: RopeParameters?
  private(set) var ropeObjects = 0

  func attend(_ call: borrowing AttentionCall) throws {
    if call.layer == 0 {
      let head = UnsafeBufferPointer(start: call.keys, count: call.headDimension)
      keys.append(head.map { Self.widen($0) })
      if rope !== call.rope { ropeObjects += 1 }
      rope = call.rope
    }
    for token in 0..<call.tokenCount {
      for head in 0..<call.headCount {
        let row = call.output + token * call.outputTokenStride + head * call.outputHeadStride
        row.update(repeating: 0, count: call.valueDimension)
      }
    }
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

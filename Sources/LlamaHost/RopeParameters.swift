// How positions were turned into angles, read off the host's own RoPE node.

import CLlama
import Platform

/// The rotation that a layer applies to queries and keys.
///
/// Pair `i` at position `p` is turned by the angle `p * inverseFrequencies[i]`, whatever scaling the model
/// uses (linear, YaRN, per-pair factors). The magnitude that YaRN adds is not part of this: it is in queries
/// and keys already.
struct RopeParameters {
  /// Nil for a kind that this module does not know: keys can be attended, but not moved to other positions.
  let layout: RopeLayout?
  /// Elements of the rotated part of a head.
  let rotatedDimensions: Int
  /// Elements of a head before it.
  let firstDimension: Int
  /// Radians per position, one for each pair, `[rotatedDimensions / 2]`.
  let inverseFrequencies: [Float]

  /// The rotation as attention knows it; nil when the kind is not known.
  var rotary: RotaryEmbedding? {
    guard let layout else { return nil }
    var rotary = RotaryEmbedding(
      layout: layout == .adjacentPairs ? .adjacentPairs : .rotateHalf,
      inverseFrequencies: inverseFrequencies)
    rotary.firstDimension = firstDimension
    return rotary
  }

  /// - Parameters:
  ///   - headDimension: width of the heads that what is rotated becomes part of.
  ///   - isAmbiguous: Whether queries and keys are rotated in different ways.
  init(node: TensorPointer, headDimension: Int, isAmbiguous: Bool = false) {
    let parameters = unsafe Self.parameters(node)
    let factors = unsafe node.pointee.src.2
    func number(_ index: Int) -> Float { Float(bitPattern: UInt32(bitPattern: parameters[index])) }
    let count = max(0, Int(parameters[1]))
    rotatedDimensions = count
    firstDimension = unsafe Self.firstDimension(node, headDimension: headDimension)
    layout =
      switch (isAmbiguous, Int(parameters[2])) {
      case (false, Int(GGML_ROPE_TYPE_NORMAL)): .adjacentPairs
      // The multi-section kinds use several positions, which are all the same for text.
      case (false, Int(GGML_ROPE_TYPE_NEOX)), (false, Int(GGML_ROPE_TYPE_MROPE)),
        (false, Int(GGML_ROPE_TYPE_IMROPE)):
        .rotateHalf
      default: nil
      }
    let originalContext = parameters[4]
    let base = number(5)
    let scale = number(6)
    let extrapolation = number(7)
    var corrections: [Float] = [0, 0]
    unsafe ggml_rope_yarn_corr_dims(Int32(count), originalContext, base, number(9), number(10), &corrections)
    let divisors = unsafe factors.map { unsafe Self.read($0, count: count / 2) } ?? []
    // The same steps in the same order as rope_yarn() in ggml-cpu/ops.cpp, in double precision.
    inverseFrequencies = (0..<count / 2).map { pair in
      let divisor = pair < divisors.count ? Double(divisors[pair]) : 1
      let extrapolated = pow(Double(base), -2 * Double(pair) / Double(count)) / divisor
      let interpolated = Double(scale) * extrapolated
      guard extrapolation != 0 else { return Float(interpolated) }
      let slope = (Float(pair) - corrections[0]) / max(0.001, corrections[1] - corrections[0])
      let mix = Double((1 - min(1, max(0, slope))) * extrapolation)
      return Float(interpolated * (1 - mix) + extrapolated * mix)
    }
  }

  /// Whether two nodes rotate in the same way.
  static func agree(
    _ first: TensorPointer, _ second: TensorPointer, headDimension: Int
  ) -> Bool {
    // The last parameter is the offset, which depends on what the tensor is part of.
    unsafe first.pointee.src.2 == second.pointee.src.2
      && parameters(first).dropLast() == parameters(second).dropLast()
      && firstDimension(first, headDimension: headDimension)
        == firstDimension(second, headDimension: headDimension)
  }

  /// Where the rotated part begins: at the node's offset in a whole head; a narrower tensor is put behind the part that
  /// is not rotated.
  private static func firstDimension(_ node: TensorPointer, headDimension: Int) -> Int {
    let parameters = unsafe parameters(node)
    return unsafe Int(node.pointee.ne.0) < headDimension
      ? max(0, headDimension - Int(parameters[1])) : max(0, Int(parameters[15]))
  }

  /// 16 of them: GGML_MAX_OP_PARAMS is 64 bytes.
  private static func parameters(_ node: TensorPointer) -> [Int32] {
    unsafe withUnsafeBytes(of: node.pointee.op_params) { unsafe Array($0.bindMemory(to: Int32.self)) }
  }

  private static func read(_ tensor: TensorPointer, count: Int) -> [Float] {
    guard unsafe tensor.pointee.type == GGML_TYPE_F32, unsafe Int(tensor.pointee.ne.0) >= count, count > 0
    else {
      return []
    }
    return unsafe [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      unsafe ggml_backend_tensor_get(tensor, buffer.baseAddress, 0, count * MemoryLayout<Float>.size)
      initialized = count
    }
  }
}

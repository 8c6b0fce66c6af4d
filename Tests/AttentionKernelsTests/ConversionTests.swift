import AttentionKernels
import Foundation
import Testing

@Suite struct ConversionTests {
  @Test(arguments: SIMDLevel.supported) func everyHalfIsExact(_ level: SIMDLevel) throws {
    let kernels = try Kernels(level: level)
    let patterns = (0...UInt16.max).map { $0 }
    var floats = [Float](repeating: 0, count: patterns.count)
    var floatSpan = floats.mutableSpan
    try kernels.convertFromFloat16(patterns.span, into: &floatSpan)
    var wrong = patterns.filter {
      let value = halfValue($0)
      let result = Double(floats[Int($0)])
      return value.isNaN ? !result.isNaN : result != value || result.sign != value.sign
    }
    #expect(wrong == [])

    var back = [UInt16](repeating: 0, count: patterns.count)
    var backSpan = back.mutableSpan
    try kernels.convertToFloat16(floats.span, into: &backSpan)
    // NaNs come back quiet.
    wrong = patterns.filter { back[Int($0)] != (halfValue($0).isNaN ? $0 | 0x200 : $0) }
    #expect(wrong == [])
  }

  @Test(arguments: SIMDLevel.supported) func floatsRoundToNearestEvenHalf(_ level: SIMDLevel) throws {
    let kernels = try Kernels(level: level)
    var generator = SeededGenerator(seed: 1)
    var floats: [Float] = [
      0, -0.0, 65504, 65519.99, 65520, 1e9, -1e9, .infinity, -.infinity, 1e-30, 0x1p-25, 0x1.8p-25,
    ]
    // Each half, the midpoint to the next, and the midpoint's neighbors.
    for bits in stride(from: UInt16(0), to: 0x7bff, by: 7) {
      let middle = Float((halfValue(bits) + halfValue(bits + 1)) / 2)
      floats += [middle, middle.nextUp, middle.nextDown, -middle]
    }
    floats += (0..<2000).map { _ in Float(bitPattern: UInt32.random(in: 0...0x47ff_ffff, using: &generator)) }
    var halves = [UInt16](repeating: 0, count: floats.count)
    var span = halves.mutableSpan
    try kernels.convertToFloat16(floats.span, into: &span)
    let wrong = floats.indices.filter { halves[$0] != halfBits(floats[$0]) }.map { floats[$0] }
    #expect(wrong == [])
  }

  @Test(arguments: SIMDLevel.supported) func bfloat16RoundsToNearestEven(_ level: SIMDLevel) throws {
    let kernels = try Kernels(level: level)
    let floats: [Float] = [
      0, -0.0, 1, -1, 1 + 0x1p-8, 1 + 0x1p-7 + 0x1p-8, (1 + Float(0x1p-8)).nextUp, .greatestFiniteMagnitude,
      .infinity, -.infinity, .nan,
    ]
    let expected: [UInt16] = [
      0, 0x8000, 0x3f80, 0xbf80, 0x3f80, 0x3f82, 0x3f81, 0x7f80, 0x7f80, 0xff80, 0x7fc0,
    ]
    var halves = [UInt16](repeating: 0, count: floats.count)
    var span = halves.mutableSpan
    try kernels.convertToBFloat16(floats.span, into: &span)
    #expect(halves == expected)

    let patterns = (0...UInt16.max).map { $0 }
    var back = [Float](repeating: 0, count: patterns.count)
    var backSpan = back.mutableSpan
    try kernels.convertFromBFloat16(patterns.span, into: &backSpan)
    #expect(back.map(\.bitPattern) == patterns.map { UInt32($0) << 16 })
  }

  @Test(arguments: SIMDLevel.supported) func exponentials(_ level: SIMDLevel) throws {
    let kernels = try Kernels(level: level)
    let inputs = Array(stride(from: Float(-87.3), through: 88.7, by: 0.0037))
    var outputs = [Float](repeating: 0, count: inputs.count)
    var span = outputs.mutableSpan
    try kernels.exp(inputs.span, into: &span)
    let worst = zip(inputs, outputs).map { abs(Double($1) / Foundation.exp(Double($0)) - 1) }.max() ?? 0
    #expect(worst < Tolerance.exp)

    let special: [Float] = [-.infinity, -1e30, -88, 0, 89, .infinity]
    var results = [Float](repeating: -1, count: special.count)
    var resultSpan = results.mutableSpan
    try kernels.exp(special.span, into: &resultSpan)
    #expect(results == [0, 0, 0, 1, .infinity, .infinity])
  }

  @Test(arguments: SIMDLevel.supported, [0, 1, 7, 8, 33]) func arrays(_ level: SIMDLevel, _ count: Int) throws
  {
    let kernels = try Kernels(level: level)
    var generator = SeededGenerator(seed: count)
    let x = generator.integers(count)
    // One more element, which must stay as it is.
    var y = generator.integers(count + 1)
    let old = y
    kernels.unsafeAddScaled(x, by: 3, to: &y, count: count)
    var expected = old
    for i in 0..<count { expected[i] += 3 * x[i] }
    #expect(y == expected)
    kernels.unsafeScale(&y, by: -2, count: count)
    for i in 0..<count { expected[i] *= -2 }
    #expect(y == expected)
  }
}

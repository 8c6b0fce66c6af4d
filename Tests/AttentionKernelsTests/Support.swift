// Seeded inputs and reference computations in Double, written without the code under test.

import AttentionKernels
import Foundation

/// SplitMix64 (Steele, Lea, Flood 2014): a failing case repeats from its seed.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: Int) { state = UInt64(bitPattern: Int64(seed)) }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func floats(_ count: Int, in range: ClosedRange<Float> = -1...1) -> [Float] {
    (0..<count).map { _ in Float.random(in: range, using: &self) }
  }

  mutating func halves(_ count: Int, in range: ClosedRange<Float> = -1...1) -> [UInt16] {
    floats(count, in: range).map(halfBits)
  }

  /// Integers from -limit to limit, whose products and sums f32 holds exactly.
  mutating func integers(_ count: Int, limit: Int = 4) -> [Float] {
    (0..<count).map { _ in Float(Int.random(in: -limit...limit, using: &self)) }
  }
}

/// The value of f16 bits, from the definition of binary16.
func halfValue(_ bits: UInt16) -> Double {
  let sign = bits & 0x8000 == 0 ? 1.0 : -1.0
  let exponent = Int(bits >> 10 & 0x1f)
  let mantissa = Double(bits & 0x3ff)
  switch exponent {
  case 0: return sign * mantissa * 0x1p-24
  case 31: return mantissa == 0 ? sign * .infinity : .nan
  default: return sign * scalbn(1 + mantissa / 1024, exponent - 15)
  }
}

/// The f16 bits nearest to a value, ties to even, by bisection over the ordered patterns.
func halfBits(_ value: Float) -> UInt16 {
  let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
  let magnitude = Double(value.magnitude)
  if magnitude >= 65520 { return sign | 0x7c00 }
  var low: UInt16 = 0
  var high: UInt16 = 0x7c00
  while high - low > 1 {
    let middle = (low + high) / 2
    if halfValue(middle) <= magnitude { low = middle } else { high = middle }
  }
  // The pattern above the largest finite value would be 65536.
  let above = high == 0x7c00 ? 65536 : halfValue(high)
  let (toLow, toHigh) = (magnitude - halfValue(low), above - magnitude)
  return sign | (toLow < toHigh || (toLow == toHigh && low % 2 == 0) ? low : high)
}

/// Rows in a flat buffer, with what lies between them.
struct Matrix<Element: Sendable>: Sendable {
  let shape: RowShape
  var elements: [Element]

  func row(_ i: Int) -> ArraySlice<Element> {
    elements[(i * shape.stride)..<(i * shape.stride + shape.dimension)]
  }
}

extension Matrix<Float> {
  static func random(_ count: Int, _ dimension: Int, gap: Int = 0, seed: Int, scale: Float = 1) throws -> Self
  {
    var generator = SeededGenerator(seed: seed)
    let shape = try RowShape(count: count, dimension: dimension, stride: dimension + gap)
    return Matrix(shape: shape, elements: generator.floats(count * shape.stride, in: -scale...scale))
  }

  func values(_ i: Int) -> [Double] { row(i).map(Double.init) }
}

extension Matrix<UInt16> {
  static func random(_ count: Int, _ dimension: Int, gap: Int = 0, seed: Int) throws -> Self {
    var generator = SeededGenerator(seed: seed)
    let shape = try RowShape(count: count, dimension: dimension, stride: dimension + gap)
    return Matrix(shape: shape, elements: generator.halves(count * shape.stride))
  }

  func values(_ i: Int) -> [Double] { row(i).map(halfValue) }
}

func dotProduct(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

func magnitude(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + abs($1.0 * $1.1) } }

/// Softmax attention of one query over scored values: output and natural log-sum-exp.
func attention(
  _ scored: [(score: Double, value: [Double])], dimension: Int
) -> (output: [Double], lse: Double) {
  let maximum = scored.map(\.score).max() ?? -.infinity
  guard maximum > -.infinity else { return (Array(repeating: 0, count: dimension), -.infinity) }
  var output = Array(repeating: 0.0, count: dimension)
  var sum = 0.0
  for (score, value) in scored {
    let weight = exp(score - maximum)
    sum += weight
    for k in 0..<dimension { output[k] += weight * value[k] }
  }
  return (output.map { $0 / sum }, maximum + log(sum))
}

/// The largest difference of finished states from references, outputs and log-sum-exps apart.
func difference(
  _ states: SoftmaxStates, _ references: [(output: [Double], lse: Double)]
) -> (output: Double, lse: Double) {
  let (outputs, logSumExps) = states.finished()
  var worst = (output: 0.0, lse: 0.0)
  for (h, reference) in references.enumerated() {
    for k in 0..<states.dimension {
      let error = abs(Double(outputs[h * states.dimension + k]) - reference.output[k])
      worst.output = error.isNaN ? .infinity : max(worst.output, error)
    }
    if Double(logSumExps[h]) == reference.lse { continue }  // also for infinities
    let error = abs(Double(logSumExps[h]) - reference.lse)
    worst.lse = error.isNaN ? .infinity : max(worst.lse, error)
  }
  return worst
}

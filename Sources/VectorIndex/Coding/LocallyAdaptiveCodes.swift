// Scalar quantization with a range of its own for each key: LVQ.

import AttentionKernels

/// Locally adaptive vector quantization (Aguerrebere et al., arXiv 2304.04759) to 8 or 4 bits, in ``CodeGeometry``.
///
/// A key in these coordinates is `offset + scale * code`, with scale and offset of its own in f16. Errors are at most
/// half a step a coordinate: with the range r of the key's coordinates, `r / 510` at 8 bits and `r / 30` at 4, and
/// 1e-3 of that for f16. Queries are rounded to integers as well, of 8 bits for 4-bit codes (their error is 8 times
/// below that of the keys) and of 12 or more for 8-bit codes; integer sums are exact.
final class LocallyAdaptiveCodes: KeyScorer {
  enum Bits: Int { case four = 4, eight = 8 }

  let dimension: Int
  let bits: Bits
  private let seed: UInt64
  var geometry: CodeGeometry?
  var lines = RowBuffer<CodeLine>()  // [blocks, lines of a block]; layout: attention_kernels.h
  var rowCount = 0

  init(dimension: Int, bits: Bits, seed: UInt64) {
    self.dimension = dimension
    self.bits = bits
    self.seed = seed
  }

  /// Dimension rounded up to whole lines of a block.
  private var paddedDimension: Int {
    let columns = bits == .eight ? 4 : 8
    return (dimension + columns - 1) / columns * columns
  }

  var blockLines: Int {
    (bits == .eight
      ? Kernels.lvq8BlockByteCount(dimension: dimension) : Kernels.lvq4BlockByteCount(dimension: dimension))
      / 64
  }

  static func blockCount(rows: Int) -> Int { (rows + Kernels.lvqBlockRows - 1) / Kernels.lvqBlockRows }

  var byteCount: Int { lines.byteCount + (geometry?.byteCount ?? 0) }
  var bytesPerRow: Int? { blockLines * 64 / Kernels.lvqBlockRows }

  func insert(
    keys: PackedRows, count: Int, outliers: [UInt32], training: TrainingQueries, workspace: Workspace
  ) {
    let scratch = workspace.scope()
    guard count > 0 else { return }
    let d = dimension
    let geometry =
      self.geometry
      ?? learn(keys, count: count, outliers: outliers, training: training, workspace: workspace)
    self.geometry = geometry
    let added = Self.blockCount(rows: rowCount + count) * blockLines - lines.count
    unsafe lines.grow(by: added).initialize(repeating: .zero, count: added)
    let mapped = unsafe scratch.list(min(count, CodeGeometry.mappedRows) * d)
    for first in stride(from: 0, to: count, by: CodeGeometry.mappedRows) {
      let part = min(CodeGeometry.mappedRows, count - first)
      geometry.map(keys: keys.from(first), count: part, workspace: workspace, result: mapped)
      for i in 0..<part {
        unsafe encode(mapped.base + i * d, row: rowCount + first + i, kernels: workspace.kernels)
      }
    }
    rowCount += count
  }

  private func learn(
    _ keys: PackedRows, count: Int, outliers: [UInt32], training: TrainingQueries, workspace: Workspace
  ) -> CodeGeometry {
    let scratch = workspace.scope()
    let sample = CodeGeometry.sample(
      keys, count: count, outliers: outliers, dimension: dimension, in: scratch)
    return CodeGeometry(
      keys: sample, training: training, exponent: 0.25, spreads: true, seed: seed, workspace: workspace)
  }

  private func encode(_ values: UnsafePointer<Float>, row: Int, kernels: Kernels) {
    let block = unsafe UnsafeMutableRawPointer(lines.base + row / Kernels.lvqBlockRows * blockLines)
    let place = row % Kernels.lvqBlockRows
    var lowest = unsafe values[0]
    var highest = unsafe values[0]
    for i in 1..<dimension {
      lowest = unsafe min(lowest, values[i])
      highest = unsafe max(highest, values[i])
    }
    let steps: Float = bits == .eight ? 255 : 15
    // Codes are taken with the rounded scale and offset, which are what scans use.
    var halves: (UInt16, UInt16) = (0, 0)
    var (scale, offset) = ((highest - lowest) / steps, lowest)
    unsafe kernels.unsafeConvertToFloat16(&scale, &halves.0, count: 1)
    unsafe kernels.unsafeConvertToFloat16(&offset, &halves.1, count: 1)
    unsafe kernels.unsafeConvertFromFloat16(&halves.0, &scale, count: 1)
    unsafe kernels.unsafeConvertFromFloat16(&halves.1, &offset, count: 1)
    unsafe block.storeBytes(of: halves.0, toByteOffset: 2 * place, as: UInt16.self)
    unsafe block.storeBytes(of: halves.1, toByteOffset: 2 * (Kernels.lvqBlockRows + place), as: UInt16.self)
    let inverse = scale > 0 ? 1 / scale : 0
    let codes = unsafe (block + 64).assumingMemoryBound(to: UInt8.self) + 4 * place
    for i in 0..<dimension {
      // Comparisons in this order turn a NaN of the model into 0; adding 1/2 and cutting rounds without a call.
      let level = unsafe (values[i] - offset) * inverse + 0.5
      let code = level > 0 ? UInt8(level < steps ? level : steps) : 0
      switch bits {
      case .eight: unsafe codes[i / 4 * 64 + i % 4] = code
      case .four: unsafe codes[i / 8 * 64 + i % 4] |= i % 8 < 4 ? code : code << 4
      }
    }
  }

  func prepare(_ group: QueryGroup, in scratch: borrowing Scratch) -> PreparedQueries {
    guard let geometry else { preconditionFailure("no rows have been inserted") }
    let (d, m, padded) = (dimension, group.count, paddedDimension)
    let mapped = unsafe scratch.list(m * d)
    let scales = unsafe scratch.floats(3 * m)
    unsafe geometry.map(
      group, kernels: scratch.kernels, result: mapped, bases: ListView(scales + 2 * m, count: m))
    let stride = bits == .eight ? 2 * padded : padded
    let codes = unsafe UnsafeMutableRawPointer(scratch.bytes(m * stride))
    unsafe codes.initializeMemory(as: UInt8.self, repeating: 0, count: m * stride)
    let limit = bits == .eight ? Float(Kernels.lvq8QueryLimit(dimension: d)) : 127
    for h in 0..<m {
      let query = unsafe mapped.base + h * d
      var largest: Float = 0
      for i in 0..<d { largest = unsafe max(largest, abs(query[i])) }
      let scale = largest > 1e-30 ? largest / limit : 1
      let inverse = 1 / scale
      var sum: Float = 0
      for i in 0..<d {
        let level = unsafe query[i] * inverse
        // Adding 1.5 * 2^23 rounds to an integer; a NaN of the model becomes 0.
        let integer = abs(level) < limit + 0.5 ? (level + 0x1.8p23) - 0x1.8p23 : 0
        sum += integer
        switch bits {
        case .eight:
          let place = i & ~3 | (i & 1) << 1 | (i & 2) >> 1  // 0, 2, 1, 3
          unsafe codes.storeBytes(of: Int16(integer), toByteOffset: h * stride + 2 * place, as: Int16.self)
        case .four:
          unsafe codes.storeBytes(of: Int8(integer), toByteOffset: h * stride + i, as: Int8.self)
        }
      }
      unsafe scales[h] = scale
      // Of the rounded query: the errors of rounding then multiply keys that are small, not offsets that are not.
      unsafe scales[m + h] = scale * sum
    }
    return unsafe PreparedQueries(
      group: group,
      codes: CodeQueries(
        codes, stride: stride, count: m, scales: scales, sums: scales + m, bases: scales + 2 * m))
  }

  func score(
    _ range: Range<Int>, of prepared: PreparedQueries, rows: IndexRows,
    scores: ScoreRows, kernels: Kernels
  ) {
    let blocks = unsafe CodeBlocks(
      UnsafeRawPointer(lines.base).assumingMemoryBound(to: UInt8.self), width: dimension)
    let codes = prepared.codes
    switch bits {
    case .eight:
      unsafe kernels.unsafeDotLVQ8(
        codes, with: blocks, range, scores: scores.list.base, scoreStride: scores.stride)
    case .four:
      unsafe kernels.unsafeDotLVQ4(
        codes, with: blocks, range, scores: scores.list.base, scoreStride: scores.stride)
    }
  }
}

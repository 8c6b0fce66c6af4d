// How keys and values are stored: 16-bit floats, or 8-bit integers with a scale for each block.

internal import CAttentionKernels

/// What the elements of stored keys or values are.
public enum RowFormat: String, CaseIterable, Sendable, Hashable, Codable {
  /// IEEE binary16: two bytes an element.
  case float16 = "f16"
  /// Signed bytes with an f16 scale for each ``Kernels/q8BlockCount`` of a row: 1.0625 bytes an element.
  ///
  /// The scales stand behind the bytes of their row. An element is off by 0.0044 of the largest magnitude of its block
  /// at most, the half of a step and what its rounding to f16 makes of it.
  case int8 = "q8"

  /// Bytes of one row; even.
  public func bytesPerRow(dimension: Int) -> Int {
    switch self {
    case .float16: 2 * dimension
    case .int8: ak_q8_row_bytes(dimension)
    }
  }

  var type: ak_type {
    switch self {
    case .float16: AK_F16
    case .int8: AK_Q8
    }
  }
}

/// How keys and values of a context are stored, which need not be alike.
public struct KeyValueFormat: Sendable, Hashable, Codable {
  public var keys: RowFormat
  public var values: RowFormat

  public init(keys: RowFormat = .float16, values: RowFormat = .float16) {
    self.keys = keys
    self.values = values
  }

  /// Bytes of a key and its value.
  public func bytesPerRow(dimension: Int) -> Int {
    keys.bytesPerRow(dimension: dimension) + values.bytesPerRow(dimension: dimension)
  }
}

extension KeyValueFormat: LosslessStringConvertible {
  /// `q8` for both, or `q8,f16` for keys and values; nil for anything else.
  public init?(_ description: String) {
    let formats = description.split(separator: ",", omittingEmptySubsequences: false).map {
      RowFormat(rawValue: String($0))
    }
    guard (1...2).contains(formats.count), let keys = formats[0], let values = formats[formats.count - 1]
    else { return nil }
    self.init(keys: keys, values: values)
  }

  public var description: String { keys == values ? keys.rawValue : "\(keys.rawValue),\(values.rawValue)" }
}

/// The address of rows of either format. Row `i` starts `i * stride` bytes behind the first; rows are at even
/// addresses.
@safe package struct PackedRows {
  package var base: UnsafeRawPointer
  /// Bytes.
  package var stride: Int
  package var format: RowFormat

  package init(base: UnsafeRawPointer, stride: Int, format: RowFormat) {
    unsafe self.base = base
    self.stride = stride
    self.format = format
  }

  /// Rows without gaps between them.
  package init(_ base: UnsafeRawPointer, format: RowFormat, dimension: Int) {
    unsafe self.init(base: base, stride: format.bytesPerRow(dimension: dimension), format: format)
  }

  /// f16 rows, stride in elements.
  package init(_ rows: UnsafePointer<UInt16>, stride: Int) {
    unsafe self.init(base: rows, stride: 2 * stride, format: .float16)
  }

  /// The rows from number `row` on.
  package func from(_ row: Int) -> PackedRows {
    unsafe PackedRows(base: base + row * stride, stride: stride, format: format)
  }

  /// Every `step`-th row, from the first on.
  package func every(_ step: Int) -> PackedRows {
    unsafe PackedRows(base: base, stride: step * stride, format: format)
  }

  /// Replaces bytes of rows whose memory may be written.
  @unsafe package func unsafeUpdate(from source: UnsafeRawPointer, byteCount: Int) {
    unsafe UnsafeMutableRawPointer(mutating: base).copyMemory(from: source, byteCount: byteCount)
  }

  var rows: ak_rows { unsafe ak_rows(data: base, stride: stride, type: format.type) }
}

extension Kernels {
  /// Elements of a row that share a scale.
  public static let q8BlockCount = Int(AK_Q8_BLOCK)

  /// Rounds f16 rows, less `offsets` `[dimension]` in every row, to ``RowFormat/int8``.
  ///
  /// Offsets that all keys have in common make no difference to a softmax, and where a few elements of every key are
  /// large (as the biases of some models make them) they would take the precision from the others of their blocks.
  ///
  /// - Parameters:
  ///   - source: `[rowCount, dimension]`, f16.
  ///   - targetStride: bytes, at least ``RowFormat/bytesPerRow(dimension:)``
  @unsafe package func unsafeQuantize(
    _ source: PackedRows, rowCount: Int, dimension: Int, offsets: UnsafePointer<Float>?,
    target: UnsafeMutableRawPointer, targetStride: Int
  ) {
    unsafe table.pointee.quantize_f16(
      source.base.assumingMemoryBound(to: UInt16.self), source.stride / 2, rowCount, dimension, offsets,
      target, targetStride)
  }

  /// Rows as f32; `targetStride` in elements.
  @unsafe package func unsafeUnpack(
    _ rows: PackedRows, rowCount: Int, dimension: Int, target: UnsafeMutablePointer<Float>, targetStride: Int
  ) {
    unsafe table.pointee.unpack(rows.rows, rowCount, dimension, target, targetStride)
  }
}

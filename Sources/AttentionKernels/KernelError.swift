/// What is wrong with the arguments of a kernel, with the values that are.
///
/// Thrown before anything is computed, so outputs are as they were.
public enum KernelError: Error, Equatable, Sendable {
  /// This CPU lacks the level.
  case unsupportedLevel(SIMDLevel, supported: [SIMDLevel])
  /// A count or dimension is outside its range.
  case invalidCount(name: String, value: Int)
  /// Rows would overlap.
  case strideTooSmall(name: String, stride: Int, dimension: Int)
  /// Two arguments disagree about a size.
  case mismatch(name: String, expected: Int, actual: Int)
  /// A buffer ends before its shape does.
  case bufferTooSmall(name: String, required: Int, actual: Int)
  /// A shape has more elements than an `Int` counts.
  case sizeOverflow(name: String, count: Int, stride: Int)
  /// An index names no row.
  case indexOutOfRange(name: String, index: Int, limit: Int)
}

extension KernelError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unsupportedLevel(let level, let supported):
      "level \(level.rawValue) is not supported here: \(supported.map(\.rawValue).joined(separator: ", "))"
    case .invalidCount(let name, let value): "\(name) is \(value)"
    case .strideTooSmall(let name, let stride, let dimension):
      "\(name): stride \(stride) is less than the \(dimension) elements of a row"
    case .mismatch(let name, let expected, let actual): "\(name) is \(actual), expected \(expected)"
    case .bufferTooSmall(let name, let required, let actual):
      "\(name) has \(actual) elements, its shape needs \(required)"
    case .sizeOverflow(let name, let count, let stride):
      "\(name): \(count) rows of stride \(stride) are more elements than can be counted"
    case .indexOutOfRange(let name, let index, let limit): "\(name): index \(index) is not below \(limit)"
    }
  }
}

/// What is wrong with what a ``KeyValueIndex`` was asked, with the values that are. It is then as it was before.
///
/// Of files, ``IndexFileError`` tells.
public enum KeyValueIndexError: Error, Hashable, Sendable {
  /// An index that has rows already, whose keys are missing.
  case indexNotEmpty(rowCount: Int)
  /// Two arguments disagree about a size.
  case mismatch(name: String, expected: Int, actual: Int)
  /// A count that is not positive.
  case invalidCount(name: String, value: Int)
  /// An element that is infinite or no number, or is in 16 bits.
  case notFinite(name: String, element: Int)
  /// Ids have 32 bits, and are not used again.
  case tooManyRows(count: Int, limit: Int)
  /// There is no row of this id, or no longer.
  case noSuchRow(id: UInt32)
}

extension KeyValueIndexError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .indexNotEmpty(let count): "the index has \(count) rows, whose keys are missing"
    case .mismatch(let name, let expected, let actual): "\(name) is \(actual), expected \(expected)"
    case .invalidCount(let name, let value): "\(name) is \(value), but must be positive"
    case .notFinite(let name, let element): "element \(element) of \(name) is not a finite 16-bit float"
    case .tooManyRows(let count, let limit): "\(count) rows were inserted in all, and at most \(limit) can be"
    case .noSuchRow(let id): "there is no row \(id)"
    }
  }
}

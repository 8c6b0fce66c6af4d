// What may be wrong with a .npy file, with the value that is.

/// Why a `.npy` file was not read or written.
public struct NumpyError: Error, Equatable, Sendable {
  /// What is wrong, without the file.
  public enum Reason: Equatable, Sendable {
    /// The system's words.
    case unreadable(String)
    /// The system's words.
    case unwritable(String)
    /// The file does not begin as a `.npy` file does.
    case notNumpy
    /// A version of the format other than 1.0 to 3.0.
    case unsupportedVersion(major: Int, minor: Int)
    /// The header needs so many bytes of a file that has so many.
    case truncatedHeader(bytes: Int, fileBytes: Int)
    /// Text that is no header, from where it makes no sense.
    case malformedHeader(near: String)
    /// A length below zero.
    case negativeLength(Int)
    /// More than ``NumpyArray/maximumDimensions``.
    case tooManyDimensions(Int)
    /// More bytes than an address can count.
    case shapeTooLarge([Int])
    /// The type of the elements as the file names it.
    case unsupportedType(String)
    /// The shape needs so many bytes behind the header, the file has so many. A file whose writer was
    /// interrupted has more.
    case wrongLength(expected: Int, actual: Int)
    /// Another shape than the reader expects; a star stands for any length.
    case wrongShape(actual: [Int], expected: String)
    /// An element that is no whole number, or too large for the reader's type.
    case notRepresentable(Double, index: Int)
  }

  /// The file; empty for bytes in memory.
  public var path: String
  /// What is wrong with it.
  public var reason: Reason

  /// An error about a file.
  public init(path: String, _ reason: Reason) {
    self.path = path
    self.reason = reason
  }
}

extension NumpyError: CustomStringConvertible {
  /// The file and what is wrong with it; a clause without a full stop.
  public var description: String {
    (path.isEmpty ? "" : path + ": ") + reason.description
  }
}

extension NumpyError.Reason: CustomStringConvertible {
  /// The file and what is wrong with it; a clause without a full stop.
  public var description: String {
    switch self {
    case .unreadable(let reason): "cannot be read: \(reason)"
    case .unwritable(let reason): "cannot be written: \(reason)"
    case .notNumpy: "is not a .npy file"
    case .unsupportedVersion(let major, let minor):
      "has .npy version \(major).\(minor), but 1.0 to 3.0 are read"
    case .truncatedHeader(let bytes, let fileBytes): "has \(fileBytes) bytes, but its header needs \(bytes)"
    case .malformedHeader(let near): "has a malformed .npy header near \"\(near)\""
    case .negativeLength(let length): "has a dimension of \(length)"
    case .tooManyDimensions(let count):
      "has \(count) dimensions, but at most \(NumpyArray.maximumDimensions) are read"
    case .shapeTooLarge(let shape): "has the shape \(shape), more than can be addressed"
    case .unsupportedType(let name):
      "has elements of type \(name); read are f2, f4, f8, i1 to i8, u1 to u8 and b1, of either byte order"
    case .wrongLength(let expected, let actual):
      "should have \(expected) bytes of elements, but has \(actual)"
    case .wrongShape(let actual, let expected): "has the shape \(actual), but should have \(expected)"
    case .notRepresentable(let value, let index): "has \(value) at \(index), which is not a 32-bit integer"
    }
  }
}

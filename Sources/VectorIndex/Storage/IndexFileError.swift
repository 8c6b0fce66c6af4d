import Platform

/// What is wrong with an index file or with writing one, with the values that are.
///
/// An error of writing leaves the file that was there before as it was. An error of reading leaves no index.
public enum IndexFileError: Error, Equatable, Sendable {
  /// A system call failed; `code` is its `errno`.
  case system(operation: String, path: String, code: Int32)
  /// A directory, a pipe or a device.
  case notARegularFile(path: String)
  /// The file does not start as index files do.
  case notAnIndexFile(path: String)
  /// Written by a later version of this library, or damaged.
  case unsupportedVersion(path: String, expected: UInt32, actual: UInt32)
  /// An index of another kind; kinds are four characters, such as `CLUS`.
  case wrongKind(path: String, expected: String, actual: String)
  /// The right kind, in a layout that this version of the library does not know.
  case unsupportedKindVersion(path: String, kind: String, expected: UInt32, actual: UInt32)
  /// A size in bytes: the file was cut short, or something was appended.
  case wrongSize(path: String, expected: UInt64, actual: UInt64)
  /// A field of the header or a parameter has a value that no index has.
  case invalidField(path: String, name: String, expected: String, actual: String)
  case missingParameter(path: String, name: String)
  case missingSection(path: String, section: String)
  /// A name that occurs twice.
  case duplicateName(path: String, name: String)
  /// A section that does not start where the sections before it end.
  case misplacedSection(path: String, section: String, expected: UInt64, actual: UInt64)
  /// Bytes of an element.
  case wrongElementSize(path: String, section: String, expected: Int, actual: Int)
  /// Number of elements.
  case wrongCount(path: String, section: String, expected: Int, actual: Int)
  /// An element that would lead out of the rows or make sums meaningless.
  case invalidElement(path: String, section: String, index: Int, expected: String, actual: String)
  /// `section` is `header` for that.
  case wrongChecksum(path: String, section: String, expected: UInt32, actual: UInt32)
  /// The byte at `offset`, between sections, is not zero.
  case invalidPadding(path: String, offset: Int, actual: UInt8)
}

extension IndexFileError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .system(let operation, let path, let code): "\(path): \(operation): \(systemMessage(code))"
    case .notARegularFile(let path): "\(path) is not a regular file"
    case .notAnIndexFile(let path): "\(path) is not an index file"
    case .unsupportedVersion(let path, let expected, let actual):
      "\(path) has format version \(actual), this library reads version \(expected)"
    case .wrongKind(let path, let expected, let actual):
      "\(path) holds an index of kind \(actual), expected \(expected)"
    case .unsupportedKindVersion(let path, let kind, let expected, let actual):
      "\(path): the layout of kind \(kind) has version \(actual), this library reads version \(expected)"
    case .wrongSize(let path, let expected, let actual):
      "\(path) is damaged: it has \(actual) bytes, expected \(expected)"
    case .invalidField(let path, let name, let expected, let actual):
      "\(path) is damaged: \(name) is \(actual), expected \(expected)"
    case .missingParameter(let path, let name): "\(path) is damaged: parameter \(name) is missing"
    case .missingSection(let path, let section): "\(path) is damaged: section \(section) is missing"
    case .duplicateName(let path, let name): "\(path) is damaged: \(name) occurs twice"
    case .misplacedSection(let path, let section, let expected, let actual):
      "\(path) is damaged: section \(section) starts at \(actual), expected \(expected)"
    case .wrongElementSize(let path, let section, let expected, let actual):
      "\(path) is damaged: section \(section) has elements of \(actual) bytes, expected \(expected)"
    case .wrongCount(let path, let section, let expected, let actual):
      "\(path) is damaged: section \(section) has \(actual) elements, expected \(expected)"
    case .invalidElement(let path, let section, let index, let expected, let actual):
      "\(path) is damaged: element \(index) of section \(section) is \(actual), expected \(expected)"
    case .wrongChecksum(let path, let section, let expected, let actual):
      "\(path) is damaged: the checksum of \(section) is \(String(actual, radix: 16)), "
        + "expected \(String(expected, radix: 16))"
    case .invalidPadding(let path, let offset, let actual):
      "\(path) is damaged: byte \(offset) is \(actual), expected 0"
    }
  }
}

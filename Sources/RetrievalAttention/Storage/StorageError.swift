// What can go wrong between an engine and the files that it is kept in.

import Platform
public import VectorIndex

/// Errors of saving and opening contexts. Each names the file, and what was expected and found there.
///
/// An error of saving leaves the context as it was, and what was saved before. An error of opening leaves nothing.
public enum StorageError: Error, Equatable, Sendable {
  /// A system call failed; `code` is its `errno`.
  case system(operation: String, path: String, code: Int32)
  /// The file does not start as a segment of a session does.
  case notASegment(path: String)
  /// Written by a later version of this library, or damaged.
  case unsupportedVersion(path: String, expected: Int, actual: Int)
  /// The file is damaged, or belongs elsewhere.
  case damaged(path: String, what: String, expected: String, actual: String)
  /// The file became shorter while it was in use: what was computed from it is worthless, and so is the context.
  case cutShort(path: String)
  /// An index inside a file.
  case index(IndexFileError)
  /// A method of attention that has no format on disk.
  case unsupportedPolicy(name: String)
}

extension StorageError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .system(let operation, let path, let code):
      code == ENOMEM && operation == "mmap"
        ? "\(path): no room for another mapping: the system allows too few of them (vm.max_map_count), or too "
          + "little address space"
        : unsafe "\(path): \(operation): \(String(cString: strerror(code)))"
    case .notASegment(let path): "\(path) is not a part of a session"
    case .unsupportedVersion(let path, let expected, let actual):
      "\(path) has format version \(actual), this library reads version \(expected): it was written by a later "
        + "version, or is damaged"
    case .damaged(let path, let what, let expected, let actual):
      "\(path) is damaged: \(what) is \(actual), expected \(expected)"
    case .cutShort(let path): "\(path) became shorter while it was in use: another program has damaged it"
    case .index(let error): "\(error)"
    case .unsupportedPolicy(let name): "contexts with \(name) attention cannot be saved"
    }
  }
}

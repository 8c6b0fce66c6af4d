// Errors of sessions on disk. Each says what was expected and what was found.

import Foundation
import Platform

/// What is wrong with a session, or with using it.
///
/// An error of opening leaves nothing open. An error of saving leaves the session in memory as it is, and on disk as
/// it was saved last.
public enum SessionError: Error, Equatable, Sendable {
  /// There is no session at this path.
  case notFound(path: String)
  /// The directory exists, but is no session.
  case notASession(path: String, reason: String)
  /// Something is there already.
  case exists(path: String)
  /// The manifest is damaged.
  case damagedManifest(path: String, reason: String)
  /// Written by a later version of this library.
  case unsupportedVersion(path: String, expected: Int, found: Int)
  /// The session was made with another model; `property` is what differs first.
  case otherModel(path: String, property: String, expected: String, found: String)
  /// Another process has it open for writing.
  case locked(path: String, owner: String)
  /// It was opened for reading.
  case readOnly(path: String)
  /// A name that is no file name, or has unusual characters.
  case invalidName(String)
  case invalidSetting(name: String, value: String, requirement: String)
  /// A system call failed; `code` is its `errno`.
  case system(operation: String, path: String, code: Int32)
}

extension SessionError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .notFound(let path): "there is no session at \(path)"
    case .notASession(let path, let reason): "\(path) is not a session: \(reason)"
    case .exists(let path): "\(path) exists already; choose another name, or remove it first"
    case .damagedManifest(let path, let reason): "\(path) is damaged: \(reason)"
    case .unsupportedVersion(let path, let expected, let found):
      "\(path) has format version \(found), this program reads version \(expected); update it"
    case .otherModel(let path, let property, let expected, let found):
      "the session \(path) was made with another model: its \(property) is \(expected), this model's is \(found)"
    case .locked(let path, let owner):
      "the session \(path) is open for writing (\(owner)); wait for that, or open it for reading"
    case .readOnly(let path): "the session \(path) was opened for reading and cannot be saved"
    case .invalidName(let name):
      "'\(name)' cannot be the name of a session: use letters, digits, '.', '-' and '_', at most 100 of them, "
        + "no '.' in front and no '.tmp' behind"
    case .invalidSetting(let name, let value, let requirement):
      "\(name) is \(value), but must be \(requirement)"
    case .system(let operation, let path, let code):
      "\(path): \(operation): \(systemMessage(code))"
    }
  }
}

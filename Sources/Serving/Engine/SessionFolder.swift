// The sessions on disk that a server has: those it was given, and those it keeps.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention

/// A folder in which one server keeps sessions.
///
/// A session appears there complete or not at all, so whatever ends the process, those that were told to be ready are there
/// at the next start. Names are checked or made here: none comes from a request.
final class SessionFolder: Sendable {
  let path: String
  private let lock: Int32

  /// Makes the folder, if there is none, and takes it for this process.
  ///
  /// - Throws: ``SessionSetupError`` when another server has it, or it cannot be made.
  init(_ path: String) throws {
    self.path = URL(fileURLWithPath: path).standardizedFileURL.path
    do {
      try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: true)
    } catch {
      throw SessionSetupError.unusableFolder(path: path, reason: (error as NSError).localizedDescription)
    }
    // Its name is no session's.
    lock = open("\(self.path)/.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard lock >= 0 else {
      throw SessionSetupError.unusableFolder(path: path, reason: String(cString: strerror(errno)))
    }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      close(lock)
      throw code == EWOULDBLOCK
        ? SessionSetupError.folderInUse(path: path)
        : SessionSetupError.unusableFolder(path: path, reason: String(cString: strerror(code)))
    }
    removeLeftovers()
  }

  deinit { close(lock) }

  /// Lets another server have the folder.
  func release() { flock(lock, LOCK_UN) }

  /// Removes what a server left that was ended while it made or removed a session: names that end in `.tmp`, and sessions
  /// without a save.
  private func removeLeftovers() {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    where name.hasPrefix("ses-") && name.hasSuffix(".tmp") {
      try? FileManager.default.removeItem(atPath: "\(path)/\(name)")
    }
    for session in SessionStore(folder: path).list().sessions
    where session.tokenCount == 0 && session.pendingTokenCount == 0 {
      try? Session.remove(session.directory)
    }
  }

  /// Where the session of an identifier is, or is to be.
  func directory(of id: String) throws -> String {
    guard SessionStore.isValidName(id) else { throw SessionError.invalidName(id) }
    return "\(path)/\(id)"
  }
}

/// Why a server cannot start with the sessions that it was given.
public enum SessionSetupError: Error, Equatable, CustomStringConvertible {
  case folderInUse(path: String)
  case unusableFolder(path: String, reason: String)
  /// Reading its documents was interrupted.
  case incomplete(path: String, done: Int, pending: Int)
  case tooLong(path: String, tokens: Int, limit: Int)
  case sameName(String, paths: [String])
  /// Sessions need a policy that can be saved.
  case unsupportedPolicy(name: String)

  public var description: String {
    switch self {
    case .folderInUse(let path):
      "another server keeps its sessions in \(path): end that one, or give this one a folder of its own"
    case .unusableFolder(let path, let reason): "sessions cannot be kept in \(path): \(reason)"
    case .incomplete(let path, let done, let pending):
      "reading into the session \(path) was interrupted after \(done) of \(done + pending) tokens: go on with "
        + "'ra ingest --resume --session \(path)' first"
    case .tooLong(let path, let tokens, let limit):
      "the session \(path) has \(tokens) tokens, which leaves no room for a question in a context of \(limit)"
    case .sameName(let name, let paths):
      "two sessions have the name \(name), by which clients would call them: \(paths.joined(separator: ", "))"
    case .unsupportedPolicy(let name):
      "sessions on disk need the attention retrieval or exact, not \(name)"
    }
  }
}

// The sessions on disk that a server has: those it was given, and those it keeps.

import Foundation
import Generation
import LlamaHost
import Platform
import RetrievalAttention

/// A folder in which one server keeps sessions.
///
/// A session appears there complete or not at all, so whatever ends the process, those that were told to be ready are
/// there at the next start. Names are checked or made here: none comes from a request.
final class SessionFolder: Sendable {
  let path: String
  private let lock: FileLock

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
    do {
      // Its name is no session's.
      lock = try FileLock("\(self.path)/.lock", mode: 0o600)
    } catch {
      throw Self.problem(error, path: path)
    }
    removeLeftovers()
  }

  private static func problem(_ failure: FileLock.Failure, path: String) -> SessionSetupError {
    switch failure {
    case .held: .folderInUse(path: path)
    case .system(_, let code): .unusableFolder(path: path, reason: systemMessage(code))
    }
  }

  /// Throws ``SessionSetupError`` when another server has the folder, or it cannot be one; changes nothing.
  static func check(_ path: String) throws {
    var place = URL(fileURLWithPath: path).standardizedFileURL
    do {
      _ = try FileLock("\(place.path)/.lock", mode: nil)
    } catch {
      guard error == .system(operation: "open", code: ENOENT) else { throw problem(error, path: path) }
      // Nobody has used it yet: it, or what is there of the way to it, must take a new name.
      while !FileManager.default.fileExists(atPath: place.path), place.path != "/" {
        place.deleteLastPathComponent()
      }
      guard unsafe access("\(place.path)/.", W_OK | X_OK) == 0 else {
        throw problem(.system(operation: "access", code: errno), path: path)
      }
    }
  }

  /// Lets another server have the folder.
  func release() { lock.release() }

  /// Removes what a server left that was ended while it made or removed a session: names that end in `.tmp`, and
  /// sessions without a save.
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
  /// Another server has it.
  case folderInUse(path: String)
  /// The system's words.
  case unusableFolder(path: String, reason: String)
  /// Reading its documents was interrupted.
  case incomplete(path: String, done: Int, pending: Int)
  /// A session of more tokens than contexts have.
  case tooLong(path: String, tokens: Int, limit: Int)
  /// Two sessions that requests could not tell apart.
  case sameName(String, paths: [String])
  /// Sessions need a policy that can be saved.
  case unsupportedPolicy(name: String)

  /// A clause without a full stop.
  public var description: String {
    switch self {
    case .folderInUse(let path):
      "another server keeps its sessions in \(path): end that one, or give this one a folder of its own"
    case .unusableFolder(let path, let reason): "sessions cannot be kept in \(path): \(reason)"
    case .incomplete(let path, let done, let pending):
      "reading into the session \(path) was interrupted after \(done) of \(done + pending) tokens"
    case .tooLong(let path, let tokens, let limit):
      "the session \(path) has \(tokens) tokens, which leaves no room for a question in a context of \(limit)"
    case .sameName(let name, let paths):
      "two sessions have the name \(name), by which clients would call them: \(paths.joined(separator: ", "))"
    case .unsupportedPolicy(let name):
      "sessions on disk need the attention retrieval or exact, not \(name)"
    }
  }
}

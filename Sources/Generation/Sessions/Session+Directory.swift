// Copies and removal: both need no model.

import Foundation
import Platform
import RetrievalAttention

extension Session {
  /// Makes a session that begins as a copy of another one, and shares its files where the file system can (by hard
  /// links: they are never written again). So a copy costs next to nothing until it goes its own way.
  ///
  /// The original may be open meanwhile; what its last save wrote is copied.
  ///
  /// - Throws: ``SessionError``; nothing is left at `destination` then.
  @discardableResult
  public static func copy(_ source: String, to destination: String) throws -> SessionDescription {
    guard !FileManager.default.fileExists(atPath: destination) else {
      throw SessionError.exists(path: destination)
    }
    var attempt = 0
    while true {
      var manifest = try SessionManifest.read(source)
      manifest.created = Date().timeIntervalSince1970
      do {
        _ = try makeDirectory(destination, manifest) { temporary in
          for file in manifest.files {
            try linkOrCopy("\(source)/\(file.name)", to: "\(temporary)/\(file.name)")
          }
        }
        return SessionDescription(manifest, directory: destination)
      } catch SessionError.system(_, _, code: ENOENT) where attempt < 8 {
        // A writer has saved meanwhile and removed a file.
        attempt += 1
      }
    }
  }

  private static func linkOrCopy(_ source: String, to destination: String) throws {
    if unsafe link(source, destination) == 0 { return }
    // Another file system, or one without links.
    guard errno != ENOENT else {
      throw SessionError.system(operation: "link", path: source, code: ENOENT)
    }
    let segment = try SegmentFile(opening: source, home: nil)
    try segment.copy(to: destination)
  }

  /// Removes a session from the disk.
  ///
  /// Readers that have it open can go on. Throws ``SessionError/notFound(path:)`` and
  /// ``SessionError/notASession(path:reason:)`` for anything that is no session's directory, and
  /// ``SessionError/locked(path:owner:)`` while it is open for writing. A damaged session can be removed.
  public static func remove(_ directory: String) throws {
    do {
      _ = try SessionManifest.read(directory)
    } catch let error as SessionError {
      switch error {
      case .damagedManifest, .unsupportedVersion: break
      default: throw error
      }
    }
    let lock = try SessionLock(directory)
    defer { withExtendedLifetime(lock) {} }
    try removeFiles(directory)
  }

  /// Removes this session, which must be open for writing, from the disk: one into which nothing could be read, say.
  /// Its ``runner`` can go on, and ``save()`` fails.
  ///
  /// Throws ``SessionError/readOnly(path:)`` and what the system says.
  public func discard() throws {
    guard access == .write else { throw SessionError.readOnly(path: directory) }
    try Self.removeFiles(directory)
  }

  private static func removeFiles(_ directory: String) throws {
    // Under a name that no list shows: half removed, it would look damaged.
    let doomed = "\(directory).\(String(UInt64.random(in: 0 ... .max), radix: 36)).tmp"
    guard unsafe rename(directory, doomed) == 0 else {
      throw SessionError.system(operation: "rename", path: directory, code: errno)
    }
    do {
      try FileManager.default.removeItem(atPath: doomed)
    } catch {
      throw SessionError.notASession(
        path: doomed,
        reason: "it was a session and cannot be removed entirely (\(failureReason(error)))")
    }
  }
}

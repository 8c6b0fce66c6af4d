// Sessions by name, in a folder.

import Foundation
import Platform

/// A folder of sessions.
///
///     let store = try SessionStore.standard
///     let session = try Session.open(store.path(for: "alice"), host: host)
///
/// Names are checked, so that no name leads out of the folder.
public struct SessionStore: Sendable {
  public let folder: String

  /// A store in this folder, which is made when it is first needed.
  public init(folder: String) {
    self.folder = folder
  }

  /// The user's own: `$XDG_DATA_HOME/retrieval-attention/sessions` or `$HOME/.local/share/...`; on macOS
  /// `~/Library/Application Support/RetrievalAttention/Sessions`. Without HOME the user's entry in the system's list
  /// counts.
  public static var standard: SessionStore {
    let home = UserFolder.home
    #if os(macOS)
      return SessionStore(folder: "\(home)/Library/Application Support/RetrievalAttention/Sessions")
    #else
      // The convention: a path that is not absolute is to be ignored.
      let data = ProcessInfo.processInfo.environment["XDG_DATA_HOME"].flatMap {
        $0.hasPrefix("/") ? $0 : nil
      }
      return SessionStore(folder: "\(data ?? "\(home)/.local/share")/retrieval-attention/sessions")
    #endif
  }

  /// The path of a session of this name, which may not exist yet; makes the folder.
  ///
  /// Throws ``SessionError/invalidName(_:)`` for anything but letters, digits, `.`, `-` and `_`, in at most 100
  /// characters, the first one no `.`, the last ones not `.tmp`; ``SessionError/system(operation:path:code:)``.
  public func path(for name: String) throws -> String {
    try Self.check(name)
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw SessionError.notASession(
        path: folder, reason: "it cannot be made (\(failureReason(error)))")
    }
    return "\(folder)/\(name)"
  }

  /// Whether a name can be a session's.
  public static func isValidName(_ name: String) -> Bool {
    // Directories of sessions that are being made or removed end in .tmp.
    !name.hasSuffix(".tmp") && (1...100).contains(name.utf8.count) && name.utf8.first != UInt8(ascii: ".")
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }

  private static func check(_ name: String) throws {
    guard isValidName(name) else { throw SessionError.invalidName(name) }
  }

  /// All sessions, by name, and what in the folder cannot be read as one.
  public func list() -> (sessions: [SessionDescription], damaged: [(name: String, error: any Error)]) {
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    var sessions: [SessionDescription] = []
    var damaged: [(name: String, error: any Error)] = []
    for name in names where Self.isValidName(name) {
      do {
        sessions.append(try SessionDescription(at: "\(folder)/\(name)"))
      } catch {
        damaged.append((name, error))
      }
    }
    return (sessions, damaged)
  }

  /// The names of all sessions, whether or not they can be read: opens none.
  public func names() -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.sorted().filter {
      Self.isValidName($0)
        && FileManager.default.fileExists(atPath: "\(folder)/\($0)/\(SessionManifest.fileName)")
    }
  }

  /// Removes a session; see ``Session/remove(_:)``.
  public func remove(_ name: String) throws {
    try Self.check(name)
    try Session.remove("\(folder)/\(name)")
  }
}

// Profiles that are found by the model's file.

import Foundation
import Platform

extension RetrievalProfile {
  /// A profile, and its file.
  public struct Known: Sendable, Hashable {
    public var profile: RetrievalProfile
    public var path: String
  }

  /// Where people put profiles of their own: those that say which file they are for are found there.
  public static var folder: String { UserFolder.data.path("profiles") }

  /// The profile for a model's file, of the user's folder.
  ///
  /// Cost: 2 MiB of the model, and the folder's files, of which those that are no profiles do not count.
  ///
  /// Throws ``GenerationError/unreadableFile(path:reason:)`` for the model.
  public static func known(forModel path: String, folder: String = RetrievalProfile.folder) throws -> Known? {
    try known(withFingerprint: ModelFingerprint.text(ofFile: path), folder: folder)
  }

  static func known(withFingerprint fingerprint: String, folder: String) -> Known? {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    for name in names.sorted() where name.hasSuffix(".json") {
      let path = "\(folder)/\(name)"
      guard let profile = try? RetrievalProfile(contentsOf: path), profile.fingerprint == fingerprint else {
        continue
      }
      return Known(profile: profile, path: path)
    }
    return nil
  }
}

// Where models are on this machine.

import Foundation
import Platform

/// The folders in which models are looked for, and the one to which they are fetched.
package struct ModelFolders: Sendable {
  /// Looked into in this order.
  package var places: [String]

  package init(_ places: [String]) { self.places = places }

  /// `RA_MODELS`, or `.models` of the current folder and the user's own.
  package static var standard: ModelFolders {
    if let named = ProcessInfo.processInfo.environment["RA_MODELS"], !named.isEmpty {
      // Shells do not do it in files.
      return ModelFolders([named.hasPrefix("~/") ? UserFolder.home + named.dropFirst() : named])
    }
    return ModelFolders([
      FileManager.default.currentDirectoryPath + "/.models", UserFolder.data.path("models"),
    ])
  }

  /// The first one that is there, or the last one, which is made: a checkout keeps its models to itself.
  package var target: String {
    var isFolder: ObjCBool = false
    let existing = places.dropLast().first {
      unsafe FileManager.default.fileExists(atPath: $0, isDirectory: &isFolder) && isFolder.boolValue
    }
    return existing ?? places.last ?? "."
  }

  /// Paths of the models of one folder, by name; of split ones the first part.
  package static func models(in folder: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.sorted().filter { name in
      guard name.lowercased().hasSuffix(".gguf"), !name.hasPrefix(".") else { return false }
      guard let shard = ShardName(name) else { return true }
      return shard.number == 1
    }.map { "\(folder)/\($0)" }
  }

  /// The model that a name means: a short name of the catalog, or the name of a file with or without its ending.
  package func path(named name: String) -> String? {
    let file = ModelCatalog.model(named: name)?.file
    for folder in places {
      for path in Self.models(in: folder) {
        let found = URL(fileURLWithPath: path).lastPathComponent
        if found == file || found == name || found.dropLast(5) == name { return path }
      }
    }
    return nil
  }
}

/// The name of a part of a split model: `NAME-00002-of-00005.gguf`.
package struct ShardName: Sendable, Equatable {
  package var prefix: String
  package var number: Int
  package var count: Int

  package init?(_ name: String) {
    guard let match = name.wholeMatch(of: #/(.+)-(\d{5})-of-(\d{5})\.gguf/#.ignoresCase()),
      let number = Int(match.2), let count = Int(match.3), number >= 1, count >= number
    else { return nil }
    (prefix, self.number, self.count) = (String(match.1), number, count)
  }

  /// The name of another part.
  package func name(_ number: Int) -> String {
    func padded(_ number: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }
    return "\(prefix)-\(padded(number))-of-\(padded(count)).gguf"
  }
}

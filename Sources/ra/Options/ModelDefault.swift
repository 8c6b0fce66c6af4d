// From what names a model, or nothing, to its file.

import Downloads
import Foundation
import Generation
import Platform

/// Where a model is that an option names, and where one comes from that none does: RA_MODEL, the configuration, or the
/// only one in the models' folder.
enum ModelDefault {
  static let help =
    "(default: RA_MODEL, then 'model' in the configuration file, then the only one in the models' folder)"

  /// The path of the model. An empty option is a path that leads nowhere.
  ///
  /// Throws ``CommandError`` where none or several are there to choose from.
  static func path(_ given: String?) throws -> String {
    if let given { return try resolved(given) }
    if let path = environment("RA_MODEL") { return try resolved(expanded(path)) }
    if let path = try Configuration.shared.model { return try resolved(expanded(path)) }
    let folders = ModelFolders.standard.places
    let found = available
    switch found.count {
    case 1: return found[0]
    case 0: throw CommandError.noModelFound(folders: folders)
    default: throw CommandError.severalModels(found)
    }
  }

  /// The models of the first folder that has some.
  static var available: [String] {
    ModelFolders.standard.places.lazy.map { ModelFolders.models(in: $0) }.first { !$0.isEmpty } ?? []
  }

  /// The file that a path or a name means. A file counts before a name; a path that leads nowhere stays what it is, and
  /// is told when it is opened.
  ///
  /// Throws ``CommandError/notPulled(name:)`` for the name of a model that could be fetched.
  static func resolved(_ name: String) throws -> String {
    guard !name.isEmpty, !name.contains("/"), !FileManager.default.fileExists(atPath: name) else {
      return name
    }
    if let path = ModelFolders.standard.path(named: name) { return path }
    guard ModelCatalog.model(named: name) == nil else { throw CommandError.notPulled(name: name) }
    return name
  }

  /// Whether there is one.
  static var isPossible: Bool { (try? path(nil)) != nil }

  private static func environment(_ name: String) -> String? {
    ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Shells do not do it in files.
  private static func expanded(_ path: String) -> String {
    path.hasPrefix("~/") ? UserFolder.home + path.dropFirst() : path
  }
}

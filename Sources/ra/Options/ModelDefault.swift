// The model when none is named.

import Foundation
import Generation
import Platform

/// Where a model comes from that no option names: RA_MODEL, the configuration, or the only one in the models' folder.
enum ModelDefault {
  static let help =
    "(default: RA_MODEL, then 'model' in the configuration file, then the only one in the models' folder)"

  /// The path of the model. An empty option is a path that leads nowhere.
  ///
  /// Throws ``CommandError`` where none or several are there to choose from.
  static func path(_ given: String?) throws -> String {
    if let given { return given }
    if let path = environment("RA_MODEL") { return expanded(path) }
    if let path = try Configuration.shared.model { return expanded(path) }
    let found = available
    switch found.count {
    case 1: return found[0]
    case 0: throw CommandError.noModelFound(folders: folders)
    default: throw CommandError.severalModels(found)
    }
  }

  /// The models of the first folder that has some.
  static var available: [String] {
    folders.lazy.map(models(in:)).first { !$0.isEmpty } ?? []
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

  /// Where `scripts/fetch-model` puts models, and the user's own folder.
  private static var folders: [String] {
    if let folder = environment("RA_MODELS") { return [expanded(folder)] }
    return [FileManager.default.currentDirectoryPath + "/.models", UserFolder.data.path("models")]
  }

  /// Models of a folder; of split ones the first part.
  private static func models(in folder: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.sorted().filter { name in
      guard name.lowercased().hasSuffix(".gguf"), !name.hasPrefix(".") else { return false }
      guard let part = name.firstMatch(of: #/-(\d{5})-of-\d{5}\.gguf$/#) else { return true }
      return part.1 == "00001"
    }.map { "\(folder)/\($0)" }
  }
}

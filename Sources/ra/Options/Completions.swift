// What a shell offers for the values of options, when somebody presses Tab.

import ArgumentParser
import AttentionPolicies
import Foundation
import Generation
import Platform
import RetrievalAttention

// Nothing here opens more than folders: whoever presses Tab waits.
extension CompletionKind {
  /// Files of models and folders; where nothing was typed, also what lies in the models' folders.
  static let model = CompletionKind.custom { _, _, prefix in
    (prefix.isEmpty ? ModelDefault.available : []) + files(prefix) { $0.lowercased().hasSuffix(".gguf") }
  }

  /// Arrays.
  static let npy = CompletionKind.file(extensions: ["npy"])

  /// Names of sessions; folders where a path was begun.
  static let session = CompletionKind.custom { _, _, prefix in
    guard !prefix.contains("/"), !prefix.hasPrefix("~") else { return files(prefix) { _ in false } }
    return SessionStore.standard.names() + SessionStore.cache.names()
  }

  /// A method of attention; behind its colon, its settings.
  static let attention = CompletionKind.custom { _, _, prefix in attentions(prefix) }

  /// Several, with commas between them.
  static let attentions = CompletionKind.custom { _, _, prefix in
    // A comma may belong to the settings of the last one.
    if prefix.contains(":") { return attentions(prefix) }
    return continued(prefix) { attentions("") }
  }

  /// Several of these names, with commas between them.
  static func commaSeparated(_ names: @escaping @Sendable () -> [String]) -> CompletionKind {
    .custom { _, _, prefix in continued(prefix, names) }
  }

  private static func continued(_ prefix: String, _ names: () -> [String]) -> [String] {
    let parts = prefix.split(separator: ",", omittingEmptySubsequences: false)
    let before = parts.dropLast().map { "\($0)," }.joined()
    return names().filter { !parts.dropLast().contains(Substring($0)) }.map { before + $0 }
  }

  private static func attentions(_ prefix: String) -> [String] {
    let registry = PolicyRegistry.published
    guard let colon = prefix.firstIndex(of: ":") else { return registry.names + ["host"] }
    // In a list the last one is being written.
    let start = prefix[..<colon].lastIndex(of: ",").map { prefix.index(after: $0) } ?? prefix.startIndex
    guard let policy = registry.catalog.first(where: { $0.name == prefix[start..<colon] }) else { return [] }
    let settings = prefix[prefix.index(after: colon)...]
    let before = prefix[...colon] + (settings.lastIndex(of: ",").map { settings[...$0] } ?? "")
    let given = settings.split(separator: ",").dropLast(settings.hasSuffix(",") ? 0 : 1)
      .map { $0.prefix { $0 != "=" } }
    return policy.parameters.filter { !given.contains(Substring($0.name)) }
      .map { "\(before)\($0.name)=\($0.default)" }
  }

  /// Folders, and the files that are wanted, whose paths begin so.
  private static func files(_ prefix: String, _ isWanted: (String) -> Bool) -> [String] {
    let slash = prefix.lastIndex(of: "/")
    let folder = slash.map { String(prefix[...$0]) } ?? ""
    let begun = slash.map { prefix[prefix.index(after: $0)...] } ?? prefix[...]
    let path = folder.isEmpty ? "." : folder.hasPrefix("~/") ? UserFolder.home + folder.dropFirst() : folder
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    // Bash puts a slash behind folders by itself.
    let end = CompletionShell.requesting == .bash ? "" : "/"
    return names.sorted().compactMap { name in
      guard name.hasPrefix(begun), !name.hasPrefix(".") || begun.hasPrefix(".") else { return nil }
      var isFolder: ObjCBool = false
      let exists = unsafe FileManager.default.fileExists(atPath: "\(path)/\(name)", isDirectory: &isFolder)
      guard exists else { return nil }
      return isFolder.boolValue ? folder + name + end : isWanted(name) ? folder + name : nil
    }
  }
}

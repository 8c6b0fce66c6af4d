// From what a user names to files.

import Foundation
import Platform

/// Something to read.
enum DocumentSource {
  /// A file that was named by itself.
  case file(path: String)
  case standardInput
  /// A folder, or a pattern below one.
  case folder(path: String, pattern: GlobPattern?)

  /// What an argument means: `-`, a `file://` address, a file, a folder, or a pattern where there is no such file.
  ///
  /// - Throws: ``DocumentError`` for what is not there.
  init(_ argument: String) throws(DocumentError) {
    if argument == "-" {
      self = .standardInput
      return
    }
    let path = try Self.path(argument)
    if Self.exists(path) {
      var isFolder: ObjCBool = false
      _ = unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
      self =
        isFolder.boolValue
        ? .folder(path: Self.absolute(path), pattern: nil) : .file(path: Self.absolute(path))
    } else if GlobPattern.isPattern(path) {
      self = try Self.pattern(path)
    } else {
      throw .unreadable(path: path, reason: "no such file or folder")
    }
  }

  /// Whether an argument can only mean documents: it is a file, a folder, a pattern with files, or an address.
  static func isNamed(by argument: String) -> Bool {
    if argument == "-" || argument.hasPrefix("file://") { return true }
    if exists(argument) { return true }
    // A question may have a question mark.
    guard GlobPattern.isPattern(argument), !argument.contains(where: \.isWhitespace) else { return false }
    guard case .folder(let path, let pattern?) = try? pattern(argument) else { return false }
    var walk = FolderWalk()
    try? walk.walk(path)
    return walk.files.contains { pattern.matches($0.names) }
  }

  private static func exists(_ path: String) -> Bool {
    !path.isEmpty && !path.utf8.contains(0) && FileManager.default.fileExists(atPath: path)
  }

  private static func path(_ argument: String) throws(DocumentError) -> String {
    guard argument.contains("://"), !exists(argument) else { return argument }
    guard let address = URL(string: argument), address.isFileURL, !address.path.isEmpty,
      [nil, "", "localhost"].contains(address.host)
    else { throw .notAFile(address: argument) }
    return address.path
  }

  /// The folder in front of the first name with a special character, and what is to match below it.
  private static func pattern(_ path: String) throws(DocumentError) -> DocumentSource {
    let names = path.split(separator: "/")
    let fixed = names.prefix { !GlobPattern.isPattern($0) }
    let folder = (path.hasPrefix("/") ? "/" : "") + fixed.joined(separator: "/")
    guard folder.isEmpty || exists(folder) else {
      throw .unreadable(path: path, reason: "there is no folder \(folder)")
    }
    return .folder(
      path: absolute(folder.isEmpty ? "." : folder),
      pattern: try GlobPattern(names.dropFirst(fixed.count).joined(separator: "/")))
  }

  /// Without `.`, `..` and doubled slashes; links stay as they are.
  static func absolute(_ path: String) -> String {
    URL(fileURLWithPath: path).standardizedFileURL.path
  }
}

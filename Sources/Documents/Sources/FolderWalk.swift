// The files of a folder, in an order that does not depend on the file system.

import Foundation
import Platform

/// Finds the files below a folder that are worth a look.
///
/// Hidden files and folders are left out, `.git` among them, links, and what .gitignore files name.
struct FolderWalk {
  /// A file, by its names from the folder on.
  struct File {
    var path: String
    var names: [String]
  }

  let include: [GlobPattern]
  let exclude: [GlobPattern]
  let usesIgnoreFiles: Bool
  private(set) var files: [File] = []
  /// Links that were not followed.
  private(set) var linkCount = 0
  /// Folders that the system does not let us see.
  private(set) var unreadable: [String] = []

  init(include: [GlobPattern] = [], exclude: [GlobPattern] = [], usesIgnoreFiles: Bool = true) {
    self.include = include
    self.exclude = exclude
    self.usesIgnoreFiles = usesIgnoreFiles
  }

  /// Patterns of the command line: those without a slash mean names at any depth.
  static func pattern(_ text: String) throws(DocumentError) -> GlobPattern {
    let pattern = try GlobPattern(text)
    return text.dropLast().contains("/") ? pattern : pattern.atAnyDepth
  }

  /// Looks through a folder. Throws ``DocumentError/unreadable(path:reason:)``, and `CancellationError`.
  mutating func walk(_ folder: String) throws {
    let components = folder.split(separator: "/").map(String.init)
    do {
      try walk(
        components, names: [], usesIgnoreFiles ? IgnoreRules(above: components) : .none)
    } catch let error as CocoaError {
      throw DocumentError.unreadable(path: folder, reason: failureReason(error))
    }
    // By the whole path, as `sort` does: a folder's files come where its name does.
    files.sort {
      $0.names.joined(separator: "/").utf8.lexicographicallyPrecedes($1.names.joined(separator: "/").utf8)
    }
  }

  private mutating func walk(_ folder: [String], names: [String], _ rules: IgnoreRules) throws {
    try Task.checkCancellation()
    var rules = rules
    if usesIgnoreFiles { rules.enter(folder) }
    let folderPath = "/" + folder.joined(separator: "/")
    for name in try FileManager.default.contentsOfDirectory(atPath: folderPath).sorted() {
      if name.hasPrefix(".") { continue }
      let (absolute, names) = (folder + [name], names + [name])
      let path = "/" + absolute.joined(separator: "/")
      var status = stat()
      guard unsafe lstat(path, &status) == 0 else { continue }
      let kind = status.st_mode & S_IFMT
      let isFolder = kind == S_IFDIR
      if rules.ignores(absolute, isFolder: isFolder) || exclude.contains(where: { $0.matches(names) }) {
        continue
      }
      if isFolder {
        do {
          try walk(absolute, names: names, rules)
        } catch is CocoaError {
          unreadable.append(names.joined(separator: "/"))
        }
      } else if kind == S_IFLNK {
        linkCount += 1
      } else if kind == S_IFREG, include.isEmpty || include.contains(where: { $0.matches(names) }) {
        files.append(File(path: path, names: names))
      }
    }
  }
}

// .gitignore (git's documentation, gitignore(5)).

import Foundation

/// The rules of one .gitignore file.
struct IgnoreFile: Sendable {
  private struct Rule {
    var pattern: GlobPattern
    var isNegated: Bool
    var isOfFolders: Bool
  }

  private var rules: [Rule] = []

  /// Reads the text of such a file. Lines that are no patterns are left out, as git does.
  init(_ text: String) {
    for line in text.split(whereSeparator: \.isNewline) {
      var line = Self.withoutTrailingSpaces(line)
      if line.isEmpty || line.hasPrefix("#") { continue }
      let isNegated = line.hasPrefix("!")
      if isNegated { line = line.dropFirst() }
      let isOfFolders = line.hasSuffix("/")
      if isOfFolders { line = line.dropLast() }
      // Without a slash in front or in the middle, it means any depth below.
      let isAnchored = line.contains("/")
      if line.hasPrefix("/") { line = line.dropFirst() }
      guard let pattern = try? GlobPattern(isAnchored ? String(line) : "**/\(line)") else { continue }
      rules.append(Rule(pattern: pattern, isNegated: isNegated, isOfFolders: isOfFolders))
    }
  }

  private static func withoutTrailingSpaces(_ line: Substring) -> Substring {
    var line = line
    while line.hasSuffix(" "), !line.hasSuffix("\\ ") { line = line.dropLast() }
    return line
  }

  /// Whether a path, seen from the file's folder, is ignored; nil where the file says nothing about it. The last rule
  /// that fits counts.
  func ignores(_ path: some Collection<String>, isFolder: Bool) -> Bool? {
    rules.last { rule in (isFolder || !rule.isOfFolders) && rule.pattern.matches(path) }.map { !$0.isNegated }
  }
}

/// The rules that count in a folder: those of folders above it, and its own.
struct IgnoreRules: Sendable {
  /// With the number of names in the path of its folder.
  private var files: [(depth: Int, file: IgnoreFile)] = []

  static let none = IgnoreRules()

  /// Those that count above a folder: up to the one that is a repository, which has `.git`.
  init(above folder: [String]) {
    var root: Int?
    for depth in stride(from: folder.count, through: 0, by: -1) {
      let path = "/" + folder[..<depth].joined(separator: "/")
      if FileManager.default.fileExists(atPath: path + "/.git") {
        root = depth
        break
      }
    }
    guard let root else { return }
    for depth in root..<max(root, folder.count) { enter(Array(folder[..<depth])) }
  }

  private init() {}

  /// Adds the rules of a folder's own file, if it has one.
  mutating func enter(_ folder: [String]) {
    let path = "/" + folder.joined(separator: "/") + "/.gitignore"
    // One that cannot be read ignores nothing, as for git.
    guard let data = FileManager.default.contents(atPath: path), data.count < 1 << 20 else { return }
    files.append((folder.count, IgnoreFile(String(decoding: data, as: UTF8.self))))
  }

  /// Whether a file or folder is ignored, by the names of its absolute path. The nearest file that says something
  /// counts.
  func ignores(_ path: [String], isFolder: Bool) -> Bool {
    for (depth, file) in files.reversed() {
      if let answer = file.ignores(path.dropFirst(depth), isFolder: isFolder) { return answer }
    }
    return false
  }
}

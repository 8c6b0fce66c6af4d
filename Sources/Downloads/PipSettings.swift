// Where packages of Python come from on this machine: pip's own settings, which it has already if it needs any.

import Foundation
import Platform

/// pip's settings, from its files and then its environment variables, without asking pip.
///
/// https://pip.pypa.io/en/stable/topics/configuration/
struct PipSettings {
  /// By name, such as `index-url`.
  var values: [String: String] = [:]

  /// What pip itself has for a default.
  private static let standardIndex = "https://pypi.org/simple"

  /// Of this process's user.
  init(environment: [String: String] = ProcessInfo.processInfo.environment, files: [String]? = nil) {
    for path in files ?? Self.files(environment) {
      guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { continue }
      // The section of a command counts more than the one of all commands.
      let sections = Self.sections(of: text)
      for section in ["global", "download"] { values.merge(sections[section] ?? [:]) { $1 } }
    }
    for (name, value) in environment where name.hasPrefix("PIP_") && !value.isEmpty {
      values[name.dropFirst(4).lowercased().replacing("_", with: "-")] = value
    }
  }

  /// Addresses of indexes, the main one first.
  var indexes: [String] {
    let main = values["index-url"]?.split(whereSeparator: \.isWhitespace).first.map(String.init)
    let extra = (values["extra-index-url"] ?? "").split(whereSeparator: \.isWhitespace).map(String.init)
    return ([main ?? Self.standardIndex] + extra).map {
      var address = $0
      while address.hasSuffix("/") { address.removeLast() }
      return address
    }
  }

  /// Folders that are looked into before any index.
  var folders: [String] {
    (values["find-links"] ?? "").split(whereSeparator: \.isWhitespace).compactMap { place in
      if let path = place.wholeMatch(of: #/file://(/.*)/#)?.1 { return String(path).removingPercentEncoding }
      if place.contains("://") { return nil }
      return place.hasPrefix("~/") ? UserFolder.home + place.dropFirst() : String(place)
    }
  }

  var certificates: String? {
    values["cert"].map { $0.hasPrefix("~/") ? UserFolder.home + $0.dropFirst() : $0 }
  }
  var proxy: String? { values["proxy"] }

  /// The files that pip reads, in its order: the system's, the user's, and the one of an environment variable.
  private static func files(_ environment: [String: String]) -> [String] {
    let named = environment["PIP_CONFIG_FILE"].flatMap { $0.isEmpty ? nil : $0 }
    // The system's null device stands for none at all.
    if named == "/dev/null" { return [] }
    let home = UserFolder.home
    func absolute(_ name: String) -> String? { environment[name].flatMap { $0.hasPrefix("/") ? $0 : nil } }
    var files: [String] = []
    #if os(macOS)
      files.append("/Library/Application Support/pip/pip.conf")
    #endif
    files += (environment["XDG_CONFIG_DIRS"] ?? "/etc/xdg").split(separator: ":").map { "\($0)/pip/pip.conf" }
    files += ["/etc/pip.conf", "\(home)/.pip/pip.conf"]
    #if os(macOS)
      files.append("\(home)/Library/Application Support/pip/pip.conf")
    #endif
    files.append("\(absolute("XDG_CONFIG_HOME") ?? "\(home)/.config")/pip/pip.conf")
    if let prefix = absolute("VIRTUAL_ENV") { files.append("\(prefix)/pip.conf") }
    if let named { files.append(named) }
    return files
  }

  /// `[section]`, `key = value`, further lines of a value indented.
  private static func sections(of text: String) -> [String: [String: String]] {
    var sections: [String: [String: String]] = [:]
    var (section, key) = ("", "")
    for line in text.split(whereSeparator: \.isNewline) {
      let content = line.trimmingCharacters(in: .whitespaces)
      if content.isEmpty || content.hasPrefix("#") || content.hasPrefix(";") { continue }
      if line.first?.isWhitespace == true, !key.isEmpty {
        sections[section, default: [:]][key, default: ""] += " " + content
      } else if content.hasPrefix("["), content.hasSuffix("]") {
        (section, key) = (String(content.dropFirst().dropLast()), "")
      } else if let separator = content.firstIndex(where: { $0 == "=" || $0 == ":" }) {
        key = content[..<separator].trimmingCharacters(in: .whitespaces).lowercased().replacing(
          "_", with: "-")
        sections[section, default: [:]][key] =
          content[content.index(after: separator)...].trimmingCharacters(in: .whitespaces)
      }
    }
    return sections
  }
}

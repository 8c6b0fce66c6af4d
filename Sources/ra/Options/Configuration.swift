// The user's settings for all commands.

import Foundation
import Generation
import Platform

/// `$XDG_CONFIG_HOME/ra/config` or `~/.config/ra/config`: lines of `key = value`, and comments that begin with `#`.
struct Configuration: Equatable {
  /// The model that is used when none is named.
  var model: String?
  /// Threads to compute with.
  var threads: Int?
  /// Bytes that sessions of `ra ask` and `ra chat` with documents may take on the disk.
  var sessionCache: Int?

  /// Whether `ra chat` keeps what was written to it for later runs.
  var keepsHistory = true

  /// A line that means nothing.
  struct Problem: Error, Equatable, CustomStringConvertible {
    var path: String
    var line: Int
    var reason: String

    var description: String { "\(path), line \(line): \(reason)" }
  }

  static let keys = ["model", "threads", "session-cache", "history"]

  static var path: String { UserFolder.configuration.path("config") }

  /// The one of this process's user, read when it is first asked for; empty where there is no file.
  static var shared: Configuration { get throws { try read.get() } }

  private static let read = Result<Configuration, any Error> {
    guard FileManager.default.fileExists(atPath: path) else { return Configuration() }
    return try Configuration(parsing: TextFile.read(path, limit: 1 << 20), path: path)
  }

  init() {}

  /// - Throws: ``Problem`` for the first line that means nothing.
  init(parsing text: String, path: String) throws(Problem) {
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let line = line.trimmingCharacters(in: .whitespaces)
      if line.isEmpty || line.hasPrefix("#") { continue }
      func problem(_ reason: String) -> Problem { Problem(path: path, line: index + 1, reason: reason) }
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        .map { $0.trimmingCharacters(in: .whitespaces) }
      guard parts.count == 2, !parts[1].isEmpty else {
        throw problem("'\(line)' is not of the form 'key = value'")
      }
      let (key, value) = (parts[0], Self.unquoted(parts[1]))
      switch key {
      case "model": model = value
      case "threads":
        guard let count = Int(value), (1...512).contains(count) else {
          throw problem("threads is \(value), but must be in 1...512")
        }
        threads = count
      case "session-cache":
        guard value == "0" || ByteCount(argument: value) != nil else {
          throw problem("session-cache is \(value), but must be a size such as 8G, or 0")
        }
        sessionCache = ByteCount(argument: value)?.bytes ?? 0
      case "history":
        guard ["on", "off"].contains(value) else {
          throw problem("history is \(value), but must be on or off")
        }
        keepsHistory = value == "on"
      default:
        let near = CommandSuggestion.closest(to: key, among: Self.keys)
        throw problem(
          "there is no key '\(key)'"
            + (near.map { "; did you mean '\($0)'?" } ?? "; there are \(Self.keys.joined(separator: ", "))"))
      }
    }
  }

  private static func unquoted(_ value: String) -> String {
    for quote in ["\"", "'"] where value.count > 1 && value.hasPrefix(quote) && value.hasSuffix(quote) {
      return String(value.dropFirst().dropLast())
    }
    return value
  }
}

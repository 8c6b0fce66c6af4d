// Where a user's files of a kind belong (XDG Base Directory Specification, and macOS's own folders).

import Foundation

/// The folder of this program's files of one kind. It may not exist.
package enum UserFolder: Sendable {
  /// What can be made anew.
  case cache
  /// What a person writes.
  case configuration
  /// What a person would miss.
  case data
  /// What was done, such as histories.
  case state

  /// The user's home; without HOME the user's entry in the system's list counts.
  package static var home: String {
    ProcessInfo.processInfo.environment["HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? NSHomeDirectory()
  }

  private var variable: String {
    switch self {
    case .cache: "XDG_CACHE_HOME"
    case .configuration: "XDG_CONFIG_HOME"
    case .data: "XDG_DATA_HOME"
    case .state: "XDG_STATE_HOME"
    }
  }

  private var standard: String {
    #if os(macOS)
      switch self {
      case .cache: return "Library/Caches"
      case .configuration: return ".config"
      case .data, .state: return "Library/Application Support"
      }
    #else
      switch self {
      case .cache: return ".cache"
      case .configuration: return ".config"
      case .data: return ".local/share"
      case .state: return ".local/state"
      }
    #endif
  }

  /// `$XDG_CACHE_HOME/ra/NAME`, and so on. The convention: a path that is not absolute is to be ignored.
  package func path(_ name: String) -> String {
    let given = ProcessInfo.processInfo.environment[variable].flatMap { $0.hasPrefix("/") ? $0 : nil }
    return "\(given ?? "\(Self.home)/\(standard)")/ra/\(name)"
  }
}

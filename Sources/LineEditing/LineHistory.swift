// Lines that were entered in earlier runs.

import Foundation
import Platform

/// A file of lines, the oldest first, readable by its owner alone. Several programs may add to it at a time.
///
/// What cannot be read or written is as if it were not there: a history is no reason to stop.
package struct LineHistory: Sendable {
  private let path: String
  private let limit: Int

  /// - Parameters:
  ///   - path: of a file whose folder is made when it is needed.
  ///   - limit: lines that are kept.
  package init(path: String, limit: Int = 1000) {
    self.path = path
    self.limit = limit
  }

  /// The last lines, the oldest first. A file that has become twice as long as it should be is shortened.
  package func read() -> [String] {
    guard let data = try? InputFile.read(path, limit: 64 << 20) else { return [] }
    let lines = data.split(separator: UInt8(ascii: "\n")).map {
      Self.unescaped(String(decoding: $0, as: UTF8.self))
    }
    if lines.count > 2 * limit { rewrite(Array(lines.suffix(limit))) }
    return Array(lines.suffix(limit))
  }

  /// Adds a line.
  package func append(_ line: String) {
    let folder = (path as NSString).deletingLastPathComponent
    try? FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    write([line], to: path, O_WRONLY | O_CREAT | O_APPEND)
  }

  private func rewrite(_ lines: [String]) {
    let temporary = "\(path).\(String(UInt64.random(in: 0 ... .max), radix: 36)).tmp"
    guard write(lines, to: temporary, O_WRONLY | O_CREAT | O_EXCL) else { return }
    _ = unsafe rename(temporary, path)
  }

  @discardableResult
  private func write(_ lines: [String], to path: String, _ flags: Int32) -> Bool {
    let descriptor = unsafe open(path, flags | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    let bytes = Array(lines.map { Self.escaped($0) + "\n" }.joined().utf8)
    // In one call, so that lines of two programs do not mix.
    return unsafe bytes.withUnsafeBytes { unsafe Platform.write(descriptor, $0.baseAddress, $0.count) }
      == bytes.count
  }

  private static func escaped(_ line: String) -> String {
    line.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
  }

  private static func unescaped(_ line: String) -> String {
    var text = ""
    var isEscaped = false
    for character in line {
      if isEscaped {
        text.append(character == "n" ? "\n" : character)
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else {
        text.append(character)
      }
    }
    return text
  }
}

// Documents come from files. A binary file fed to a tokenizer gives nonsense, so it is refused here.

public import Foundation
import Platform

/// A text read from a file, checked to be UTF-8.
public enum TextFile {
  /// Bytes that a text can have: a sixteenth of the machine's memory, at most 256 MiB, which are more tokens than any
  /// context takes.
  public static let largestByteCount = min(256 << 20, PhysicalMemory.byteCount / 16)

  /// The text of a file or pipe, without a byte order mark.
  ///
  /// Throws ``GenerationError/unreadableFile(path:reason:)``, ``GenerationError/textTooLarge(path:byteCount:limit:)``
  /// or ``GenerationError/notText(path:offset:)``.
  public static func read(_ path: String, limit: Int = largestByteCount) throws -> String {
    try decode(
      contents(name: path) { () throws(InputFile.Failure) in try InputFile.read(path, limit: limit) },
      name: path)
  }

  /// The text that comes on standard input, read to its end; throws as ``read(_:limit:)`` does.
  public static func readStandardInput(limit: Int = largestByteCount) throws -> String {
    let name = "standard input"
    return try decode(
      contents(name: name) { () throws(InputFile.Failure) in try InputFile.read(STDIN_FILENO, limit: limit) },
      name: name)
  }

  private static func contents(name: String, _ read: () throws(InputFile.Failure) -> Data)
    throws(GenerationError) -> Data
  {
    do {
      return try read()
    } catch {
      switch error {
      case .tooLarge(let byteCount, let limit):
        throw .textTooLarge(path: name, byteCount: byteCount, limit: limit)
      case .isDirectory: throw .unreadableFile(path: name, reason: "it is a directory")
      case .system(code: ENOENT): throw .unreadableFile(path: name, reason: "no such file")
      case .system(let code): throw .unreadableFile(path: name, reason: systemMessage(code))
      }
    }
  }

  /// The same for bytes from elsewhere; `name` stands for the path in errors.
  public static func decode(_ data: Data, name: String) throws -> String {
    // NUL is valid UTF-8, but no text file has it, and many binary files do.
    if let zero = data.firstIndex(of: 0) {
      throw GenerationError.notText(path: name, offset: zero - data.startIndex)
    }
    guard var text = String(validating: data, as: UTF8.self) else {
      throw GenerationError.notText(path: name, offset: firstInvalidByte(data))
    }
    if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
    return text
  }

  /// The lines of a text that are not blank, with their numbers from 1 on; they end with LF or CR LF.
  package static func lines(_ text: String) -> [(number: Int, line: Substring)] {
    text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }.enumerated().compactMap {
      $1.allSatisfy(\.isWhitespace) ? nil : ($0 + 1, $1)
    }
  }

  private static func firstInvalidByte(_ data: Data) -> Int {
    var decoder = UTF8()
    var bytes = data.makeIterator()
    var offset = 0
    while true {
      switch decoder.decode(&bytes) {
      case .scalarValue(let scalar): offset += UTF8.width(scalar)
      case .emptyInput, .error: return offset
      }
    }
  }
}

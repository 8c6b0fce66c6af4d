// Documents come from files. A binary file fed to a tokenizer gives nonsense, so it is refused here.

public import Foundation

/// A text read from a file, checked to be UTF-8.
public enum TextFile {
  /// The file's text, without a byte order mark.
  ///
  /// Throws ``GenerationError/unreadableFile(path:reason:)`` or ``GenerationError/notText(path:offset:)``.
  public static func read(_ path: String) throws -> String {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw GenerationError.unreadableFile(path: path, reason: "no such file")
    }
    guard !isDirectory.boolValue else {
      throw GenerationError.unreadableFile(path: path, reason: "it is a directory")
    }
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: path))
    } catch {
      throw GenerationError.unreadableFile(path: path, reason: (error as NSError).localizedDescription)
    }
    return try decode(data, name: path)
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

// One file: its bytes, its format, its text.

import Foundation
import Platform

/// Reads single files.
struct FileReading {
  struct Result {
    var document: Document
    var notes: [String] = []
  }

  let settings: DocumentReader.Settings

  /// - Parameters:
  ///   - name: of the document.
  ///   - shown: what errors call the file.
  func file(_ path: String, name: String, shown: String) throws -> Result {
    let data = try contents(shown) { () throws(InputFile.Failure) in
      try InputFile.read(path, limit: settings.byteLimit)
    }
    return try document(data, name: name, path: path, shown: shown)
  }

  func standardInput() throws -> Result {
    let name = "standard input"
    let data = try contents(name) { () throws(InputFile.Failure) in
      try InputFile.read(STDIN_FILENO, limit: settings.byteLimit)
    }
    return try document(data, name: name, path: nil)
  }

  private func contents(
    _ name: String, _ read: () throws(InputFile.Failure) -> Data
  ) throws(DocumentError) -> Data {
    do {
      return try read()
    } catch {
      switch error {
      case .tooLarge(let byteCount, let limit):
        throw .tooLarge(path: name, byteCount: byteCount, limit: limit)
      case .isDirectory: throw .unreadable(path: name, reason: "it is a directory")
      case .system(code: ENOENT): throw .unreadable(path: name, reason: "no such file")
      case .system(let code): throw .unreadable(path: name, reason: systemMessage(code))
      }
    }
  }

  /// - Parameter path: where the bytes are; nil where they are in no file.
  func document(_ data: Data, name: String, path: String?, shown: String? = nil) throws -> Result {
    let format = DocumentFormat(name: name, data: data)
    let shown = shown ?? name
    var result: Result
    if format == .notebook {
      let notebook = try Notebook(data, path: shown)
      let places = DocumentPlaces(of: notebook.text, headings: notebook.headings, cells: notebook.cells)
      result = Result(
        document: Document(name: name, path: path, format: format, text: notebook.text, places: places))
    } else if let converter = Converter(for: format) {
      var text = try withFile(data, path, format) { file in
        try converter.text(of: file, name: shown, settings: settings)
      }
      // The last page ends like the others, and no page follows.
      if text.unicodeScalars.last == "\u{C}" { text.unicodeScalars.removeLast() }
      result = Result(document: Document(name: name, path: path, format: format, text: text))
    } else {
      let decoded = try decode(data, shown)
      result = Result(
        document: Document(name: name, path: path, format: format, text: decoded.text),
        notes: decoded.note.map { ["\(shown) \($0)"] } ?? [])
    }
    guard !result.document.text.allSatisfy(\.isWhitespace) else {
      let advice = format == .pdf ? "scanned pages need OCR ('ocrmypdf' adds text to a PDF)" : nil
      throw DocumentError.noText(path: shown, advice: advice)
    }
    return result
  }

  private func decode(_ data: Data, _ shown: String) throws(DocumentError) -> DecodedText {
    do {
      return try DecodedText(data, path: shown)
    } catch .binary(let path, let offset, let byte) {
      guard let advice = DocumentFormat.advice(for: shown) else {
        throw .binary(path: path, offset: offset, byte: byte)
      }
      throw .unsupportedFormat(path: path, advice: advice)
    }
  }

  /// Lets a converter see bytes as a file, which is a temporary one where they come from a pipe.
  private func withFile<T>(
    _ data: Data, _ path: String?, _ format: DocumentFormat, _ body: (String) throws -> T
  ) throws -> T {
    if let path, isRegularFile(path) { return try body(path) }
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("ra-\(UUID().uuidString)")
    do {
      try FileManager.default.createDirectory(
        at: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
      defer { try? FileManager.default.removeItem(at: folder) }
      let file = folder.appendingPathComponent("document.\(format.rawValue)")
      try data.write(to: file)
      return try body(file.path)
    } catch let error as CocoaError {
      throw DocumentError.unreadable(path: folder.path, reason: failureReason(error))
    }
  }

  private func isRegularFile(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }
}

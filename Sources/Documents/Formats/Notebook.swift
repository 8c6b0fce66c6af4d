// Jupyter notebooks (nbformat 3 and 4): what cells say, and what came of them.

import Foundation

/// The cells of a notebook as one text.
struct Notebook {
  private(set) var text = ""
  private(set) var cells: [DocumentPlaces.Cell] = []
  private(set) var headings: [DocumentPlaces.Heading] = []

  /// - Throws: ``DocumentError/damagedNotebook(path:reason:)``.
  init(_ data: Data, path: String) throws(DocumentError) {
    let file: File
    do {
      file = try JSONDecoder().decode(File.self, from: data)
    } catch DecodingError.dataCorrupted {
      throw .damagedNotebook(path: path, reason: "it is not JSON")
    } catch DecodingError.keyNotFound(let key, _) {
      throw .damagedNotebook(path: path, reason: "'\(key.stringValue)' is missing")
    } catch {
      throw .damagedNotebook(path: path, reason: "a value is of another kind than notebooks have")
    }
    guard let cells = file.cells ?? file.worksheets?.flatMap(\.cells) else {
      throw .damagedNotebook(path: path, reason: "'cells' is missing")
    }
    for (index, cell) in cells.enumerated() { add(cell, number: index + 1) }
  }

  private mutating func add(_ cell: Cell, number: Int) {
    let source = (cell.source ?? cell.input)?.text ?? ""
    let outputs = (cell.outputs ?? []).compactMap(\.shown).filter { !$0.allSatisfy(\.isWhitespace) }
    guard !source.allSatisfy(\.isWhitespace) || !outputs.isEmpty else { return }
    if !text.isEmpty { text += "\n" }
    if let offset = UInt32(exactly: text.utf8.count) {
      cells.append(.init(offset: offset, number: number))
    }
    text += "[Cell \(number)\(cell.kind == "markdown" ? "" : ", \(cell.kind)")]\n"
    if cell.kind == "markdown" {
      var finder = HeadingFinder()
      let start = text.utf8.count
      headings += finder.headings(of: source).compactMap { heading in
        UInt32(exactly: start + Int(heading.offset)).map { .init(offset: $0, title: heading.title) }
      }
    }
    text += Self.line(source)
    for output in outputs { text += "[Output of cell \(number)]\n" + Self.line(output) }
  }

  private static func line(_ text: String) -> String {
    text.isEmpty || text.hasSuffix("\n") ? text : text + "\n"
  }

  // MARK: The file

  private struct File: Decodable {
    var cells: [Cell]?
    /// Format 3.
    var worksheets: [Worksheet]?
  }

  private struct Worksheet: Decodable { var cells: [Cell] }

  private struct Cell: Decodable {
    var kind: String
    var source: Lines?
    /// Of code, in format 3.
    var input: Lines?
    var outputs: [Output]?

    private enum CodingKeys: String, CodingKey {
      case kind = "cell_type"
      case source, input, outputs
    }
  }

  private struct Output: Decodable {
    var text: Lines?
    var data: [String: Lines]?
    var name: String?
    var traceback: Lines?
    var ename: String?
    var evalue: String?

    private enum CodingKeys: String, CodingKey {
      case text, data, name = "output_type", traceback, ename, evalue
    }

    /// Pictures have no text; tables have one beside their HTML.
    var shown: String? {
      if name == "error" || name == "pyerr" {
        let message = [ename, evalue].compactMap { $0 }.joined(separator: ": ")
        return traceback.map { Self.withoutColors($0.text) } ?? message
      }
      return (text ?? data?["text/plain"]).map { Self.withoutColors($0.text) }
    }

    /// Terminals' control sequences, which tracebacks have, are taken out.
    private static func withoutColors(_ text: String) -> String {
      guard text.contains("\u{1B}") else { return text }
      return text.replacing(#/\u{1B}\[[0-9;]*[A-Za-z]/#, with: "")
    }
  }

  /// A text in one piece, or as a list of lines with their ends; anything else is empty.
  private struct Lines: Decodable {
    var text: String

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let text = try? container.decode(String.self) {
        self.text = text
      } else if let lines = try? container.decode([String].self) {
        // Tracebacks have no ends of lines.
        text = lines.joined(separator: lines.contains { $0.hasSuffix("\n") } ? "" : "\n")
      } else {
        text = ""
      }
    }
  }
}

// What documents a command reads, for all commands that take some.

import ArgumentParser
import Documents
import Foundation
import Generation

struct DocumentOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Of folders, read only files that match, such as '*.md' or 'src/**/*.swift'; repeatable.",
      valueName: "pattern"))
  var include: [String] = []

  @Option(
    help: ArgumentHelp(
      "Of folders, leave out files and folders that match; repeatable.", valueName: "pattern"))
  var exclude: [String] = []

  @Flag(name: .customLong("no-gitignore"), help: "Of folders, read also what .gitignore files name.")
  var noGitignore = false

  static let help =
    "a file (text, Markdown, PDF, DOCX, ODT, EPUB, HTML, RTF, Jupyter notebook), a folder, a pattern in quotes, a file:// "
    + "address, or - for standard input"

  /// The documents, with their names, as they stand in a prompt. Tells on standard error what was skipped or guessed.
  ///
  /// - Parameter offset: where the first one begins in the prompt's text.
  func read(_ names: [String], _ console: Console, startingAt offset: Int = 0) throws -> PromptDocuments {
    var documents = PromptDocuments(startingAt: offset)
    for document in try found(names, console) {
      documents.append(name: document.name, path: document.path, text: document.text)
    }
    return documents
  }

  /// The documents themselves.
  func found(_ names: [String], _ console: Console) throws -> [Document] {
    var settings = DocumentReader.Settings()
    settings.include = include
    settings.exclude = exclude
    settings.usesIgnoreFiles = !noGitignore
    settings.byteLimit = TextFile.largestByteCount
    let found = try DocumentReader(settings: settings).read(names)
    for note in found.notes { console.note("note: \(note)") }
    return found.documents
  }
}

extension PromptDocuments {
  /// `book.txt`, or `book.txt and 12 others`.
  var title: String {
    let first = elements.first?.name ?? "nothing"
    return elements.count > 2
      ? "\(first) and \(elements.count - 1) others" : elements.map(\.name).joined(separator: ", ")
  }
}

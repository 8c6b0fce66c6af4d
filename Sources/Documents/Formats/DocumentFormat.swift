// What a file is, by its name and its first bytes.

import Foundation

/// How a document was written.
public enum DocumentFormat: String, Sendable, Hashable, Codable, CaseIterable {
  /// Plain text of any kind: programs and tables among them.
  case text
  case markdown
  case pdf
  case docx
  case odt
  case epub
  case html
  case rtf
  case notebook

  /// Whether the text has headings as Markdown has them: what pandoc converts has.
  var hasHeadings: Bool {
    switch self {
    case .markdown, .docx, .odt, .epub, .html, .rtf: true
    case .text, .pdf, .notebook: false
    }
  }

  private static let extensions: [String: DocumentFormat] = [
    "md": .markdown, "markdown": .markdown, "mkd": .markdown, "qmd": .markdown, "rmd": .markdown,
    "pdf": .pdf, "docx": .docx, "odt": .odt, "epub": .epub, "html": .html, "htm": .html, "xhtml": .html,
    "rtf": .rtf, "ipynb": .notebook,
  ]

  /// The format that a file's name tells of.
  public init(fileName: String) { self = Self.extensions[Self.suffix(of: fileName)] ?? .text }

  /// The format of a file, of which the first bytes say more than the name.
  init(name: String, data: Data) {
    let named = Self.extensions[Self.suffix(of: name)] ?? .text
    if data.starts(with: Data("%PDF-".utf8)) {
      self = .pdf
    } else if data.starts(with: Data("{\\rtf".utf8)) {
      self = .rtf
    } else if Self.isArchive(data) {
      self = [.docx, .odt, .epub].contains(named) ? named : .text
    } else if [.docx, .odt, .epub, .pdf, .rtf].contains(named) {
      // A text that is called a document: its converter will say what is wrong with it.
      self = named
    } else if named == .text, Self.looksLikeHTML(data) {
      self = .html
    } else {
      self = named
    }
  }

  /// In lower case, without the dot.
  static func suffix(of name: String) -> String { (name as NSString).pathExtension.lowercased() }

  private static func isArchive(_ data: Data) -> Bool { data.starts(with: [0x50, 0x4B, 0x03, 0x04]) }

  private static func looksLikeHTML(_ data: Data) -> Bool {
    let start = String(decoding: data.prefix(200), as: UTF8.self).drop { $0.isWhitespace }.lowercased()
    return start.hasPrefix("<!doctype html") || start.hasPrefix("<html")
  }

  /// What to do about a binary file of a kind that no converter here reads; nil for other files.
  static func advice(for name: String) -> String? {
    let suffix = suffix(of: name)
    switch suffix {
    case "doc", "ppt", "pptx", "odp", "key", "pages":
      return "'libreoffice --headless --convert-to pdf' makes a PDF of it, which can be read"
    case "xls", "xlsx", "ods", "numbers":
      return "'libreoffice --headless --convert-to csv' makes a table of it, which can be read"
    case "ps", "djvu": return "convert it to PDF, which can be read"
    case "mobi", "azw", "azw3": return "Calibre's 'ebook-convert' makes an EPUB of it, which can be read"
    case "png", "jpg", "jpeg", "gif", "tif", "tiff", "webp", "heic":
      return "it is a picture; 'tesseract' finds the text in one"
    case "zip", "gz", "xz", "bz2", "zst", "7z", "tar", "tgz", "rar":
      return "it is an archive; unpack it, and name the folder"
    default: return nil
    }
  }
}

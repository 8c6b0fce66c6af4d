// From an offset in a text back to what people look for: a page, a heading, a line.

/// Where in its source a part of a text stands.
public struct DocumentPlace: Sendable, Hashable, Codable {
  /// From 1, counted from the beginning of the page or cell where there are such.
  public var line: Int
  /// From 1; nil for texts without pages.
  public var page: Int?
  /// The nearest heading above, without its marks; nil where there is none.
  public var heading: String?
  /// Of a notebook, from 1.
  public var cell: Int?

  public init(line: Int, page: Int? = nil, heading: String? = nil, cell: Int? = nil) {
    self.line = line
    self.page = page
    self.heading = heading
    self.cell = cell
  }
}

extension DocumentPlace: CustomStringConvertible {
  /// `page 3, line 12`, `cell 2, line 1`, `"Termination", line 40`.
  public var description: String {
    var parts: [String] = []
    if let page { parts.append("page \(page)") }
    if let cell { parts.append("cell \(cell)") }
    if let heading { parts.append("\"\(heading)\"") }
    return (parts + ["line \(line)"]).joined(separator: ", ")
  }
}

/// The places of a text: four bytes a line, and what pages, cells and headings there are.
///
///     let place = document.places.place(at: offset)
///     place.page  // 3
public struct DocumentPlaces: Sendable, Hashable, Codable {
  struct Heading: Sendable, Hashable, Codable {
    var offset: UInt32
    var title: String
  }

  /// Where a cell of a notebook begins, and its number.
  struct Cell: Sendable, Hashable, Codable {
    var offset: UInt32
    var number: Int
  }

  /// Offsets of the first bytes of lines; the first one is 0.
  private var lines: [UInt32] = [0]
  /// The same of pages; empty for a text without pages.
  private var pages: [UInt32] = []
  private var cells: [Cell] = []
  private var headings: [Heading] = []

  /// Finds the places of a text of a format: pages end with form feeds in PDF, headings are those of Markdown.
  ///
  /// A text of more than 4 GiB has places in its first 4 GiB only.
  public init(of text: String, format: DocumentFormat) {
    var finder = HeadingFinder()
    self.init(
      of: text, hasPages: format == .pdf, headings: format.hasHeadings ? finder.headings(of: text) : [])
  }

  init(of text: String, hasPages: Bool = false, headings: [Heading] = [], cells: [Cell] = []) {
    self.headings = headings
    self.cells = cells
    if hasPages { pages = [0] }
    var offset: UInt32 = 0
    for byte in text.utf8.prefix(Int(UInt32.max)) {
      offset += 1
      if byte == UInt8(ascii: "\n") { lines.append(offset) }
      if byte == UInt8(ascii: "\u{C}"), hasPages { pages.append(offset) }
    }
  }

  /// The place of a byte of the text's UTF-8. Offsets outside of the text mean its beginning and its end.
  public func place(at offset: Int) -> DocumentPlace {
    let offset = UInt32(clamping: offset)
    let page = Self.index(of: offset, in: pages) { $0 }
    let cell = Self.index(of: offset, in: cells, by: \.offset)
    let heading = Self.index(of: offset, in: headings, by: \.offset)
    let start = max(page.map { pages[$0] } ?? 0, cell.map { cells[$0].offset } ?? 0)
    let line = Self.index(of: offset, in: lines) { $0 } ?? 0
    let first = Self.index(of: start, in: lines) { $0 } ?? 0
    return DocumentPlace(
      line: line - first + 1, page: page.map { $0 + 1 }, heading: heading.map { headings[$0].title },
      cell: cell.map { cells[$0].number })
  }

  /// Pages of the source; 0 for a text without pages.
  public var pageCount: Int { pages.count }

  /// The last element that begins at an offset or in front of it.
  private static func index<Element>(
    of offset: UInt32, in elements: [Element], by start: (Element) -> UInt32
  ) -> Int? {
    var range = elements.indices
    while !range.isEmpty {
      let middle = range.lowerBound + range.count / 2
      if start(elements[middle]) <= offset {
        range = middle + 1..<range.upperBound
      } else {
        range = range.lowerBound..<middle
      }
    }
    return range.lowerBound > 0 ? range.lowerBound - 1 : nil
  }
}

// Headings of Markdown: what people remember of where something stood.

/// Finds lines that are headings, `# so` or underlined, outside of code.
struct HeadingFinder {
  private var found: [DocumentPlaces.Heading] = []
  /// The mark that ends a block of code, while in one.
  private var fence: Substring?
  /// The line in front, which an underline would make a heading.
  private var candidate: (offset: UInt32, title: Substring)?
  private var isInParagraph = false

  /// The headings of a text, by their places.
  mutating func headings(of text: String) -> [DocumentPlaces.Heading] {
    found = []
    var offset = 0
    var isFrontMatter = false
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      defer { offset += line.utf8.count + 1 }
      guard let start = UInt32(exactly: offset) else { break }
      if number == 0, line == "---" {
        isFrontMatter = true
      } else if isFrontMatter {
        if line == "---" || line == "..." { isFrontMatter = false }
      } else {
        take(line, at: start)
      }
    }
    return found
  }

  private mutating func take(_ line: Substring, at offset: UInt32) {
    let text = line.trimmingSpaces
    if let fence {
      if text.hasPrefix(fence), text.allSatisfy({ $0 == fence.first }) { self.fence = nil }
      return
    }
    if text.hasPrefix("```") || text.hasPrefix("~~~") {
      fence = text.prefix { $0 == text.first }
      candidate = nil
      isInParagraph = false
      return
    }
    // Four spaces make code of a line.
    guard !line.hasPrefix("    "), !line.hasPrefix("\t") else {
      candidate = nil
      return
    }
    let level = text.prefix { $0 == "#" }.count
    if (1...6).contains(level), text.dropFirst(level).first.map({ $0 == " " || $0 == "\t" }) ?? false {
      add(text.dropFirst(level), at: offset)
      candidate = nil
    } else if let candidate, text.count >= 2, text.allSatisfy({ $0 == "=" }) || text.allSatisfy({ $0 == "-" })
    {
      add(candidate.title, at: candidate.offset)
      self.candidate = nil
    } else {
      let isText = !text.isEmpty && !["|", ">", "-", "+", "*"].contains(String(text.first ?? " "))
      // Only a single line is taken for a heading: more are a paragraph above a rule.
      candidate = isText && candidate == nil && !isInParagraph ? (offset, text) : nil
      isInParagraph = isText
      return
    }
    isInParagraph = false
  }

  private mutating func add(_ text: Substring, at offset: UInt32) {
    var title = text.trimmingSpaces
    // The marks behind a heading are optional.
    let closing = title.reversed().prefix { $0 == "#" }.count
    if closing > 0, title.dropLast(closing).last == " " { title = title.dropLast(closing).trimmingSpaces }
    if !title.isEmpty { found.append(.init(offset: offset, title: String(title))) }
  }
}

extension Substring {
  var trimmingSpaces: Substring {
    var text = self
    while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return text
  }
}

import Testing

@testable import LineEditing

@Suite struct WordWrapTests {
  /// What a terminal of these columns shows of what is written to it: only what words need.
  private func screen(_ text: String, columns: Int) -> [String] {
    var rows = [""]
    var rest = text[...]
    while let character = rest.popFirst() {
      if character == "\u{1B}" {
        let digits = rest.dropFirst().prefix { $0.isNumber }
        rest = rest.dropFirst(1 + digits.count)
        if rest.popFirst() == "D", let count = Int(digits) { rows[rows.count - 1].removeLast(count) }
      } else if character == "\n" {
        rows.append("")
      } else {
        if rows[rows.count - 1].count == columns { rows.append("") }
        rows[rows.count - 1].append(character)
      }
    }
    return rows
  }

  private static let text =
    "The quick brown fox jumps over the lazy dog, and nothing else happens here today."

  @Test(arguments: [1, 2, 7, 100]) func `Words stay whole, however the text is cut`(size: Int) {
    var wrap = WordWrap(columns: 24)
    var output = ""
    var rest = Self.text[...]
    while !rest.isEmpty {
      output += wrap.write(String(rest.prefix(size)))
      rest = rest.dropFirst(size)
    }
    // The space in front of a word that moved stays.
    let rows = screen(output, columns: 24).map { $0.last == " " ? String($0.dropLast()) : $0 }
    #expect(
      rows == [
        "The quick brown fox", "jumps over the lazy", "dog, and nothing else", "happens here today.",
      ])
  }

  @Test func `Lines of the text begin anew, and wide words are left to the terminal`() {
    var wrap = WordWrap(columns: 20)
    #expect(screen(wrap.write("one\n\n  two"), columns: 20) == ["one", "", "  two"])
    wrap = WordWrap(columns: 20)
    let address = "https://example.org/a/long/path/of/a/page"
    #expect(screen(wrap.write(address), columns: 20).joined() == address)
    #expect(wrap.write(" x").hasSuffix("x"))
    // Characters that are words.
    wrap = WordWrap(columns: 20)
    #expect(wrap.write(String(repeating: "語", count: 12)) == String(repeating: "語", count: 9) + "\n語語語")
    // Too narrow for words.
    wrap = WordWrap(columns: 10)
    #expect(wrap.write(Self.text) == Self.text)
  }
}

@Suite struct HistorySearchTests {
  @Test func `The newest line is found first, and older ones behind it`() {
    var search = HistorySearch(history: ["ask alice", "read b", "Ask boris", "ask boris"])
    #expect(search.match == nil)
    search.insert("ask")
    #expect(search.match == "ask boris")
    search.goBack()
    #expect(search.match == "Ask boris")
    search.goBack()
    #expect(search.match == "ask alice")
    search.goBack()
    #expect(search.match == "ask alice")
    search.insert(" bo")
    #expect(search.match == nil)
    for _ in 0..<2 { search.deleteBackward() }
    #expect(search.match == "ask boris")
    for _ in 0..<9 { search.deleteBackward() }
    #expect(search.match == nil && search.query == "")
  }
}

import Documents
import Testing

@Suite struct PlaceTests {
  @Test func `Lines are counted from one`() {
    let text = "eins\nzwölf\n\nvier"
    let places = DocumentPlaces(of: text, format: .text)
    var line = 1
    for (offset, byte) in text.utf8.enumerated() {
      #expect(places.place(at: offset) == DocumentPlace(line: line), "\(offset)")
      if byte == 10 { line += 1 }
    }
    #expect(places.place(at: -5).line == 1)
    #expect(places.place(at: 1000).line == 4)
    #expect(DocumentPlaces(of: "", format: .text).place(at: 0) == DocumentPlace(line: 1))
  }

  @Test func `Lines begin anew with each page`() {
    let document = Document(name: "a.pdf", format: .pdf, text: "a\nb\u{C}c\nd\ne\u{C}f")
    #expect(document.places.pageCount == 3)
    #expect(document.places.place(at: 2) == DocumentPlace(line: 2, page: 1))
    #expect(document.places.place(at: 4) == DocumentPlace(line: 1, page: 2))
    #expect(document.places.place(at: 8) == DocumentPlace(line: 3, page: 2))
    #expect(document.places.place(at: 10) == DocumentPlace(line: 1, page: 3))
    #expect("\(document.places.place(at: 8))" == "page 2, line 3")
  }

  @Test func `The nearest heading above counts, and code has none`() {
    let text = """
      ---
      title: x
      ---
      intro
      # One #
      alpha
      ```sh
      # comment
      beta
      ```
      Two
      ---
      gamma
      long
      paragraph
      ---
      delta
      ### Three: `x`
          # code
      epsilon
      """
    let document = Document(name: "a.md", format: .markdown, text: text)
    let expected = [
      "intro": nil, "alpha": "One", "beta": "One", "gamma": "Two", "delta": "Two", "epsilon": "Three: `x`",
    ]
    for (word, heading) in expected { #expect(document.place(of: word)?.heading == heading, "\(word)") }
    // Not for other texts, where a number sign may be anything.
    #expect(Document(name: "a.py", text: "# One\nalpha").place(of: "alpha")?.heading == nil)
  }
}

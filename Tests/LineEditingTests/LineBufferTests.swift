import Testing

@testable import LineEditing

@Suite struct LineBufferTests {
  private func typed(_ keys: Key..., history: [String] = []) -> LineBuffer {
    var buffer = LineBuffer(history: history)
    for key in keys { buffer.apply(key) }
    return buffer
  }

  @Test func insertsAndDeletesAtTheCursor() {
    #expect(typed(.text("held"), .left, .text("l"), .end, .text("!")).text == "helld!")
    #expect(typed(.text("abc"), .home, .delete, .right, .backspace).text == "c")
    #expect(typed(.text("abc"), .left, .deleteToEnd).text == "ab")
    #expect(typed(.text("abc"), .left, .deleteToStart).text == "c")
    #expect(typed(.backspace, .delete, .left, .right).text == "")
    #expect(typed(.text("a"), .right, .right, .text("b")).text == "ab")
  }

  @Test func movesByWords() {
    #expect(typed(.text("one two  three"), .deleteWord).text == "one two  ")
    #expect(typed(.text("one two  "), .deleteWord).text == "one ")
    #expect(typed(.text("one two"), .wordLeft, .wordLeft, .text("x")).text == "xone two")
    #expect(typed(.text("one two"), .home, .wordRight, .text("x")).text == "onex two")
  }

  @Test func charactersAreWhatPeopleSee() {
    let family = "👨‍👩‍👧"
    #expect(typed(.text("a\(family)b"), .left, .backspace).text == "ab")
    let accent = typed(.text("e"), .text("\u{301}"))
    #expect(accent.characters.count == 1)
    #expect(accent.cursor == 1)
    #expect(typed(.text("e"), .home, .text("x"), .text("\u{301}"), .end, .backspace).text == "x\u{301}")
  }

  @Test func historyKeepsTheUnfinishedLine() {
    let history = ["first", "second"]
    #expect(typed(.up, history: history).text == "second")
    #expect(typed(.up, .up, .up, history: history).text == "first")
    #expect(typed(.text("new"), .up, .up, .down, .down, history: history).text == "new")
    #expect(typed(.text("new"), .down, history: history).text == "new")
    #expect(typed(.up, .text("!"), history: history).text == "second!")
  }

  private func layout(
    _ buffer: LineBuffer, columns: Int, height: Int = 24, prompt: String = "> "
  ) -> (rows: [String], row: Int, column: Int) {
    let layout = LineLayout(prompt: prompt, buffer, columns: columns, height: height)
    return (layout.rows, layout.cursorRow, layout.cursorColumn)
  }

  @Test func longLinesTakeSeveralRows() {
    var buffer = typed(.text("0123456789"))
    #expect(layout(buffer, columns: 80) == (["> 0123456789"], 0, 12))
    #expect(layout(buffer, columns: 5) == (["> 012", "34567", "89"], 2, 2))
    // The cursor behind a full row stands on the next one.
    #expect(layout(buffer, columns: 6) == (["> 0123", "456789", ""], 2, 0))
    buffer.apply(.home)
    #expect(layout(buffer, columns: 6) == (["> 0123", "456789"], 0, 2))
    for _ in 0..<4 { buffer.apply(.right) }
    #expect(layout(buffer, columns: 6) == (["> 0123", "456789"], 1, 0))
    // Wide characters are not cut.
    #expect(layout(typed(.text("a你好")), columns: 4) == (["> a", "你好", ""], 2, 0))
    #expect(layout(typed(.text("a\nb\u{7}")), columns: 80) == (["> a⏎b?"], 0, 6))
    // More rows than the terminal has: those around the cursor.
    let long = typed(.text(String(repeating: "x", count: 50)), .home)
    #expect(layout(long, columns: 10, height: 2) == (["> xxxxxxxx", "xxxxxxxxxx"], 0, 2))
    #expect(layout(typed(.text("x")), columns: 0, height: 0).rows.count == 1)
  }

  @Test func widths() {
    for (character, width): (Character, Int) in [
      ("a", 1), ("é", 1), ("e\u{301}", 1), ("你", 2), ("😀", 2), ("❤️", 2), ("ｱ", 1), ("Ａ", 2),
    ] { #expect(displayWidth(character) == width, "\(character)") }
  }
}

import LineEditing
import Testing

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

  @Test func showsAroundTheCursor() {
    var buffer = typed(.text("0123456789"))
    #expect(buffer.visible(columns: 80) == ("0123456789", 10))
    #expect(buffer.visible(columns: 5) == ("6789", 4))
    buffer.apply(.home)
    #expect(buffer.visible(columns: 5) == ("0123", 0))
    #expect(buffer.visible(columns: 0) == ("0", 0))
    #expect(typed(.text("你好")).visible(columns: 80) == ("你好", 4))
    #expect(typed(.text("你好")).visible(columns: 4) == ("好", 2))
    #expect(typed(.text("a\nb\u{7}")).visible(columns: 80) == ("a⏎b?", 4))
  }

  @Test func widths() {
    for (character, width): (Character, Int) in [
      ("a", 1), ("é", 1), ("e\u{301}", 1), ("你", 2), ("😀", 2), ("❤️", 2), ("ｱ", 1), ("Ａ", 2),
    ] { #expect(displayWidth(character) == width, "\(character)") }
  }
}

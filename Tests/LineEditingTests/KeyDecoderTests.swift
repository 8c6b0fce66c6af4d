import LineEditing
import Testing

@Suite struct KeyDecoderTests {
  private func keys(_ text: String) -> [Key] {
    var decoder = KeyDecoder()
    return decoder.decode(text.utf8)
  }

  @Test func keysOfTerminals() {
    #expect(keys("ab\r") == [.text("ab"), .enter])
    #expect(keys("\u{1B}[A\u{1B}[B\u{1B}[C\u{1B}[D") == [.up, .down, .right, .left])
    #expect(keys("\u{1B}OA\u{1B}OH\u{1B}OF") == [.up, .home, .end])
    #expect(keys("\u{1B}[H\u{1B}[F\u{1B}[1~\u{1B}[4~\u{1B}[3~") == [.home, .end, .home, .end, .delete])
    #expect(keys("\u{1B}[1;5C\u{1B}[1;5D\u{1B}b\u{1B}f") == [.wordRight, .wordLeft, .wordLeft, .wordRight])
    #expect(
      keys("\u{1}\u{5}\u{2}\u{6}\u{b}\u{15}\u{17}") == [
        .home, .end, .left, .right, .deleteToEnd, .deleteToStart, .deleteWord,
      ])
    #expect(
      keys("\u{3}\u{4}\u{1A}\u{c}\u{7f}\u{8}") == [
        .interrupt, .endOfInput, .suspend, .redraw, .backspace, .backspace,
      ])
  }

  @Test func unknownKeysAreNoText() {
    #expect(keys("\u{1B}[15~\u{1B}[24;5~\u{1B}x\u{0}a") == [.text("a")])
    #expect(keys("\u{1B}[" + String(repeating: "1", count: 40)) == [])
  }

  /// However the bytes are cut, the keys are the same.
  @Test func piecesWaitForTheirRest() {
    let text = "é你😀\u{1B}[1;5C\u{1B}[200~two\r\nlines\u{1B}[201~\u{1B}[A!\r"
    let joined = keys(text)
    #expect(joined == [.text("é你😀"), .wordRight, .text("two\nlines"), .up, .text("!"), .enter])
    for size in 1...4 {
      var decoder = KeyDecoder()
      var pieces: [Key] = []
      let bytes = Array(text.utf8)
      for start in stride(from: 0, to: bytes.count, by: size) {
        pieces += decoder.decode(bytes[start..<min(bytes.count, start + size)])
      }
      var merged: [Key] = []
      for key in pieces {
        if case .text(let new) = key, case .text(let old)? = merged.last {
          merged[merged.count - 1] = .text(old + new)
        } else {
          merged.append(key)
        }
      }
      #expect(merged == joined, "\(size)")
    }
  }

  @Test func pastedControlCharactersAreText() {
    #expect(keys("\u{1B}[200~a\u{3}b\u{1B}[201~c") == [.text("a\u{3}b"), .text("c")])
    #expect(keys("\u{1B}[200~\u{1B}[201~") == [])
  }

  @Test func invalidTextIsReplaced() {
    var decoder = KeyDecoder()
    #expect(decoder.decode([0x61, 0xFF, 0x62]) == [.text("a\u{FFFD}b")])
  }
}

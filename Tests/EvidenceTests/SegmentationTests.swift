// Where passages begin and end.

import Testing

@testable import Evidence

private func passages(_ text: String, _ style: TextStyle = .prose, longest: Int = 600) -> [String] {
  let bytes = Array(text.utf8)
  return TextSegments.ranges(of: text, style: style, longest: longest)
    .map { String(decoding: bytes[$0], as: UTF8.self) }
}

struct SentenceCase: Sendable, CustomTestStringConvertible {
  var text: String
  var expected: [String]
  var testDescription: String { text }

  init(_ text: String, _ expected: String...) {
    self.text = text
    self.expected = expected
  }

  static let all: [SentenceCase] = [
    .init(""),
    .init(" \n\t \u{3000}\u{FEFF}"),
    .init("One. Two! Three? Four", "One.", "Two!", "Three?", "Four"),
    .init("Mr. Smith met Dr. Jones. They spoke.", "Mr. Smith met Dr. Jones.", "They spoke."),
    .init(
      "He met J. R. R. Tolkien there. So did I. We left.", "He met J. R. R. Tolkien there.", "So did I.",
      "We left."),
    .init("А. С. Пушкин родился в Москве. Он умер.", "А. С. Пушкин родился в Москве.", "Он умер."),
    .init("Use tools, e.g. a hammer, i.e. force. Done.", "Use tools, e.g. a hammer, i.e. force.", "Done."),
    .init("The U.S. Senate met at 5 p.m. It left.", "The U.S. Senate met at 5 p.m.", "It left."),
    .init(
      "Pi is 3.14 or so. See sec. 3. Version 2.0. Next.", "Pi is 3.14 or so.", "See sec. 3.", "Version 2.0.",
      "Next."),
    .init("No. 5 is alive. He said no. Then he left.", "No. 5 is alive.", "He said no.", "Then he left."),
    .init("He waited... and left. Then... Nothing.", "He waited... and left.", "Then...", "Nothing."),
    .init("He waited… and left… Nothing.", "He waited… and left…", "Nothing."),
    .init("\"Go!\" he said. \"Why?\" She ran.", "\"Go!\" he said.", "\"Why?\"", "She ran."),
    .init("“Go.” (He went.) “So.”", "“Go.”", "(He went.)", "“So.”"),
    .init("He came (late.) and sat.", "He came (late.) and sat."),
    .init("It is so.[12] Others differ.[3]", "It is so.[12]", "Others differ.[3]"),
    .init("**Bold end.** Next one.", "**Bold end.**", "Next one."),
    .init(
      "Open main.swift and www.example.org now. Good.", "Open main.swift and www.example.org now.", "Good."),
    .init("He lives in St. Louis, approx. five miles off.", "He lives in St. Louis, approx. five miles off."),
    .init("i like this idea. everything functions. fine", "i like this idea. everything functions.", "fine"),
    .init("彼は来た。「本当か？」と聞いた。終わり", "彼は来た。", "「本当か？」", "と聞いた。", "終わり"),
    .init("他说：“好。”然后走了！真的?是的。", "他说：“好。”", "然后走了！", "真的?", "是的。"),
    .init("هل هذا صحيح؟ نعم.", "هل هذا صحيح؟", "نعم."),
    .init(
      "This is a sentence that was hard\nwrapped at a width. Next\none.",
      "This is a sentence that was hard\nwrapped at a width.", "Next\none."),
    .init("This ends without a stop\n\nThis begins anew", "This ends without a stop", "This begins anew"),
    .init("one\r\n\r\ntwo. Three\r\nfour", "one", "two.", "Three\r\nfour"),
    .init(
      "# A title\nText of it. More.\n## Second ##\nText", "# A title", "Text of it.", "More.", "## Second ##",
      "Text"),
    .init("CHAPTER I.\nIt was a dark night.", "CHAPTER I.", "It was a dark night."),
    .init("Title\n=====\nText here", "Title", "=====", "Text here"),
    .init("#hashtag is no heading. Yes.", "#hashtag is no heading.", "Yes."),
    .init(
      "Buy:\n- milk\n- two eggs. Fresh ones.\n  * bread\n", "Buy:", "- milk", "- two eggs.", "Fresh ones.",
      "* bread"),
    .init(
      "1. First thing\n2. Second thing. Really.\n10) Third", "1. First thing", "2. Second thing.", "Really.",
      "10) Third"),
    .init("a) one\n(b) two\n• three\n– four", "a) one", "(b) two", "• three", "– four"),
    .init(
      "- item that is wrapped at\n  some width\n- other", "- item that is wrapped at\n  some width", "- other"
    ),
    .init(
      "It happened in the autumn of the year\n1945. Then it ended.",
      "It happened in the autumn of the year\n1945.", "Then it ended."),
    .init("| a | b. C |\n|---|---|\n| 1 | 2 |\nAfter", "| a | b. C |", "|---|---|", "| 1 | 2 |", "After"),
    .init(
      "Look:\n```swift\nlet a = 1. b\n\n  f()\n```\nAfter it. End", "Look:", "```swift", "let a = 1. b",
      "f()", "```", "After it.", "End"),
    .init("~~~~\na\n~~~\nb\n~~~~\nc d", "~~~~", "a", "~~~", "b", "~~~~", "c d"),
    .init("```code``` in a line. Yes.", "```code``` in a line.", "Yes."),
    .init("Contents ........ 5\nIndex", "Contents ........ 5", "Index"),
    .init("Whose woods these are\nI think I know", "Whose woods these are", "I think I know"),
    .init("Name: Bob\nAge: 5\nCity: Rome", "Name: Bob", "Age: 5", "City: Rome"),
    .init("...", "..."),
    .init("-----", "-----"),
    .init("e\u{301}t. A\u{301}b.", "e\u{301}t.", "A\u{301}b."),
  ]
}

@Suite struct SegmentationTests {
  @Test(arguments: SentenceCase.all)
  func sentences(_ test: SentenceCase) {
    #expect(passages(test.text) == test.expected)
  }

  @Test func codeIsCutByLines() {
    #expect(passages("let a = 1. B\n\n  return a\n", .code) == ["let a = 1. B", "return a"])
  }

  @Test func longSentencesAreCutBehindClauses() {
    let text = "The first part is here, the second part follows it here and goes on"
    #expect(
      passages(text, longest: 40) == [
        "The first part is here,", "the second part follows it here and goes", "on",
      ])
    #expect(passages(String(repeating: "ä", count: 20), longest: 16).map(\.utf8.count) == [16, 16, 8])
    // A limit that leaves no room for a character is taken as the least that does.
    #expect(passages(String(repeating: "😀", count: 8), longest: -1).map(\.utf8.count) == [16, 16])
  }

  /// Pieces that make the rules meet each other.
  private static let pieces = [
    "a", "Word ", "Mr. ", "e.g. ", ". ", ".", "! ", "?", "...", "…", "\n", "\n\n", "\r\n", " ", "\t", "。",
    "」", "\"", ")",
    "(", "[3]", "- ", "1. ", "12) ", "# ", "| ", "```", "~~~\n", "---", "==", "é", "漢字", "😀", "\u{A0}",
    "\u{3000}", "\u{FEFF}",
    "I", "J. ", "3.14 ", "no. 5 ", ", ", "lower case words ", "\0", "CAPS LINE\n",
    "A long run of many words ",
  ]

  private func generated(_ seed: UInt64) -> String {
    var random = Random(state: seed)
    return (0..<Int.random(in: 0...120, using: &random)).map { _ in
      Self.pieces.randomElement(using: &random) ?? ""
    }
    .joined()
  }

  @Test(arguments: TextStyle.allCases, [16, 40, 600])
  func everyByteIsInOnePassage(_ style: TextStyle, _ longest: Int) {
    for seed in 0..<400 {
      let text = generated(UInt64(seed))
      let bytes = Array(text.utf8)
      let ranges = TextSegments.ranges(of: text, style: style, longest: longest)
      var covered = Set<Int>()
      var end = 0
      for range in ranges {
        #expect(range.lowerBound >= end && !range.isEmpty && range.count <= longest, "seed \(seed)")
        let passage = String(validating: bytes[range], as: UTF8.self)
        #expect(passage != nil, "a passage divides a character, seed \(seed)")
        #expect(passage?.unicodeScalars.first.map(isBlank) == false, "seed \(seed)")
        #expect(passage?.unicodeScalars.last.map(isBlank) == false, "seed \(seed)")
        covered.formUnion(range)
        end = range.upperBound
      }
      var offset = 0
      for scalar in text.unicodeScalars {
        if !isBlank(scalar) { #expect(covered.contains(offset), "byte \(offset) of seed \(seed)") }
        offset += scalar.utf8.count
      }
    }
  }

  private func isBlank(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isWhitespace || scalar == "\u{200B}" || scalar == "\u{FEFF}"
  }

  @Test(arguments: [16, 600])
  func textThatGrowsIsCutAsAWholeOne(_ longest: Int) {
    for seed in 0..<200 {
      let bytes = Array(generated(UInt64(seed)).utf8)
      let whole = SegmentScanner.ranges(bytes, style: .prose, longest: longest)
      var scanner = SegmentScanner(style: .prose, longest: longest)
      var found: [Range<Int>] = []
      for end in 0...bytes.count {
        // Byte for byte, so within characters, too.
        while let range = scanner.next(Array(bytes[..<end]), isFinal: false) { found.append(range) }
      }
      while let range = scanner.next(bytes, isFinal: true) { found.append(range) }
      #expect(found == whole, "seed \(seed)")
    }
  }

  @Test func aSentenceIsCompleteWithTheWordBehindIt() {
    var scanner = SegmentScanner(style: .prose, longest: 600)
    #expect(scanner.next(Array("It is so.".utf8), isFinal: false) == nil)
    #expect(scanner.next(Array("It is so. T".utf8), isFinal: false) == 0..<9)
    #expect(scanner.next(Array("It is so. T".utf8), isFinal: false) == nil)
  }

  @Test func damagedBytesAreCharacters() {
    let bytes: [UInt8] = [0xFF, 0x2E, 0x20, 0x41, 0xE2, 0x80, 0x2E, 0x20, 0xF0, 0x9F]
    #expect(SegmentScanner.ranges(bytes, style: .prose, longest: 600) == [0..<2, 3..<7, 8..<10])
  }

  @Test func styleByNameAndLook() {
    let swift = """
      import Foundation

      /// Adds two numbers. It is simple.
      func add(_ a: Int, _ b: Int) -> Int {
        let sum = a + b
        return sum
      }
      """
    let python = """
      import os

      def main(path):
          # Reads a file.
          for line in open(path):
              value = line.strip()
              print(value)
          return value
      """
    let json = "{\n  \"a\": 1,\n  \"b\": [1, 2],\n  \"c\": {}\n}\n"
    for code in [swift, python, json] { #expect(TextStyle(name: "pasted", text: code) == .code) }
    #expect(TextStyle(name: "notes.txt", text: swift) == .code)
    #expect(TextStyle(name: "notes.md", text: swift) == .prose)
    #expect(TextStyle(name: "dir.d/a.PY", text: cityText) == .code)
    #expect(TextStyle(name: "dir.py/notes", text: cityText) == .prose)
    #expect(TextStyle(name: "", text: "") == .prose)
    #expect(
      TextStyle(name: "a", text: "See [this](url) and [that](url).\nMore, as said (here).\nEnd.\n") == .prose)
  }
}

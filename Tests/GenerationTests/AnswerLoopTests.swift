// What counts as an answer that goes in circles: the same cases as those of the server's page.

import Foundation
import Generation
import TestSupport
import Testing

@Suite struct AnswerLoopTests {
  private static let beginning =
    "Anne Elliot, with all her claims of birth, beauty, and mind, was to throw herself away. "
  private static let sentence =
    "The captain was at Lyme with his friends, and had been there since the beginning of the autumn, as she knew. "

  private func repeated(_ part: String, _ times: Int) -> String { String(repeating: part, count: times) }

  @Test(arguments: [0, 40, 108])
  func aSentenceThreeTimesIsACircleWhereverItWasCut(more: Int) {
    #expect(AnswerLoop.ends(Self.beginning + repeated(Self.sentence, 4) + Self.sentence.prefix(more)))
  }

  @Test func whatIsSaidTwiceOrIsShortIsNone() {
    #expect(!AnswerLoop.ends(Self.beginning + repeated(Self.sentence, 2)))
    #expect(!AnswerLoop.ends(repeated("no ", 100)))
    #expect(!AnswerLoop.ends(""))
    #expect(!AnswerLoop.ends(Self.beginning + repeated("no ", 119)))
    #expect(AnswerLoop.ends(Self.beginning + repeated("no ", 121)))
    // Behind a circle the answer may go on.
    #expect(!AnswerLoop.ends(repeated(Self.sentence, 4) + Self.beginning))
  }

  @Test func sentencesThatCountAreACircleAndListsOfNumbersAreNone() {
    let counted = (8..<20).map { "\($0). \(Self.sentence)\n" }.joined()
    #expect(AnswerLoop.ends(Self.beginning + "\n" + counted))
    #expect(!AnswerLoop.ends((0..<400).map(String.init).joined(separator: ", ")))
    // Characters of several scalars.
    #expect(AnswerLoop.ends(repeated("e\u{301}te\u{301} ", 100)))
  }

  @Test(arguments: ["persuasion.txt", "alice.txt", "bottle.py.txt"])
  func novelsAndProgramsAreNone(name: String) throws {
    let text = Array(try TestText.read(name).unicodeScalars.prefix(120_000))
    for end in stride(from: 400, to: text.count, by: 4937) {
      let part = String(String.UnicodeScalarView(text[max(0, end - 6000)..<end]))
      #expect(!AnswerLoop.ends(part), "up to \(end)")
    }
  }
}

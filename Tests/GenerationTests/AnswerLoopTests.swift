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
  func aSentenceThreeTimesIsACircleWhereverItWasCut(more: Int) throws {
    let (beginning, sentence) = (Self.beginning, Self.sentence)
    let loop = try #require(
      AnswerLoop(endOf: beginning + repeated(sentence, 4) + sentence.prefix(more)))
    #expect(loop.length == sentence.count)
    // The first of them is kept; a space before it may belong to it.
    #expect((beginning.count - sentence.count + 1...beginning.count).contains(loop.start))
  }

  @Test func whatIsSaidTwiceOrIsShortIsNone() {
    #expect(AnswerLoop(endOf: Self.beginning + repeated(Self.sentence, 2)) == nil)
    #expect(AnswerLoop(endOf: repeated("no ", 100)) == nil)
    #expect(AnswerLoop(endOf: "") == nil)
    #expect(AnswerLoop(endOf: Self.beginning + repeated("no ", 119)) == nil)
    #expect(AnswerLoop(endOf: Self.beginning + repeated("no ", 121))?.length == 3)
  }

  @Test func sentencesThatCountAreACircleAndListsOfNumbersAreNone() throws {
    let counted = (8..<20).map { "\($0). \(Self.sentence)\n" }.joined()
    let loop = try #require(AnswerLoop(endOf: Self.beginning + "\n" + counted))
    let end = loop.start + loop.length
    let kept = String(String.UnicodeScalarView((Self.beginning + "\n" + counted).unicodeScalars.prefix(end)))
    #expect(kept.components(separatedBy: "captain").count == 2)
    #expect(AnswerLoop(endOf: (0..<400).map(String.init).joined(separator: ", ")) == nil)
    // Characters of several scalars.
    #expect(AnswerLoop(endOf: repeated("e\u{301}te\u{301} ", 100)) != nil)
  }

  @Test(arguments: ["persuasion.txt", "alice.txt", "bottle.py.txt"])
  func novelsAndProgramsAreNone(name: String) throws {
    let text = Array(try TestText.read(name).unicodeScalars.prefix(120_000))
    for end in stride(from: 400, to: text.count, by: 4937) {
      let part = String(String.UnicodeScalarView(text[max(0, end - 6000)..<end]))
      #expect(AnswerLoop(endOf: part) == nil, "up to \(end)")
    }
  }
}

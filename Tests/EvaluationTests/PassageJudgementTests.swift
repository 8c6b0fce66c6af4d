// From which odds on a model's yes is one.

import Testing

@testable import Evaluation

@Suite struct PassageJudgementTests {
  /// Above all wrong passages but one in twenty, and nearer to these than to the right ones.
  @Test func theBoundLiesAboveWrongPassages() throws {
    let wrong = (0..<40).map { Double($0) / 10 }
    let judgement = PassageJudgement(right: wrong.map { $0 + 4.5 }, wrong: wrong)
    let least = try #require(judgement.leastOdds)
    // Of the wrong ones 2 of 40 lie above 3.7; of the right ones 36 of 40 from 4.9 on.
    #expect(abs(least - (3.7 + 0.25 * (4.9 - 3.7))) < 1e-9)
    #expect(judgement.foundWrong == 0)
    #expect(judgement.foundRight == 1)
  }

  @Test func whoTakesWrongForRightCannotTell() {
    let odds = (0..<40).map { Double($0) / 10 }
    let judgement = PassageJudgement(right: odds, wrong: odds)
    #expect(judgement.leastOdds == nil)
    #expect(judgement.foundRight == judgement.foundWrong)
  }

  @Test func nobodyAskedTellsNothing() {
    #expect(PassageJudgement(right: [], wrong: []).leastOdds == nil)
  }

  @Test func othersAreOfTheSameKind() {
    var random = TaskRandom(seed: 3, task: "passages", length: 0, sample: 0)
    for (fact, other) in HiddenFacts.pairs(10, random: &random) {
      #expect(fact.question != other.question && fact.answer != other.answer)
      #expect(fact.question.prefix(8) == other.question.prefix(8))
    }
  }
}

// Which passages a model is asked about.

import AttentionKernels
import Foundation
import LlamaHost
import TestSupport
import Testing

@testable import Generation

@Suite struct PassageJudgeTests {
  private static let question = "What is the number for Oslo?"

  private static func host() throws -> GuestHost {
    try GuestHost(model: TestModel.load(), pool: ThreadPool(threadCount: 1))
  }

  @Test(arguments: [(odds: -1e3, answers: true), (1e3, false)])
  func oddsDecide(odds: Double, answers: Bool) throws {
    let judge = try PassageJudge(host: Self.host(), leastOdds: odds)
    #expect(try judge.says(that: "The number for Oslo is 12.", answers: Self.question) == answers)
  }

  /// What is more probable is the answer, and by how much: of several words for it, all count.
  @Test func answersAreToldApart() throws {
    let answers = try PassageJudge.Answers(TestModel.load().tokenizer)
    #expect(answers.areApart && Set(answers.yes).isDisjoint(with: answers.no))
    let yes = answers.odds { answers.yes.contains($0) ? 2 : 0 }
    let no = answers.odds { answers.no.contains($0) ? 2 : 0 }
    let ratio = log(Double(answers.yes.count) / Double(answers.no.count))
    #expect(abs(yes - (2 + ratio)) < 1e-9 && abs(no - (ratio - 2)) < 1e-9)
  }

  @Test func manyPassagesAreNotRead() throws {
    let judge = try PassageJudge(host: Self.host(), leastOdds: 1e3)
    let passages = String(repeating: "The number for Oslo is 12. ", count: 150)
    #expect(try judge.says(that: passages, answers: Self.question) == nil)
  }
}
